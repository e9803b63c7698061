/* prefix_recall.c -- pages of a text back from the folder into memory, while sessions go on computing */
#include <string.h>

#include "base/mem.h"
#include "runtime/infer/prefix_tree.h"

enum { TOUCHED = 1024 /* pages of one text whose files are marked as used, the first ones */ };

typedef struct recall {
    pha__prefix *p;
    pha__chain chain;  /* as far as the text lies in memory */
    const int32_t *ids;
    size_t n;
    pha__key touched[TOUCHED];
    size_t n_touched;
} recall;

static bool more(const recall *r) { return (size_t)r->chain.position + PHA__PAGE < r->n; }

/* As far as memory goes; false: there is no more of the text, or what was walked over has just gone. *missing: the next
 * page. */
static bool walk(recall *r, pha__sheet *missing)
{
    pha__prefix *p = r->p;
    bool good = pha__page_stands(p, &r->chain);
    while (good && more(r)) {
        const int32_t *ids = r->ids + r->chain.position;
        int32_t i = pha__page_find(p, &r->chain, ids);
        if (i < 0) {
            missing->parent = pha__page_parent(p, &r->chain), missing->key = pha__page_key(p, &r->chain, ids);
            memcpy(missing->ids, ids, sizeof missing->ids);
            return true;
        }
        pha__page_step(p, &r->chain, i);
    }
    return false;
}

/* Takes the sheet's memory over. False: there is no room for it, or its place has changed. */
static bool insert(recall *r, pha__sheet *s)
{
    pha__prefix *p = r->p;
    int32_t i = -1;
    bool stands = pha__page_stands(p, &r->chain);
    if (stands) i = pha__page_find(p, &r->chain, s->ids); /* somebody may have read it in the meantime */
    if (stands && i < 0 && pha__page_room(p, p->lanes, r->chain.page)) {
        i = pha__page_plant(p, &r->chain, s->ids, s->lanes);
        s->lanes = NULL;
    }
    if (i >= 0 && s->fixed && !p->pages[i].fixed && pha__page_room(p, p->layout->fixed, i)) {
        pha__page_set_fixed(p, i, s->fixed);
        s->fixed = NULL;
    }
    pha__free(s->lanes);
    pha__free(s->fixed);
    if (i >= 0) pha__page_step(p, &r->chain, i);
    return i >= 0;
}

/* The next page that is not in memory; false: it did not come. */
static bool fetch(recall *r)
{
    static const pha_miss why[] = {[PHA__SHEET_DAMAGED] = PHA_MISS_DAMAGED, [PHA__SHEET_OTHER] = PHA_MISS_OTHER_MODEL};
    pha__sheet s;
    pthread_mutex_lock(&r->p->lock);
    bool missing = walk(r, &s);
    pthread_mutex_unlock(&r->p->lock);
    if (!missing) return false;
    pha__sheet_found found = pha__disk_get(r->p->disk, &s); /* as long as it takes, without the lock */
    pthread_mutex_lock(&r->p->lock);
    bool came = found == PHA__SHEET_FOUND && insert(r, &s);
    bool told = pha__gone_why(r->p, s.key) != PHA_MISS_NONE;
    if (found == PHA__SHEET_DAMAGED || (found == PHA__SHEET_OTHER && !told)) pha__gone_set(r->p, s.key, why[found]);
    pthread_mutex_unlock(&r->p->lock);
    if (came && r->n_touched < TOUCHED) r->touched[r->n_touched++] = s.key;
    return came;
}

int64_t pha__prefix_recall(pha__prefix *p, pha__key root, const int32_t *ids, size_t n)
{
    int64_t tokens = 0;
    if (!p->disk) return 0;
    recall *r = pha__alloc_zero(1, sizeof *r);
    if (!r) return 0;
    r->p = p, r->ids = ids, r->n = n;
    r->chain = (pha__chain){.page = PHA__ROOT, .root = root};
    while (fetch(r)) tokens += PHA__PAGE;
    pha__disk_used(p->disk, r->touched, r->n_touched);
    pha__free(r);
    return tokens;
}
