/* schedule.h -- learning rates: warm-up, then constant, cosine, or reduce on plateau (pha.md 6) */
#ifndef PHA__SCHEDULE_H
#define PHA__SCHEDULE_H

#include <stdint.h>

#include "pha.h"

typedef struct pha__schedule { /* plain data; the last four are the plateau's state and belong to a checkpoint */
    pha_schedule kind;
    double lr, min_ratio, factor;
    int64_t warmup, total;
    int32_t patience;
    int32_t bad;
    double best, scale;
} pha__schedule;

/* Rate of update `step`, from 0. The warm-up begins with a part of the peak and ends at it, in update warmup - 1;
 * without one the first update has the peak. The last update of a cosine (total - 1), and what is made beyond it, has
 * min_ratio times the peak, unless it is the one at the peak. */
double pha__schedule_lr(const pha__schedule *s, int64_t step);
/* Tells the plateau a validation loss: better means below best (1 - 1e-4); the (patience + 1)-th bad value in a row
 * cuts the rate. */
void pha__schedule_observe(pha__schedule *s, double loss);

#endif
