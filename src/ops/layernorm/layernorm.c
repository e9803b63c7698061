/* layernorm.c -- the row of the op; see layernorm.h */
#include "ops/layernorm/layernorm.h"

static pha_status shape(pha__shape *s)
{
    for (int i = 1; i < 3; i++)
        if (s->in[i].rows != 1 || s->in[i].width != s->in[0].width)
            FAIL(BAD_INPUT, "layernorm: the %s is %d x %d, the input %d wide", i == 1 ? "gain" : "bias", s->in[i].rows,
                 s->in[i].width, s->in[0].width);
    s->width = s->in[0].width;
    return PHA_OK;
}

static double flops(const pha__shape *s, pha__pass pass, int64_t context)
{
    (void)context;
    return (pass == PHA__FORWARD ? 7.0 : 14.0) * s->B * s->T * s->width;
}

const pha__op pha__op_layernorm = {
    .name = "layernorm",
    .equation = "out = gain * (x - mean x) / sqrt(var x + eps) + bias    (baselines.md 1)",
    .min_in = 3,
    .max_in = 3,
    .params = PHA__IN(1) | PHA__IN(2),
    .keep_in = PHA__IN(0) | PHA__IN(1),
    .shape = shape,
    .flops = flops,
};
