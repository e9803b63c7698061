/* schedule.c -- learning rates (pha.md 6) */
#include "runtime/train/schedule.h"

#include <math.h>

/* The way from the update at the peak, which is the last of the warm-up, to the last one of the run: 0 to 1. */
static double way(const pha__schedule *s, int64_t step)
{
    int64_t peak = s->warmup > 0 ? s->warmup - 1 : 0, last = s->total - 1;
    if (step <= peak) return 0;
    return step < last ? (double)(step - peak) / (double)(last - peak) : 1;
}

double pha__schedule_lr(const pha__schedule *s, int64_t step)
{
    if (step < s->warmup) return s->lr * (double)(step + 1) / (double)s->warmup;
    if (s->kind == PHA_SCHEDULE_PLATEAU) return s->lr * s->scale;
    if (s->kind != PHA_SCHEDULE_COSINE) return s->lr;
    return s->lr * (s->min_ratio + (1 - s->min_ratio) * 0.5 * (1 + cos(M_PI * way(s, step))));
}

void pha__schedule_observe(pha__schedule *s, double loss)
{
    if (loss < s->best * (1 - 1e-4)) {
        s->best = loss, s->bad = 0;
    } else if (++s->bad > s->patience) {
        s->scale *= s->factor, s->bad = 0;
    }
}
