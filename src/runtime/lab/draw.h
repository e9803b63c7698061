/* draw.h -- numbers in a row, drawn by counter (base/rng.h), for one example at a time */
#ifndef PHA__LAB_DRAW_H
#define PHA__LAB_DRAW_H

#include <stdbool.h>

#include "base/rng.h"

typedef struct pha__draws {
    uint64_t seed;
    uint32_t counter[4], words[4];
    int left;
} pha__draws;

/* The draws of an example: no two of (kind, test, index) share any. index < 2^63. */
static inline void pha__draws_begin(pha__draws *d, uint64_t seed, uint32_t kind, bool test, uint64_t index)
{
    *d = (pha__draws){.seed = seed,
                      .counter = {0, (uint32_t)index, (uint32_t)(index >> 32) | (uint32_t)test << 31,
                                  PHA__STREAM_TASK | kind << 8}};
}

static inline uint32_t pha__draw(pha__draws *d)
{
    if (d->left == 0) {
        pha__philox(d->seed, d->counter, d->words);
        d->counter[0]++;
        d->left = 4;
    }
    return d->words[--d->left];
}

/* 0 to n - 1, n >= 1. */
static inline int32_t pha__draw_below(pha__draws *d, int32_t n)
{
    return (int32_t)((uint64_t)pha__draw(d) * (uint32_t)n >> 32);
}

/* Inside (0, 1). */
static inline double pha__draw_unit(pha__draws *d) { return ((double)pha__draw(d) + 0.5) * 0x1p-32; }

#endif
