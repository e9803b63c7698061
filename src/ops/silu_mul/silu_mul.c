/* silu_mul.c -- the row of the op; see silu_mul.h */
#include "ops/silu_mul/silu_mul.h"

static pha_status shape(pha__shape *s)
{
    if (s->in[0].width != s->in[1].width)
        FAIL(BAD_INPUT, "silu_mul: widths %d and %d differ", s->in[0].width, s->in[1].width);
    s->width = s->in[0].width;
    return PHA_OK;
}

static double flops(const pha__shape *s, pha__pass pass, int64_t context)
{
    (void)context;
    return (pass == PHA__FORWARD ? 5.0 : 10.0) * s->B * s->T * s->width;
}

const pha__op pha__op_silu_mul = {
    .name = "silu_mul",
    .equation = "out = SiLU(a) * b    (pha.md 2.3, 2.4)",
    .min_in = 2,
    .max_in = 2,
    .keep_in = PHA__IN(0) | PHA__IN(1),
    .shape = shape,
    .flops = flops,
};
