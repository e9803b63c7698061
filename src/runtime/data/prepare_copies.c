/* prepare_copies.c -- documents whose text lies in more than one split
 *
 * The first pass remembers a hash of every document of valid and test, the last one looks for those of train among
 * them. Memory has a bound: when the table is full, only hashes that begin with one more zero bit are kept, and the
 * counts are estimates from these.
 */
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "runtime/data/prepare_impl.h"

enum { FIRST = 1024, MOST = 1 << 23 }; /* entries; the table is at most half full */

typedef struct entry {
    uint64_t hash;               /* 0: free */
    uint32_t n[PHA__DATA_SPLITS]; /* documents; of train: 1 once there is one */
} entry;

struct pha__copies {
    entry *table;
    size_t capacity, used, most;
    unsigned zeros;    /* leading zero bits that a hash must have */
    uint64_t in_train; /* documents of train that lie elsewhere, too */
    uint64_t hash;     /* of the document so far; 0: none */
    int split;
};

pha_status pha__copies_open(pha__copies **out)
{
    pha__copies *c = pha__alloc_zero(1, sizeof *c);
    *out = c;
    if (!c) FAIL(NO_MEMORY, "out of memory for comparing documents");
    c->capacity = FIRST, c->most = MOST;
    c->table = pha__alloc_zero(FIRST, sizeof *c->table);
    if (!c->table) FAIL(NO_MEMORY, "out of memory for comparing documents");
    return PHA_OK;
}

void pha__copies_close(pha__copies *c)
{
    if (!c) return;
    pha__free(c->table);
    pha__free(c);
}

void pha__copies_limit(pha__copies *c, size_t entries) { c->most = entries; }

static entry *find(const pha__copies *c, uint64_t hash)
{
    size_t i = hash & (c->capacity - 1);
    while (c->table[i].hash && c->table[i].hash != hash) i = (i + 1) & (c->capacity - 1);
    return &c->table[i];
}

static bool kept(const pha__copies *c, uint64_t hash) { return c->zeros == 0 || hash >> (64 - c->zeros) == 0; }

/* Makes room: a larger table, or fewer hashes. */
static pha_status make_room(pha__copies *c)
{
    size_t old = c->capacity;
    entry *from = c->table;
    bool larger = old < c->most;
    entry *to = pha__alloc_zero(larger ? 2 * old : old, sizeof *to);
    if (!to) FAIL(NO_MEMORY, "out of memory for comparing documents");
    c->table = to, c->used = 0;
    if (larger) c->capacity = 2 * old;
    else c->zeros++;
    for (size_t i = 0; i < old; i++) {
        if (!from[i].hash || !kept(c, from[i].hash)) continue;
        *find(c, from[i].hash) = from[i];
        c->used++;
    }
    pha__free(from);
    return PHA_OK;
}

/* White space around a document is no part of what is compared. */
static void add_text(pha__copies *c, const pha__segment *s)
{
    const char *text = s->data;
    size_t n = s->size;
    while (s->begins && n && pha__text_is_space(*text)) text++, n--;
    while (s->ends && n && pha__text_is_space(text[n - 1])) n--;
    if (n) c->hash = pha__hash(text, n, c->hash);
}

static pha_status end_document(pha__copies *c, bool look)
{
    uint64_t hash = c->hash;
    c->hash = 0;
    if (!hash || !kept(c, hash)) return PHA_OK;
    entry *e = find(c, hash);
    if (look) { /* it is one of train */
        if (e->hash) c->in_train++, e->n[PHA__SPLIT_TRAIN] = 1;
        return PHA_OK;
    }
    c->used += !e->hash;
    e->hash = hash;
    e->n[c->split]++;
    return 2 * c->used > c->capacity ? make_room(c) : PHA_OK;
}

static pha_status add(pha__copies *c, const pha__segment *s, bool look)
{
    if (s->begins) {
        TRY(end_document(c, look));
        c->split = s->split;
    }
    add_text(c, s);
    return s->ends ? end_document(c, look) : PHA_OK;
}

pha_status pha__copies_remember(pha__copies *c, const pha__segment *s)
{
    return s->split == PHA__SPLIT_TRAIN ? end_document(c, false) : add(c, s, false);
}

pha_status pha__copies_look(pha__copies *c, const pha__segment *s)
{
    if (s->split != PHA__SPLIT_TRAIN) return end_document(c, true);
    return c->used ? add(c, s, true) : PHA_OK;
}

pha_status pha__copies_end_pass(pha__copies *c, bool look) { return end_document(c, look); }

void pha__copies_forget(pha__copies *c)
{
    memset(c->table, 0, c->capacity * sizeof *c->table);
    c->used = 0, c->zeros = 0, c->in_train = 0, c->hash = 0;
}

bool pha__copies_count(const pha__copies *c, uint64_t documents[PHA__DATA_SPLITS])
{
    memset(documents, 0, PHA__DATA_SPLITS * sizeof *documents);
    documents[PHA__SPLIT_TRAIN] = c->in_train << c->zeros;
    for (size_t i = 0; i < c->capacity; i++) {
        const uint32_t *n = c->table[i].n;
        bool train = n[PHA__SPLIT_TRAIN], valid = n[PHA__SPLIT_VALID], test = n[PHA__SPLIT_TEST];
        if (train || test) documents[PHA__SPLIT_VALID] += (uint64_t)n[PHA__SPLIT_VALID] << c->zeros;
        if (train || valid) documents[PHA__SPLIT_TEST] += (uint64_t)n[PHA__SPLIT_TEST] << c->zeros;
    }
    return c->zeros == 0;
}
