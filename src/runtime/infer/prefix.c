/* prefix.c -- pages of texts that have been read: finding, adding, and what goes when the room is used up */
#include "runtime/infer/prefix.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

enum { GONE = 65536 /* keys of pages that went, remembered to say so */ };

typedef struct page {
    uint64_t key, used;   /* used: the tick of the last use */
    uint32_t age;         /* counts the pages that lay here */
    int32_t next;         /* in the list of its bucket, or of those that are free */
    int32_t parent, child, before, after; /* the first of its children; its neighbours among those of its parent */
    int32_t older, newer; /* of a page without children: neighbours in the order of use */
    bool taken;
    int32_t ids[PHA__PAGE];
    char *lanes, *fixed;  /* fixed NULL: no run ended here */
} page;

struct pha__prefix {
    const pha__state *layout;
    size_t lanes, most, bytes; /* of a page's lanes; of all pages: allowed, there */
    page *pages;
    int32_t n, unused;         /* places; the first of those that are free */
    int32_t *bucket;           /* (n) */
    int32_t root;              /* the first page without a parent */
    int32_t oldest, newest;    /* of those without children */
    uint64_t tick;
    uint64_t *gone;            /* (GONE) keys by their hash; 0: none */
    bool too_small;
};

/* ---- opening ---------------------------------------------------------------------------------------------- */

/* Bytes of the lanes of a page; false: a ring holds less than a page, and so may have lost part of one. */
static bool measure(pha__prefix *p)
{
    for (int i = 0; i < p->layout->n; i++) {
        const pha__state_layout *l = &p->layout->part[i].layout;
        if (l->lanes && l->capacity < PHA__PAGE) return false;
        p->lanes += (size_t)l->lanes * l->token * PHA__PAGE;
    }
    return true;
}

pha__prefix *pha__prefix_open(const pha__state *layout, size_t bytes)
{
    pha__prefix *p = pha__alloc_zero(1, sizeof *p);
    if (!p) return NULL;
    p->layout = layout, p->most = bytes;
    p->root = p->oldest = p->newest = -1;
    p->too_small = !measure(p) || bytes < p->lanes + layout->fixed + sizeof(page);
    size_t n = p->too_small ? 1 : bytes / (p->lanes + sizeof(page) + sizeof(int32_t)) + 1;
    p->n = n < 1 << 18 ? (int32_t)n : 1 << 18;
    p->pages = pha__alloc_zero((size_t)p->n, sizeof *p->pages);
    p->bucket = pha__alloc((size_t)p->n, sizeof *p->bucket);
    p->gone = pha__alloc_zero(GONE, sizeof *p->gone);
    if (!p->pages || !p->bucket || !p->gone) return pha__prefix_close(p), NULL;
    for (int32_t i = 0; i < p->n; i++) p->pages[i].next = i + 1 < p->n ? i + 1 : -1, p->bucket[i] = -1;
    return p;
}

void pha__prefix_close(pha__prefix *p)
{
    if (!p) return;
    for (int32_t i = 0; p->pages && i < p->n; i++) pha__free(p->pages[i].lanes), pha__free(p->pages[i].fixed);
    pha__free(p->pages);
    pha__free(p->bucket);
    pha__free(p->gone);
    pha__free(p);
}

size_t pha__prefix_bytes(const pha__prefix *p) { return p->bytes; }

/* ---- pages ------------------------------------------------------------------------------------------------ */

static uint64_t key_of(const pha__prefix *p, const pha__chain *c, const int32_t *ids)
{
    uint64_t parent = c->page == PHA__ROOT ? c->tenant : p->pages[c->page].key;
    uint64_t key = pha__hash(ids, PHA__PAGE * sizeof *ids, parent);
    return key ? key : 1;
}

static int32_t *bucket_of(pha__prefix *p, uint64_t key) { return &p->bucket[key % (uint64_t)p->n]; }

/* The page behind a chain with these ids, or -1. Equal keys prove nothing: parent and ids are compared. A root's key is
 * the tenant, so its pages are those whose key follows from it. */
static int32_t look_up(pha__prefix *p, const pha__chain *c, const int32_t *ids)
{
    uint64_t key = key_of(p, c, ids);
    for (int32_t i = *bucket_of(p, key); i >= 0; i = p->pages[i].next) {
        const page *g = &p->pages[i];
        if (g->key == key && g->parent == c->page && memcmp(g->ids, ids, sizeof g->ids) == 0) return i;
    }
    return -1;
}

/* ---- the tree, and the order of use of its leaves: what goes first has no children ---- */

static void leave_order(pha__prefix *p, int32_t i)
{
    page *g = &p->pages[i];
    *(g->older < 0 ? &p->oldest : &p->pages[g->older].newer) = g->newer;
    *(g->newer < 0 ? &p->newest : &p->pages[g->newer].older) = g->older;
}

