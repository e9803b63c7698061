/* bpe_words.h -- counting the words of a text, in bounded memory */
#ifndef PHA__BPE_WORDS_H
#define PHA__BPE_WORDS_H

#include "io/tokenizer/tokenizer_impl.h"

#define PHA__TRAIN_WORD 1024 /* longer words are cut: no token comes near this */

typedef struct pha__word {
    uint64_t count;
    uint32_t start, size; /* in the bytes */
} pha__word;

typedef struct pha__words {
    pha__word *words;
    uint32_t *slots; /* open hash table of word + 1; 0: free */
    unsigned char *bytes;
    size_t n, capacity, max_words, slots_mask, bytes_size, bytes_capacity;
    uint64_t n_dropped;
} pha__words;

pha_status pha__words_open(pha__words *w, size_t max_words);
void pha__words_close(pha__words *w);
pha_status pha__words_add(pha__words *w, const unsigned char *word, size_t size);

#endif
