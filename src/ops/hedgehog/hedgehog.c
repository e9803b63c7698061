/* hedgehog.c -- the row of the op; see hedgehog.h */
#include "ops/hedgehog/hedgehog.h"

static pha_status shape(pha__shape *s)
{
    const pha__hedgehog_attr *c = s->attr;
    int64_t width = (int64_t)c->n_head * c->head_width;
    if (s->in[0].width != width)
        FAIL(BAD_INPUT, "hedgehog: the input is %d wide, but %d heads of width %d need %lld", (int)s->in[0].width,
             (int)c->n_head, (int)c->head_width, (long long)width);
    if (s->in[1].rows != width || s->in[1].width != c->head_width)
        FAIL(BAD_INPUT, "hedgehog: the map is %d x %d, but %d heads of width %d need %lld x %d", (int)s->in[1].rows,
             (int)s->in[1].width, (int)c->n_head, (int)c->head_width, (long long)width, (int)c->head_width);
    s->width = 2 * s->in[0].width;
    return PHA_OK;
}

static double flops(const pha__shape *s, pha__pass pass, int64_t context)
{
    const pha__hedgehog_attr *c = s->attr;
    (void)context;
    double product = 2.0 * c->head_width * c->head_width, features = 2.0 * c->head_width;
    double one = pass == PHA__FORWARD ? product + 4 * features : 2 * product + 6 * features;
    return one * c->n_head * s->B * s->T;
}

const pha__op pha__op_hedgehog = {
    .name = "hedgehog",
    .equation = "out = [softmax(W x); softmax(-W x)] or exp of [W x; -W x] - max, per head    (baselines.md 8)",
    .min_in = 2,
    .max_in = 2,
    .params = PHA__IN(1),
    .keep_in = PHA__IN(0) | PHA__IN(1),
    .shape = shape,
    .flops = flops,
    .work_class = PHA__WORK_LINEAR,
};
