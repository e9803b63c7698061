/* bpe_learn.h -- from counted words to merges */
#ifndef PHA__BPE_LEARN_H
#define PHA__BPE_LEARN_H

#include "io/tokenizer/bpe_words.h"

typedef bool pha__bpe_progress(void *context, int32_t done, int32_t wanted); /* true stops */

/* The tokens (256 bytes, then the new ones) and the merges. Each merge is the most frequent pair, among equals the one
 * with the bytewise smaller left, then right token. Ends at n_wanted tokens or when no pair is left. */
typedef struct pha__learned {
    unsigned char *bytes; /* of all tokens */
    uint32_t *start;      /* n_tokens + 1 */
    pha__merge *merges;
    int32_t n_tokens;
    uint32_t n_merges;
} pha__learned;

/* Frees the words' table on the way. On failure *out still must be closed. */
pha_status pha__bpe_learn(pha__learned *out, pha__words *words, int32_t n_wanted, pha__bpe_progress *progress,
                          void *context);
void pha__learned_close(pha__learned *l);

#endif
