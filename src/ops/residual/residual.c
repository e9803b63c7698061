/* residual.c -- the row of the op; see residual.h */
#include "ops/residual/residual.h"

static pha_status shape(pha__shape *s)
{
    if (s->in[0].present && s->in[0].width != s->in[1].width)
        FAIL(BAD_INPUT, "residual: widths %d and %d differ", s->in[0].width, s->in[1].width);
    s->width = s->in[1].width;
    return PHA_OK;
}

static double flops(const pha__shape *s, pha__pass pass, int64_t context)
{
    (void)context;
    return (pass == PHA__FORWARD ? 3.0 : 2.0) * s->B * s->T * s->width;
}

const pha__op pha__op_residual = {
    .name = "residual",
    .equation = "out = alpha a + beta drop(b)    (pha.md 2)",
    .min_in = 2,
    .max_in = 2,
    .out_f32 = true, /* the sum is rounded once, after its norm (numerics.md 3) */
    .shape = shape,
    .flops = flops,
};
