/* prefix.c -- pages of texts that have been read: adding, finding, and what comes back from a folder */
#include "runtime/infer/prefix_tree.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

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

/* Files are those of who computes the same bits and lays a state out alike. */
static pha__key identity(const pha__prefix *p, const char *bits)
{
    pha__key key = pha__hash_key(bits, strlen(bits));
    for (int i = 0; i < p->layout->n; i++) {
        const pha__state_layout *l = &p->layout->part[i].layout;
        uint64_t said[5] = {key.low, key.high, l->fixed, l->token, (uint64_t)l->lanes};
        key = pha__hash_key(said, sizeof said);
    }
    return key;
}

/* An eighth of the memory is for pages on their way to the folder. */
static pha_status open_disk(pha__prefix *p, const pha__prefix_options *o)
{
    size_t waiting = o->bytes / 8;
    if (!o->folder || p->too_small) return PHA_OK;
    p->most -= waiting;
    return pha__disk_open(&p->disk, o->folder, o->disk, identity(p, o->bits), p->lanes, p->layout->fixed, waiting);
}

static pha_status open_parts(pha__prefix *p, const pha__prefix_options *o)
{
    p->too_small = !measure(p) || o->bytes < p->lanes + p->layout->fixed + sizeof(pha__page);
    size_t n = p->too_small ? 1 : o->bytes / (p->lanes + sizeof(pha__page) + sizeof(int32_t)) + 1;
    p->n = n < 1 << 18 ? (int32_t)n : 1 << 18;
    p->pages = pha__alloc_zero((size_t)p->n, sizeof *p->pages);
    p->bucket = pha__alloc((size_t)p->n, sizeof *p->bucket);
    p->gone = pha__alloc_zero(PHA__GONE, sizeof *p->gone);
    if (!p->pages || !p->bucket || !p->gone)
        FAIL(NO_MEMORY, "no memory for a store of %.1f MB of texts", (double)o->bytes / 1e6);
    for (int32_t i = 0; i < p->n; i++) p->pages[i].next = i + 1 < p->n ? i + 1 : -1, p->bucket[i] = -1;
    return open_disk(p, o);
}

pha_status pha__prefix_open(pha__prefix **out, const pha__state *layout, const pha__prefix_options *o)
{
    *out = NULL;
    pha__prefix *p = pha__alloc_zero(1, sizeof *p);
    if (!p) return PHA_NO_MEMORY;
    pthread_mutex_init(&p->lock, NULL);
    p->layout = layout, p->most = o->bytes;
    p->root = p->oldest = p->newest = -1;
    pha_status status = open_parts(p, o);
    if (status) pha__prefix_close(p);
    else *out = p;
    return status;
}

/* To the folder what fits there of what was used last: parents before their children, so that what a process that is
 * killed meanwhile has written can be found. */
static void empty(pha__prefix *p)
{
    int32_t *order = pha__alloc((size_t)p->n, sizeof *order), n = order ? pha__page_order(p, order) : 0;
    struct timespec *used = p->disk ? pha__alloc((size_t)n + 1, sizeof *used) : NULL;
    size_t room = used ? pha__disk_room(p->disk) : 0, size = p->lanes + p->layout->fixed;
    int32_t first = room / size < (size_t)n ? n - (int32_t)(room / size) : 0;
    for (int32_t k = first; used && k < n; k++) used[k] = pha__disk_now(p->disk);
    for (int32_t k = n - 1; k >= first && used; k--) {
        pha__sheet sheet = pha__page_sheet(p, order[k]);
        sheet.used = used[k];
        p->pages[order[k]].lanes = p->pages[order[k]].fixed = NULL;
        pha__disk_put(p->disk, &sheet, true);
    }
    pha__free(used);
    pha__free(order);
}

void pha__prefix_close(pha__prefix *p)
{
    if (!p) return;
    if (p->gone) empty(p);
    pha__disk_close(p->disk);
    for (int32_t i = 0; p->pages && i < p->n; i++) pha__free(p->pages[i].lanes), pha__free(p->pages[i].fixed);
    pthread_mutex_destroy(&p->lock);
    pha__free(p->pages);
    pha__free(p->bucket);
    pha__free(p->gone);
    pha__free(p);
}

pha__key pha__prefix_root(const char *tenant) { return pha__hash_key(tenant, strlen(tenant)); }

