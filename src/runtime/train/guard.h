/* guard.h -- tells a fault (a garbled batch, an explosion) from data that is merely hard
 *
 * The loss of a step and the logarithm of its gradient's norm are held against their own running mean and deviation, so
 * that neither the unit of the loss nor its size matters. Steps that are refused count too, none by more than the limit
 * moves: whatever keeps coming is soon inside of it. By Chebyshev's inequality no more than one step in `limit` squared
 * is refused for long.
 */
#ifndef PHA__GUARD_H
#define PHA__GUARD_H

#include <stdbool.h>
#include <stdint.h>

typedef struct pha__spread {
    double mean, variance;
} pha__spread;

typedef struct pha__guard { /* belongs to a checkpoint */
    int64_t seen; /* steps that the two are made of */
    pha__spread loss, norm;
} pha__guard;

enum {
    PHA__GUARD_FROM = 50, /* steps are seen before one is judged */
    PHA__GUARD_BATCH = 8  /* sequences; the loss of fewer is that of the text that they happen to hold */
};

/* Refuses what is not finite, and with limit > 0 a loss or norm more than `limit` deviations above its mean. */
bool pha__guard_refuses(const pha__guard *g, double limit, double loss, double norm);
/* Counts a step, made or refused; what is not finite is left out. limit as above; 0: as if it were 8. */
void pha__guard_see(pha__guard *g, double limit, double loss, double norm);

#endif
