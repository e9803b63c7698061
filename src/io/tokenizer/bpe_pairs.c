/* bpe_pairs.c -- the pairs of neighbouring symbols in all words: how often, and in which words */
#include "io/tokenizer/bpe_pairs.h"

#include <string.h>

#include "base/mem.h"

enum { FIRST = 1 << 12 };

pha_status pha__pairs_open(pha__pairs *p)
{
    *p = (pha__pairs){.capacity = FIRST, .slots_mask = FIRST * 2 - 1, .n_nodes = 1, .nodes_capacity = FIRST};
    p->entries = pha__alloc(p->capacity, sizeof *p->entries);
    p->slots = pha__alloc_zero((size_t)p->slots_mask + 1, sizeof *p->slots);
    p->nodes = pha__alloc(p->nodes_capacity, sizeof *p->nodes);
    return p->entries && p->slots && p->nodes ? PHA_OK : PHA_NO_MEMORY;
}

void pha__pairs_close(pha__pairs *p)
{
    pha__free(p->entries);
    pha__free(p->slots);
    pha__free(p->nodes);
    *p = (pha__pairs){0};
}

static uint32_t place(const pha__pairs *p, uint64_t pair)
{
    for (uint32_t i = (uint32_t)(pha__mix64(pair) >> 32) & p->slots_mask;; i = (i + 1) & p->slots_mask)
        if (!p->slots[i] || p->entries[p->slots[i] - 1].pair == pair) return i;
}

static pha_status grow(pha__pairs *p)
{
    if (p->capacity > UINT32_MAX / 4) FAIL(NO_MEMORY, "too many different pairs in the text; use fewer words");
    uint32_t capacity = p->capacity * 2;
    pha__pair_entry *entries = pha__realloc(p->entries, capacity, sizeof *entries);
    if (!entries) return PHA_NO_MEMORY;
    p->entries = entries;
    uint32_t *slots = pha__alloc_zero((size_t)capacity * 2, sizeof *slots);
    if (!slots) return PHA_NO_MEMORY;
    pha__free(p->slots);
    p->slots = slots;
    p->capacity = capacity;
    p->slots_mask = capacity * 2 - 1;
    for (uint32_t k = 0; k < p->n; k++) p->slots[place(p, p->entries[k].pair)] = k + 1;
    return PHA_OK;
}

pha_status pha__pairs_count(pha__pairs *p, int32_t left, int32_t right, int64_t change, uint32_t *entry)
{
    uint64_t pair = pha__pair(left, right);
    uint32_t i = place(p, pair);
    if (!p->slots[i]) {
        if (p->n == p->capacity) {
            TRY(grow(p));
            i = place(p, pair);
        }
        p->entries[p->n] = (pha__pair_entry){.pair = pair};
        p->slots[i] = ++p->n;
    }
    *entry = p->slots[i] - 1;
    p->entries[*entry].count += change;
    return PHA_OK;
}

static pha_status new_node(pha__pairs *p, uint32_t *node)
{
    if (p->free_nodes) {
        *node = p->free_nodes;
        p->free_nodes = p->nodes[*node].next;
        return PHA_OK;
    }
    if (p->n_nodes == p->nodes_capacity) {
        if (p->nodes_capacity > UINT32_MAX / 2) FAIL(NO_MEMORY, "too many words in the text; use fewer words");
        pha__word_node *nodes = pha__realloc(p->nodes, (size_t)p->nodes_capacity * 2, sizeof *nodes);
        if (!nodes) return PHA_NO_MEMORY;
        p->nodes = nodes;
        p->nodes_capacity *= 2;
    }
    *node = p->n_nodes++;
    return PHA_OK;
}

pha_status pha__pairs_note(pha__pairs *p, uint32_t entry, uint32_t word)
{
    uint32_t first = p->entries[entry].words;
    const pha__word_node *have = &p->nodes[first];
    if (first && have->word[have->n - 1] == word) return PHA_OK;
    if (!first || have->n == sizeof have->word / sizeof *have->word) {
        uint32_t node = 0;
        TRY(new_node(p, &node));
        p->nodes[node].next = first;
        p->nodes[node].n = 0;
        p->entries[entry].words = first = node;
    }
    pha__word_node *node = &p->nodes[first];
    node->word[node->n++] = word;
    return PHA_OK;
}

uint32_t pha__pairs_take(pha__pairs *p, uint32_t entry)
{
    uint32_t first = p->entries[entry].words;
    p->entries[entry].words = 0;
    return first;
}

void pha__pairs_free_node(pha__pairs *p, uint32_t node)
{
    p->nodes[node].next = p->free_nodes;
    p->free_nodes = node;
}
