/* sum_squares.c -- the row of the op; see sum_squares.h */
#include "ops/sum_squares/sum_squares.h"

static pha_status shape(pha__shape *s)
{
    s->width = s->in[0].width;
    return PHA_OK;
}

static int64_t saved(const pha__shape *s)
{
    return ((const pha__sum_squares_attr *)s->attr)->n * (int64_t)(sizeof(double) / sizeof(float));
}

static double flops(const pha__shape *s, pha__pass pass, int64_t context)
{
    (void)context;
    return pass == PHA__FORWARD ? 2.0 * s->in[0].rows * s->in[0].width : 0;
}

const pha__op pha__op_sum_squares = {
    .name = "sum_squares",
    .equation = "sum_i g_i^2 of each gradient    (algorithms.md 8)",
    .min_in = 1,
    .max_in = 1,
    .params = PHA__IN(0),
    .no_grad = true,
    .shape = shape,
    .saved = saved,
    .flops = flops,
};
