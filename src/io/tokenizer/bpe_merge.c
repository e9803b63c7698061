/* bpe_merge.c -- merging the symbols of one word: a scan for short words, a heap over a linked list for long ones */
#include "io/tokenizer/bpe_merge.h"

#include <string.h>

#include "base/mem.h"

#define NO_RANK UINT32_MAX

static inline uint32_t rank_of(const pha__tokenizer *t, int32_t left, int32_t right)
{
    const pha__merge_slot *slot = pha__merge_find(t, left, right);
    return slot ? slot->rank : NO_RANK;
}

static size_t merge_short(const pha__tokenizer *t, const unsigned char *word, size_t n, int32_t *ids)
{
    uint32_t rank[PHA__SHORT_WORD]; /* of the pair that begins at each symbol */
    for (size_t i = 0; i < n; i++) ids[i] = t->byte_id[word[i]];
    for (size_t i = 0; i + 1 < n; i++) rank[i] = rank_of(t, ids[i], ids[i + 1]);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++) {
            if (rank[i] < rank[best]) best = i;
        }
        if (rank[best] == NO_RANK) break;
        ids[best] = t->merges[rank[best]].id;
        n--;
        for (size_t i = best + 1; i < n; i++) {
            ids[i] = ids[i + 1];
            rank[i - 1] = rank[i];
        }
        if (best) rank[best - 1] = rank_of(t, ids[best - 1], ids[best]);
        if (best + 1 < n) rank[best] = rank_of(t, ids[best], ids[best + 1]);
    }
    return n;
}

/* A heap of rank << 32 | position, smallest first, four children a node. */
static void sift_down(uint64_t *heap, size_t n, size_t i, uint64_t x)
{
    for (size_t child; (child = 4 * i + 1) < n; i = child) {
        size_t end = child + 4 < n ? child + 4 : n;
        for (size_t k = child + 1; k < end; k++) {
            if (heap[k] < heap[child]) child = k;
        }
        if (heap[child] >= x) break;
        heap[i] = heap[child];
    }
    heap[i] = x;
}

static void sift_up(uint64_t *heap, size_t i, uint64_t x)
{
    for (; i && heap[(i - 1) / 4] > x; i = (i - 1) / 4) heap[i] = heap[(i - 1) / 4];
    heap[i] = x;
}

typedef struct word_list { /* symbols as a linked list of places in arrays */
    uint64_t *heap;
    uint32_t *rank, *next, *prev; /* NO_RANK: no merge; next n, prev UINT32_MAX: none */
    int32_t *ids;
    size_t n_heap;
} word_list;

/* Memory per symbol: a symbol has at most one valid entry in the heap and every merge makes at most two new ones. */
#define HEAP_PER_SYMBOL 3
#define SYMBOL_BYTES (HEAP_PER_SYMBOL * sizeof(uint64_t) + 3 * sizeof(uint32_t))

static pha_status reserve(pha__merge_space *space, size_t n)
{
    if (space->capacity >= n) return PHA_OK;
    pha__merge_space_free(space);
    space->block = pha__alloc(n, SYMBOL_BYTES);
    if (!space->block) return PHA_NO_MEMORY;
    space->capacity = n;
    return PHA_OK;
}

void pha__merge_space_free(pha__merge_space *space)
{
    pha__free(space->block);
    *space = (pha__merge_space){0};
}

static void set_rank(const pha__tokenizer *t, word_list *w, uint32_t left, uint32_t right)
{
    w->rank[left] = rank_of(t, w->ids[left], w->ids[right]);
    if (w->rank[left] != NO_RANK) sift_up(w->heap, w->n_heap++, (uint64_t)w->rank[left] << 32 | left);
}

/* Merges the symbol at `i` with the one after it. */
static void merge_at(const pha__tokenizer *t, word_list *w, uint32_t i, uint32_t n)
{
    uint32_t gone = w->next[i], after = w->next[gone], before = w->prev[i];
    w->ids[i] = t->merges[w->rank[i]].id;
    w->rank[i] = w->rank[gone] = NO_RANK; /* outdates their entries in the heap */
    w->next[i] = after;
    if (after < n) {
        w->prev[after] = i;
        set_rank(t, w, i, after);
    }
    if (before != UINT32_MAX) set_rank(t, w, before, i);
}

static size_t merge_long(const pha__tokenizer *t, word_list *w, const unsigned char *word, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        w->ids[i] = t->byte_id[word[i]];
        w->prev[i] = i - 1;
        w->next[i] = i + 1;
        w->rank[i] = NO_RANK;
    }
    for (uint32_t i = 0; i + 1 < n; i++) {
        w->rank[i] = rank_of(t, w->ids[i], w->ids[i + 1]);
        if (w->rank[i] != NO_RANK) w->heap[w->n_heap++] = (uint64_t)w->rank[i] << 32 | i;
    }
    for (size_t i = w->n_heap; i-- > 0;) sift_down(w->heap, w->n_heap, i, w->heap[i]);
    while (w->n_heap) {
        uint64_t top = w->heap[0];
        uint64_t last = w->heap[--w->n_heap];
        if (w->n_heap) sift_down(w->heap, w->n_heap, 0, last);
        uint32_t i = (uint32_t)top;
        if (w->rank[i] == top >> 32) merge_at(t, w, i, n); /* else the pair is no more */
    }
    size_t n_ids = 0; /* the places are in order, so the ids can be moved together where they are */
    for (uint32_t i = 0; i < n; i = w->next[i]) w->ids[n_ids++] = w->ids[i];
    return n_ids;
}

pha_status pha__merge_word(const pha__tokenizer *t, pha__merge_space *space, const unsigned char *word, size_t n,
                           int32_t *ids, size_t *n_ids)
{
    if (n <= PHA__SHORT_WORD) {
        *n_ids = merge_short(t, word, n, ids);
        return PHA_OK;
    }
    if (n >= PHA__LONG_WORD)
        FAIL(BAD_INPUT, "a single word of the text has %zu bytes; at most %u can be merged", n, PHA__LONG_WORD - 1);
    TRY(reserve(space, n));
    word_list w = {.heap = space->block, .ids = ids};
    w.rank = (uint32_t *)(w.heap + HEAP_PER_SYMBOL * n);
    w.next = w.rank + n;
    w.prev = w.next + n;
    *n_ids = merge_long(t, &w, word, (uint32_t)n);
    return PHA_OK;
}
