/* ngram.h -- how well a text is foretold by its last two tokens: a measure of how hard it is that costs a second */
#ifndef PHA__NGRAM_H
#define PHA__NGRAM_H

#include "io/tokens.h"

enum { PHA__NGRAM_SIZES = 3 };

/* Losses on held-out tokens after three amounts of training text, the last of them the largest. */
typedef struct pha__ngram {
    uint64_t trained[PHA__NGRAM_SIZES];
    uint64_t scored;
    double loss[PHA__NGRAM_SIZES]; /* nats per token, of order 2: behind two tokens */
    double order[3];               /* after the last amount: of orders 0, 1 and 2 */
} pha__ngram;

/* Absolute discounting, each order smoothed by the one below it (Ney, Essen and Kneser 1994), the lowest by equal
 * shares. Trains on at most PHA__NGRAM_MOST tokens from all over `train` and scores the first `scored` of `valid`.
 * STOPPED: on a stop request. */
#define PHA__NGRAM_MOST ((uint64_t)1 << 20)
pha_status pha__ngram_measure(pha__ngram *out, const pha__tokens *train, const pha__tokens *valid, uint64_t scored);

/* The loss after so many tokens: a power of them between the sizes that were measured, and on beyond the last. */
double pha__ngram_at(const pha__ngram *m, double tokens);

#endif