void pha__prefix_count(pha__prefix *p, pha_texts_info *out)
{
    pha__disk_counts disk = {0};
    if (p->disk) pha__disk_count(p->disk, &disk);
    pthread_mutex_lock(&p->lock);
    *out = (pha_texts_info){.ram = p->bytes, .disk = disk.bytes, .waiting = disk.waiting, .written = disk.written,
                            .read = disk.read, .dropped = disk.dropped, .damaged = disk.damaged, .failed = disk.failed};
    pthread_mutex_unlock(&p->lock);
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
    if (!pha__page_room(p, p->lanes, c->page)) return -1;
    char *lanes = pha__alloc(p->lanes + 1, 1);
    if (lanes && !move_lanes(p, d, state, lanes, c->position, position, true))
        return pha__page_plant(p, c, ids, lanes);
    pha__free(lanes);
    return -1;
}

static void add_fixed(pha__prefix *p, int32_t i, pha__device *d, char *state)
{
    if (p->pages[i].fixed || !pha__page_room(p, p->layout->fixed, i)) return;
    char *fixed = pha__alloc(p->layout->fixed + 1, 1);
    if (fixed && !move_fixed(p, d, state, fixed, true)) pha__page_set_fixed(p, i, fixed);
    else pha__free(fixed);
}

static void add(pha__prefix *p, pha__chain *c, pha__device *d, char *state, const int32_t *ids, int64_t n_ids,
                int64_t position)
{
    int32_t mine[PHA__PAGE];
    while (c->position + PHA__PAGE <= position) {
        int32_t i = -1;
        if (pha__page_stands(p, c)) {
            for (int64_t k = 0; k < PHA__PAGE; k++) mine[k] = ids[(c->position + k) % n_ids];
            i = pha__page_find(p, c, mine);
            if (i < 0) i = add_page(p, c, d, state, mine, position);
        }
        if (i < 0) { /* the chain was broken by what went: nothing behind it can be found */
            c->page = PHA__NO_PAGE;
            return;
        }
        pha__page_step(p, c, i);
    }
    if (c->position == position) add_fixed(p, c->page, d, state);
}

void pha__prefix_add(pha__prefix *p, pha__chain *c, pha__device *d, char *state, const int32_t *ids, int64_t n_ids,
                     int64_t position)
{
    bool ends = c->position + PHA__PAGE <= position; /* a page, or several */
    if (p->too_small || c->page == PHA__NO_PAGE || !ends) return;
    pthread_mutex_lock(&p->lock);
    add(p, c, d, state, ids, n_ids, position);
    pthread_mutex_unlock(&p->lock);
}

/* ---- finding ---------------------------------------------------------------------------------------------- */

/* How far the ids agree with the page behind the chain that agrees longest; -1: there is no page behind it. */
static int64_t agreement(const pha__prefix *p, const pha__chain *c, const int32_t *ids, size_t n)
{
    int64_t best = -1;
    for (int32_t i = c->page < 0 ? p->root : p->pages[c->page].child; i >= 0; i = p->pages[i].after) {
        const pha__page *g = &p->pages[i];
        if (c->page == PHA__ROOT && !pha__key_equal(g->from, c->root)) continue; /* of another tenant */
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
        int64_t k = agreement(p, c, ids + c->position, left);
        r->miss = pha__gone_why(p, pha__page_key(p, c, ids + c->position));
        if (r->miss != PHA_MISS_NONE) return;
        if (k < 0) r->miss = c->position ? PHA_MISS_NONE : PHA_MISS_FIRST_USE;
        else r->miss = PHA_MISS_DIFFERS, r->at = c->position + k;
    }
}

static pha_status find(pha__prefix *p, pha__chain *c, pha__device *d, char *state, const int32_t *ids, size_t n,
                       pha_reuse *reuse)
{
    pha__chain at = *c, best = *c;
    while ((size_t)at.position + PHA__PAGE < n) {
        int32_t i = pha__page_find(p, &at, ids + at.position);
        if (i < 0) break;
        pha__page_step(p, &at, i);
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

pha_status pha__prefix_find(pha__prefix *p, pha__chain *c, pha__device *d, char *state, const int32_t *ids,
                            size_t n, pha_reuse *reuse)
{
    *reuse = (pha_reuse){.miss = PHA_MISS_NO_ROOM};
    if (p->too_small) return PHA_OK;
    pthread_mutex_lock(&p->lock);
    pha_status status = find(p, c, d, state, ids, n, reuse);
    pthread_mutex_unlock(&p->lock);
    return status;
}