/* In front of all that were used later: from the old end, where a page is whose last child went, or the new one. */
static void enter_order(pha__prefix *p, int32_t i)
{
    page *g = &p->pages[i];
    g->newer = p->newest < 0 || p->pages[p->newest].used < g->used ? -1 : p->oldest;
    while (g->newer >= 0 && p->pages[g->newer].used < g->used) g->newer = p->pages[g->newer].newer;
    g->older = g->newer < 0 ? p->newest : p->pages[g->newer].older;
    *(g->older < 0 ? &p->oldest : &p->pages[g->older].newer) = i;
    *(g->newer < 0 ? &p->newest : &p->pages[g->newer].older) = i;
}

static int32_t *children_of(pha__prefix *p, int32_t i) { return i < 0 ? &p->root : &p->pages[i].child; }

static void plant(pha__prefix *p, int32_t i)
{
    page *g = &p->pages[i];
    int32_t *first = children_of(p, g->parent);
    if (g->parent >= 0 && *first < 0) leave_order(p, g->parent);
    g->child = g->before = -1, g->after = *first;
    if (g->after >= 0) p->pages[g->after].before = i;
    *first = i;
    enter_order(p, i);
}

static void uproot(pha__prefix *p, int32_t i)
{
    page *g = &p->pages[i];
    *(g->before < 0 ? children_of(p, g->parent) : &p->pages[g->before].after) = g->after;
    if (g->after >= 0) p->pages[g->after].before = g->before;
    leave_order(p, i);
    if (g->parent >= 0 && p->pages[g->parent].child < 0) enter_order(p, g->parent);
}

static void step_to(pha__prefix *p, pha__chain *c, int32_t i)
{
    bool leaf = p->pages[i].child < 0;
    if (leaf) leave_order(p, i);
    p->pages[i].used = ++p->tick;
    if (leaf) enter_order(p, i);
    c->page = i, c->age = p->pages[i].age, c->position += PHA__PAGE;
}

static void forget(pha__prefix *p, int32_t i)
{
    page *g = &p->pages[i];
    int32_t *at = bucket_of(p, g->key);
    while (*at != i) at = &p->pages[*at].next;
    *at = g->next;
    p->bytes -= p->lanes + (g->fixed ? p->layout->fixed : 0);
    p->gone[g->key % GONE] = g->key;
    uproot(p, i);
    pha__free(g->lanes);
    pha__free(g->fixed);
    *g = (page){.age = g->age + 1, .next = p->unused};
    p->unused = i;
}

static bool make_room(pha__prefix *p, size_t bytes, int32_t keep)
{
    while (p->bytes + bytes > p->most || p->unused < 0) {
        int32_t i = p->oldest >= 0 && p->oldest == keep ? p->pages[keep].newer : p->oldest;
        if (i < 0) return false;
        forget(p, i);
    }
    return true;
}

/* ---- bytes between a state and a page --------------------------------------------------------------------- */

static pha_status move(pha__device *d, char *state, char *host, size_t size, bool out)
{
    return out ? d->backend->download(d, host, state, size) : d->backend->upload(d, state, host, size);
}

/* Tokens [first, first + PAGE) of every lane; a ring may have its end among them. Of a state that has read up to
 * `position`, or is to be one: a ring that has room for fewer tokens than lie behind `first` is left out. It holds 320
 * tokens more than anything looks back, so what is left out is not missed. */
static pha_status move_lanes(const pha__prefix *p, pha__device *d, char *state, char *host, int64_t first,
                             int64_t position, bool out)
{
    for (int i = 0; i < p->layout->n; i++) {
        const pha__state_layout *l = &p->layout->part[i].layout;
        if (l->lanes && position - first > l->capacity) {
            host += (size_t)l->lanes * l->token * PHA__PAGE;
            continue;
        }
        for (int k = 0; k < l->lanes; k++) {
            char *lane = state + p->layout->part[i].offset + l->fixed + (size_t)k * l->token * (size_t)l->capacity;
            int64_t at = first % l->capacity, some = l->capacity - at < PHA__PAGE ? l->capacity - at : PHA__PAGE;
            size_t head = (size_t)some * l->token, tail = (size_t)(PHA__PAGE - some) * l->token;
            TRY(move(d, lane + (size_t)at * l->token, host, head, out));
            if (tail) TRY(move(d, lane, host + head, tail, out));
            host += head + tail;
        }
    }
    return PHA_OK;
}

static pha_status move_fixed(const pha__prefix *p, pha__device *d, char *state, char *host, bool out)
{
    for (int i = 0; i < p->layout->n; i++) {
        size_t size = p->layout->part[i].layout.fixed;
        TRY(move(d, state + p->layout->part[i].offset, host, size, out));
        host += size;
    }
    return PHA_OK;
}

/* ---- adding ----------------------------------------------------------------------------------------------- */

/* Is the page of a chain still the one that it was? */
static bool stands(const pha__prefix *p, const pha__chain *c)
{
    if (c->page == PHA__ROOT) return true;
    return c->page >= 0 && p->pages[c->page].taken && p->pages[c->page].age == c->age;
}

/* Does every ring still hold what lies behind `first`? */
static bool all_there(const pha__prefix *p, int64_t first, int64_t position)
{
    for (int i = 0; i < p->layout->n; i++) {
        const pha__state_layout *l = &p->layout->part[i].layout;
        if (l->lanes && position - first > l->capacity) return false;
    }
    return true;
}

