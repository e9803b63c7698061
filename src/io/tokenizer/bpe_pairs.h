/* bpe_pairs.h -- the pairs of neighbouring symbols in all words: how often, and in which words */
#ifndef PHA__BPE_PAIRS_H
#define PHA__BPE_PAIRS_H

#include "io/tokenizer/tokenizer_impl.h"

#define PHA__NO_PAIR UINT32_MAX

typedef struct pha__pair_entry {
    uint64_t pair;  /* left << 32 | right */
    int64_t count;  /* neighbouring places, overlapping ones counted, times the words' counts */
    uint32_t words; /* first node of the list, 0: none */
    uint32_t risen; /* count went up since it was last put on the heap */
} pha__pair_entry;

typedef struct pha__word_node { /* 32 bytes: half a cache line */
    uint32_t next, n, word[6];
} pha__word_node;

typedef struct pha__pairs {
    pha__pair_entry *entries;
    uint32_t *slots; /* open hash table of entry + 1; 0: free */
    uint32_t n, capacity, slots_mask;
    pha__word_node *nodes; /* node 0 isn't used */
    uint32_t n_nodes, nodes_capacity, free_nodes;
} pha__pairs;

pha_status pha__pairs_open(pha__pairs *p);
void pha__pairs_close(pha__pairs *p);
/* Adds to the count of a pair, which is made if need be; *entry is its number. */
pha_status pha__pairs_count(pha__pairs *p, int32_t left, int32_t right, int64_t change, uint32_t *entry);
/* Notes that a word holds the pair (a word may be noted more than once). */
pha_status pha__pairs_note(pha__pairs *p, uint32_t entry, uint32_t word);
/* Takes the list of words off a pair; pass each node to pha__pairs_free_node after use. */
uint32_t pha__pairs_take(pha__pairs *p, uint32_t entry);
void pha__pairs_free_node(pha__pairs *p, uint32_t node);

#endif
