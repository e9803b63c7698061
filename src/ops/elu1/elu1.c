/* elu1.c -- the row of the op; see elu1.h */
#include "ops/elu1/elu1.h"

static pha_status shape(pha__shape *s)
{
    s->width = s->in[0].width;
    return PHA_OK;
}

static double flops(const pha__shape *s, pha__pass pass, int64_t context)
{
    (void)context;
    return (pass == PHA__FORWARD ? 2.0 : 1.0) * s->B * s->T * s->width;
}

const pha__op pha__op_elu1 = {
    .name = "elu1",
    .equation = "out = elu(x) + 1    (baselines.md 7)",
    .min_in = 1,
    .max_in = 1,
    .keep_out = true,
    .shape = shape,
    .flops = flops,
};
