/* schedule.c -- learning rates (pha.md 6) */
#include "runtime/train/schedule.h"

#include <math.h>

double pha__schedule_lr(const pha__schedule *s, int64_t step)
{
    if (step < s->warmup) return s->lr * (double)(step + 1) / (double)s->warmup;
    if (s->kind == PHA_SCHEDULE_PLATEAU) return s->lr * s->scale;
    if (s->kind != PHA_SCHEDULE_COSINE) return s->lr;
    double span = (double)(s->total - s->warmup), at = span > 0 ? (double)(step - s->warmup) / span : 1;
    double ratio = s->min_ratio + (1 - s->min_ratio) * 0.5 * (1 + cos(M_PI * fmin(at, 1)));
    return s->lr * ratio;
}

void pha__schedule_observe(pha__schedule *s, double loss)
{
    if (loss < s->best * (1 - 1e-4)) {
        s->best = loss, s->bad = 0;
    } else if (++s->bad > s->patience) {
        s->scale *= s->factor, s->bad = 0;
    }
}
