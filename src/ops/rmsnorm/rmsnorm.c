/* rmsnorm.c -- the row of the op; see rmsnorm.h */
#include "ops/rmsnorm/rmsnorm.h"

static pha_status shape(pha__shape *s)
{
    if (s->in[1].present && s->in[1].width != s->in[0].width)
        FAIL(BAD_INPUT, "rmsnorm: gain has width %d, input %d", s->in[1].width, s->in[0].width);
    s->width = s->in[0].width;
    return PHA_OK;
}

static double flops(const pha__shape *s, pha__pass pass, int64_t context)
{
    (void)context;
    return (pass == PHA__FORWARD ? 4.0 : 9.0) * s->B * s->T * s->width;
}

const pha__op pha__op_rmsnorm = {
    .name = "rmsnorm",
    .equation = "out = gain * x / sqrt(mean x^2 + eps)    (pha.md 1)",
    .min_in = 1,
    .max_in = 2,
    .params = PHA__IN(1),
    .keep_in = PHA__IN(0) | PHA__IN(1),
    .shape = shape,
    .flops = flops,
};
