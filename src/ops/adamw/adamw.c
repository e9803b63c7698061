/* adamw.c -- the row of the op; see adamw.h */
#include "ops/adamw/adamw.h"

static pha_status shape(pha__shape *s)
{
    for (int i = 1; i < s->n_in; i++) {
        if (s->in[i].rows != s->in[0].rows || s->in[i].width != s->in[0].width)
            FAIL(BAD_INPUT, "adamw: operand %d is %d x %d, the parameter %d x %d", i, s->in[i].rows, s->in[i].width,
                 s->in[0].rows, s->in[0].width);
    }
    s->width = s->in[0].width;
    return PHA_OK;
}

static double flops(const pha__shape *s, pha__pass pass, int64_t context)
{
    (void)context;
    return pass == PHA__FORWARD ? 14.0 * s->in[0].rows * s->in[0].width : 0;
}

const pha__op pha__op_adamw = {
    .name = "adamw",
    .equation = "p <- p - lr wd p - lr (m / c1) / (sqrt(v / c2) + eps)    (pha.md 6)",
    .min_in = 4,
    .max_in = 4,
    .params = PHA__IN(0) | PHA__IN(1) | PHA__IN(2) | PHA__IN(3),
    .no_grad = true,
    .shape = shape,
    .flops = flops,
};
