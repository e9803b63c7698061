/* bpe_merge.h -- merging the symbols of one word */
#ifndef PHA__BPE_MERGE_H
#define PHA__BPE_MERGE_H

#include "io/tokenizer/tokenizer_impl.h"

#define PHA__SHORT_WORD 64         /* symbols up to which a plain scan for the best pair is the fastest */
#define PHA__LONG_WORD  UINT32_MAX /* words are shorter than this */

/* Memory for long words, kept between calls. Zero-initialise. */
typedef struct pha__merge_space {
    void *block;
    size_t capacity; /* symbols */
} pha__merge_space;

void pha__merge_space_free(pha__merge_space *space);

/* Writes the ids of a word of n > 0 bytes (room for n) and their number. The best pair (lowest rank, then leftmost) is
 * merged until none is left. O(n log n). */
pha_status pha__merge_word(const pha__tokenizer *t, pha__merge_space *space, const unsigned char *word, size_t n,
                           int32_t *ids, size_t *n_ids);

#endif
