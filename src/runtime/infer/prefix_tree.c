/* prefix_tree.c -- the tree of pages, and the order of use of its leaves: what goes first has no children */
#include "runtime/infer/prefix_tree.h"

#include <string.h>

#include "base/mem.h"

/* ---- keys ------------------------------------------------------------------------------------------------- */

pha__key pha__page_parent(const pha__prefix *p, const pha__chain *c)
{
    return c->page == PHA__ROOT ? c->root : p->pages[c->page].key;
}

pha__key pha__page_key(const pha__prefix *p, const pha__chain *c, const int32_t *ids)
{
    struct {
        pha__key parent;
        int32_t ids[PHA__PAGE];
    } said = {.parent = pha__page_parent(p, c)};
    memcpy(said.ids, ids, sizeof said.ids);
    return pha__hash_key(&said, sizeof said);
}

static int32_t *bucket_of(pha__prefix *p, pha__key key) { return &p->bucket[key.low % (uint64_t)p->n]; }

/* Equal keys prove nothing: parent and ids are compared. */
int32_t pha__page_find(pha__prefix *p, const pha__chain *c, const int32_t *ids)
{
    pha__key key = pha__page_key(p, c, ids);
    for (int32_t i = *bucket_of(p, key); i >= 0; i = p->pages[i].next) {
        const pha__page *g = &p->pages[i];
        if (pha__key_equal(g->key, key) && g->parent == c->page && pha__key_equal(g->from, pha__page_parent(p, c)) &&
            memcmp(g->ids, ids, sizeof g->ids) == 0)
            return i;
    }
    return -1;
}

bool pha__page_stands(const pha__prefix *p, const pha__chain *c)
{
    if (c->page == PHA__ROOT) return true;
    return c->page >= 0 && p->pages[c->page].taken && p->pages[c->page].age == c->age;
}

void pha__gone_set(pha__prefix *p, pha__key key, pha_miss why)
{
    p->gone[key.low % PHA__GONE] = (pha__gone){key, why};
}

pha_miss pha__gone_why(const pha__prefix *p, pha__key key)
{
    const pha__gone *g = &p->gone[key.low % PHA__GONE];
    return pha__key_equal(g->key, key) ? g->why : PHA_MISS_NONE;
}

/* ---- order ------------------------------------------------------------------------------------------------ */

static void leave_order(pha__prefix *p, int32_t i)
{
    pha__page *g = &p->pages[i];
    *(g->older < 0 ? &p->oldest : &p->pages[g->older].newer) = g->newer;
    *(g->newer < 0 ? &p->newest : &p->pages[g->newer].older) = g->older;
}

/* In front of all that were used later: from the old end, where a page is whose last child went, or the new one. */
static void enter_order(pha__prefix *p, int32_t i)
{
    pha__page *g = &p->pages[i];
    g->newer = p->newest < 0 || p->pages[p->newest].used < g->used ? -1 : p->oldest;
    while (g->newer >= 0 && p->pages[g->newer].used < g->used) g->newer = p->pages[g->newer].newer;
    g->older = g->newer < 0 ? p->newest : p->pages[g->newer].older;
    *(g->older < 0 ? &p->oldest : &p->pages[g->older].newer) = i;
    *(g->newer < 0 ? &p->newest : &p->pages[g->newer].older) = i;
}

static int32_t *children_of(pha__prefix *p, int32_t i) { return i < 0 ? &p->root : &p->pages[i].child; }

static void plant(pha__prefix *p, int32_t i)
{
    pha__page *g = &p->pages[i];
    int32_t *first = children_of(p, g->parent);
    if (g->parent >= 0 && *first < 0) leave_order(p, g->parent);
    g->child = g->before = -1, g->after = *first;
    if (g->after >= 0) p->pages[g->after].before = i;
    *first = i;
    enter_order(p, i);
}

static void uproot(pha__prefix *p, int32_t i)
{
    pha__page *g = &p->pages[i];
    *(g->before < 0 ? children_of(p, g->parent) : &p->pages[g->before].after) = g->after;
    if (g->after >= 0) p->pages[g->after].before = g->before;
    leave_order(p, i);
    if (g->parent >= 0 && p->pages[g->parent].child < 0) enter_order(p, g->parent);
}

void pha__page_step(pha__prefix *p, pha__chain *c, int32_t i)
{
    bool leaf = p->pages[i].child < 0;
    if (leaf) leave_order(p, i);
    p->pages[i].used = ++p->tick;
    if (leaf) enter_order(p, i);
    c->page = i, c->age = p->pages[i].age, c->position += PHA__PAGE;
}

/* ---- coming and going ------------------------------------------------------------------------------------- */

int32_t pha__page_plant(pha__prefix *p, const pha__chain *c, const int32_t *ids, char *lanes)
{
    int32_t i = p->unused;
    pha__page *g = &p->pages[i];
    pha__key key = pha__page_key(p, c, ids);
    p->unused = g->next;
    *g = (pha__page){.key = key, .from = pha__page_parent(p, c), .used = ++p->tick, .age = g->age, .parent = c->page,
                     .taken = true};
    g->next = *bucket_of(p, key);
    g->lanes = lanes;
    memcpy(g->ids, ids, sizeof g->ids);
    *bucket_of(p, key) = i;
    plant(p, i);
    p->bytes += p->lanes;
    return i;
}

void pha__page_set_fixed(pha__prefix *p, int32_t i, char *fixed)
{
    p->pages[i].fixed = fixed;
    p->bytes += p->layout->fixed;
}

pha__sheet pha__page_sheet(pha__prefix *p, int32_t i)
{
    const pha__page *g = &p->pages[i];
    pha__sheet s = {.parent = g->from, .key = g->key, .lanes = g->lanes, .fixed = g->fixed};
    memcpy(s.ids, g->ids, sizeof s.ids);
    if (p->disk) s.used = pha__disk_now(p->disk);
    return s;
}

static void forget(pha__prefix *p, int32_t i)
{
    pha__page *g = &p->pages[i];
    int32_t *in = bucket_of(p, g->key);
    while (*in != i) in = &p->pages[*in].next;
    *in = g->next;
    p->bytes -= p->lanes + (g->fixed ? p->layout->fixed : 0);
    pha__gone_set(p, g->key, PHA_MISS_EVICTED);
    uproot(p, i);
    pha__sheet sheet = pha__page_sheet(p, i);
    if (p->disk) pha__disk_put(p->disk, &sheet, false);
    else pha__free(g->lanes), pha__free(g->fixed);
    *g = (pha__page){.age = g->age + 1, .next = p->unused};
    p->unused = i;
}

bool pha__page_room(pha__prefix *p, size_t bytes, int32_t keep)
{
    while (p->bytes + bytes > p->most || p->unused < 0) {
        int32_t i = p->oldest >= 0 && p->oldest == keep ? p->pages[keep].newer : p->oldest;
        if (i < 0) return false;
        forget(p, i);
    }
    return true;
}

int32_t pha__page_order(pha__prefix *p, int32_t *order)
{
    int32_t n = 0;
    for (int32_t i; (i = p->oldest) >= 0;) uproot(p, order[n++] = i);
    return n;
}