/* A page with these ids behind the chain, of a state at `position`; -1: there is no room for it. */
static int32_t add_page(pha__prefix *p, const pha__chain *c, pha__device *d, char *state, const int32_t *ids,
                        int64_t position)
{
    if (!all_there(p, c->position, position)) return -1;
    if (!make_room(p, p->lanes, c->page)) return -1;
    char *lanes = pha__alloc(p->lanes + 1, 1);
    if (!lanes || move_lanes(p, d, state, lanes, c->position, position, true)) return pha__free(lanes), -1;
    int32_t i = p->unused;
    page *g = &p->pages[i];
    uint64_t key = key_of(p, c, ids);
    p->unused = g->next;
    *g = (page){.key = key, .used = ++p->tick, .age = g->age, .parent = c->page, .taken = true};
    g->next = *bucket_of(p, key);
    g->lanes = lanes;
    memcpy(g->ids, ids, sizeof g->ids);
    *bucket_of(p, key) = i;
    plant(p, i);
    p->bytes += p->lanes;
    return i;
}

static void add_fixed(pha__prefix *p, int32_t i, pha__device *d, char *state)
{
    if (p->pages[i].fixed || !make_room(p, p->layout->fixed, i)) return;
    char *fixed = pha__alloc(p->layout->fixed + 1, 1);
    if (!fixed || move_fixed(p, d, state, fixed, true)) {
        pha__free(fixed);
        return;
    }
    p->pages[i].fixed = fixed;
    p->bytes += p->layout->fixed;
}

void pha__prefix_add(pha__prefix *p, pha__chain *c, pha__device *d, char *state, const int32_t *ids, int64_t n_ids,
                     int64_t position)
{
    int32_t mine[PHA__PAGE];
    if (p->too_small || c->page == PHA__NO_PAGE) return;
    while (c->position + PHA__PAGE <= position) {
        int32_t i = -1;
        if (stands(p, c)) {
            for (int64_t k = 0; k < PHA__PAGE; k++) mine[k] = ids[(c->position + k) % n_ids];
            i = look_up(p, c, mine);
            if (i < 0) i = add_page(p, c, d, state, mine, position);
        }
        if (i < 0) { /* the chain was broken by what went: nothing behind it can be found */
            c->page = PHA__NO_PAGE;
            return;
        }
        step_to(p, c, i);
    }
    if (c->position == position && c->page >= 0) add_fixed(p, c->page, d, state);
}

/* ---- finding ---------------------------------------------------------------------------------------------- */

/* How far the ids agree with the page behind the chain that agrees longest; -1: there is no page behind it. */
static int64_t agreement(const pha__prefix *p, const pha__chain *c, const int32_t *ids, size_t n)
{
    int64_t best = -1;
    for (int32_t i = c->page < 0 ? p->root : p->pages[c->page].child; i >= 0; i = p->pages[i].after) {
        const page *g = &p->pages[i];
        if (c->page == PHA__ROOT && key_of(p, c, g->ids) != g->key) continue; /* of another tenant */
        int64_t k = 0;
        while (k < PHA__PAGE && (size_t)k < n && g->ids[k] == ids[k]) k++;
        if (k > best) best = k;
    }
    return best;
}

static void explain(const pha__prefix *p, const pha__chain *c, const int32_t *ids, size_t n, pha_reuse *r)
{
    size_t left = n - 1 - (size_t)c->position;
    r->at = c->position;
    if (left < PHA__PAGE) r->miss = c->position ? PHA_MISS_NONE : PHA_MISS_SHORT;
    else {
        uint64_t key = key_of(p, c, ids + c->position);
        int64_t k = agreement(p, c, ids + c->position, left);
        if (p->gone[key % GONE] == key) r->miss = PHA_MISS_EVICTED;
        else if (k < 0) r->miss = c->position ? PHA_MISS_NONE : PHA_MISS_FIRST_USE;
        else r->miss = PHA_MISS_DIFFERS, r->at = c->position + k;
    }
}

pha_status pha__prefix_find(pha__prefix *p, pha__chain *c, pha__device *d, char *state, const int32_t *ids,
                            size_t n, pha_reuse *reuse)
{
    pha__chain at = *c, best = *c;
    *reuse = (pha_reuse){.miss = PHA_MISS_NO_ROOM};
    if (p->too_small) return PHA_OK;
    while ((size_t)at.position + PHA__PAGE < n) {
        int32_t i = look_up(p, &at, ids + at.position);
        if (i < 0) break;
        step_to(p, &at, i);
        if (p->pages[i].fixed) best = at;
    }
    explain(p, &at, ids, n, reuse);
    int64_t first = best.position;
    for (int32_t i = best.page; i >= 0; i = p->pages[i].parent)
        TRY(move_lanes(p, d, state, p->pages[i].lanes, first -= PHA__PAGE, best.position, false));
    if (best.page >= 0) TRY(move_fixed(p, d, state, p->pages[best.page].fixed, false));
    reuse->tokens = best.position;
    *c = best;
    return PHA_OK;
}
