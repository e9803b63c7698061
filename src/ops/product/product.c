/* product.c -- the row of the op; see product.h */
#include "ops/product/product.h"

static pha_status shape(pha__shape *s)
{
    if (s->in[0].width != s->in[1].width)
        FAIL(BAD_INPUT, "product: widths %d and %d differ", s->in[0].width, s->in[1].width);
    s->width = s->in[0].width;
    return PHA_OK;
}

static double flops(const pha__shape *s, pha__pass pass, int64_t context)
{
    (void)context;
    return (pass == PHA__FORWARD ? 1.0 : 2.0) * s->B * s->T * s->width;
}

const pha__op pha__op_product = {
    .name = "product",
    .equation = "out = a * b    (baselines.md 4, 6)",
    .min_in = 2,
    .max_in = 2,
    .keep_in = PHA__IN(0) | PHA__IN(1),
    .shape = shape,
    .flops = flops,
};
