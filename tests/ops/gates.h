/* gates.h -- values of gated state spaces: rates of trained models and beyond, gates that are shut or open */
#ifndef GATES_H
#define GATES_H

#include <math.h>

#include "ops/harness.h"

/* rates from 1e-3 to 1.6 as in a trained model (pha.md 5) */
static inline void pha__fill_rates(float *x, int rows, int width, pha__random *r)
{
    (void)r;
    for (int i = 0; i < rows * width; i++)
        x[i] = logf(1e-3f * powf(1600.0f, (float)i / (float)(width > 1 ? width - 1 : 1)));
}

/* a from 1 - 1e-7 to 1e-30 and beyond both ends */
static inline void pha__fill_extreme_rates(float *x, int rows, int width, pha__random *r)
{
    static const float theta[] = {-16.118f, 4.235f, -30, 3, 0, -8, 5, 20};
    (void)r;
    for (int i = 0; i < rows * width; i++) x[i] = theta[i % 8];
}

/* some gates shut or open altogether */
static inline void pha__fill_saturated(float *x, int rows, int width, pha__random *r)
{
    for (int64_t k = 0; k < (int64_t)rows * width; k++) {
        int kind = pha__random_below(r, 3);
        x[k] = kind == 0 ? 30 : kind == 1 ? -30 : 3 * pha__random_normal(r);
    }
}

#define SATURATED(N) {.width = (N), .fill = pha__fill_saturated}
#define EXTREME_RATES(N) {.rows = 1, .width = (N), .fill = pha__fill_extreme_rates}

#endif
