/* residual.c -- the row of the op; see residual.h */
#include "ops/residual/residual.h"

static pha_status shape(pha__shape *s)
{
    if (s->in[0].present && s->in[0].width != s->in[1].width)
        FAIL(BAD_INPUT, "residual: widths %d and %d differ", s->in[0].width, s->in[1].width);
    if (s->in[2].present && s->in[2].width != s->in[1].width)
        FAIL(BAD_INPUT, "residual: the gain of the norm has width %d, expected %d", s->in[2].width, s->in[1].width);
    s->width = s->in[1].width;
    return PHA_OK;
}

static double flops(const pha__shape *s, pha__pass pass, int64_t context)
{
    (void)context;
    double norm = s->in[2].present ? pass == PHA__FORWARD ? 4 : 9 : 0; /* as those of rmsnorm */
    return ((pass == PHA__FORWARD ? 3 : 2) + norm) * s->B * s->T * s->width;
}

const pha__op pha__op_residual = {
    .name = "residual",
    .equation = "out = alpha a + beta drop(b), or RMSNorm of that    (pha.md 2)",
    .min_in = 2,
    .max_in = 3,
    .params = PHA__IN(2),
    .out_f32 = true, /* the sum is rounded once, after its norm (numerics.md 3) */
    .fused = {.in = 2, .keep_in = PHA__IN(0) | PHA__IN(1) | PHA__IN(2)},
    .shape = shape,
    .flops = flops,
};
