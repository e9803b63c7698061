/* matmul.c -- the row of the linear map */
#include "ops/matmul/matmul.h"

static pha_status shape(pha__shape *s)
{
    if (s->in[1].width != s->in[0].width)
        FAIL(BAD_INPUT, "a weight of %d x %d needs an input of width %d, but the input is %d wide", (int)s->in[1].rows,
             (int)s->in[1].width, (int)s->in[1].width, (int)s->in[0].width);
    int64_t biases = 0;
    for (int i = 2; i < s->n_in; i++) biases += s->in[i].present ? s->in[i].width : 0;
    if (s->n_in > 2 && s->in[2].present && biases != s->in[1].rows)
        FAIL(BAD_INPUT, "a weight of %d x %d needs a bias of width %d, not %lld", (int)s->in[1].rows,
             (int)s->in[1].width, (int)s->in[1].rows, (long long)biases);
    const pha__matmul_attr *attr = s->attr;
    s->width = s->in[1].rows;
    s->f32 = attr && attr->f32;
    return PHA_OK;
}

static double flops(const pha__shape *s, pha__pass pass, int64_t context)
{
    (void)context;
    double bias = s->in[2].present ? 1 : 0;
    return ((pass == PHA__FORWARD ? 2.0 : 4.0) * s->in[1].width + bias) * s->B * s->T * s->in[1].rows;
}

const pha__op pha__op_matmul = {
    .name = "matmul",
    .equation = "y = W x, or W x + b (pha.md 2, baselines.md 1)",
    .min_in = 2,
    .max_in = PHA__MAX_IN,
    .params = PHA__IN(PHA__MAX_IN) - PHA__IN(1),
    .keep_in = PHA__IN(0) | PHA__IN(1),
    .shape = shape,
    .flops = flops,
    .work_class = PHA__WORK_LINEAR,
};
