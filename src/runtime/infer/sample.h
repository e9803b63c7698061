/* sample.h -- the choice of the next token, as a pure function of logits, options, seed and count */
#ifndef PHA__SAMPLE_H
#define PHA__SAMPLE_H

#include "pha.h"

typedef struct pha__choice {
    double value; /* the logit, later its weight */
    int32_t id;
} pha__choice;

pha_status pha__sample_check(const pha_sample_options *o); /* ranges */

/* In this order, as Hugging Face documents them: the repetition penalty on the raw logits of the tokens in `recent`,
 * temperature, the top_k most likely, of these the fewest that hold top_p, of these those with at least min_p of the
 * highest probability. Between equal logits the lower id goes first. `count` is the number of the draw under this seed;
 * `work` has room for V choices. PHA_NUMERIC: a logit is NaN or +inf, or all are -inf. */
pha_status pha__sample(int32_t *id, const float *logits, int32_t V, const pha_sample_options *o, const int32_t *recent,
                       size_t n_recent, uint64_t count, pha__choice *work);

#endif
