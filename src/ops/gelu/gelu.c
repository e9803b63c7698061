/* gelu.c -- the row of the op; see gelu.h */
#include "ops/gelu/gelu.h"

static pha_status shape(pha__shape *s)
{
    s->width = s->in[0].width;
    return PHA_OK;
}

static double flops(const pha__shape *s, pha__pass pass, int64_t context)
{
    (void)context;
    return (pass == PHA__FORWARD ? 8.0 : 14.0) * s->B * s->T * s->width;
}

const pha__op pha__op_gelu = {
    .name = "gelu",
    .equation = "out = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))    (baselines.md 1)",
    .min_in = 1,
    .max_in = 1,
    .keep_in = PHA__IN(0),
    .shape = shape,
    .flops = flops,
};
