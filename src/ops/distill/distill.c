/* distill.c -- the row of the op; see distill.h */
#include "ops/distill/distill.h"

static pha_status shape(pha__shape *s)
{
    const pha__distill_attr *c = s->attr;
    int64_t heads = (int64_t)c->n_head * c->head_width, features = (int64_t)c->n_head * c->n_feature;
    if (s->in[0].width != heads || s->in[1].width != heads || s->in[2].width != features ||
        s->in[3].width != features)
        FAIL(BAD_INPUT, "q, k and their features are %d, %d, %d, %d wide but %d heads of width %d with %d features "
             "need %lld, %lld, %lld, %lld", (int)s->in[0].width, (int)s->in[1].width, (int)s->in[2].width,
             (int)s->in[3].width, (int)c->n_head, (int)c->head_width, (int)c->n_feature, (long long)heads,
             (long long)heads, (long long)features, (long long)features);
    s->width = PHA__DISTILL_WIDTH;
    return PHA_OK;
}

/* Of a pair: q . k and f . g; backward makes them again, twice, and the two gradients. */
static double flops(const pha__shape *s, pha__pass pass, int64_t context)
{
    const pha__distill_attr *c = s->attr;
    (void)context;
    double pairs = 0.5 * s->T * (s->T + 1.0) * s->B * c->n_head, logits = 2.0 * (c->head_width + c->n_feature);
    return pairs * (pass == PHA__FORWARD ? logits : 3 * logits + 4.0 * c->n_feature);
}

const pha__op pha__op_distill = {
    .name = "distill",
    .equation = "nll_t = -sum_s A_ts ln(f_t . g_s / sum_r f_t . g_r), A = softmax(scale q_t . k_s), s <= t    "
                "(baselines.md 8)",
    .min_in = 4,
    .max_in = 4,
    .keep_in = PHA__IN(0) | PHA__IN(1) | PHA__IN(2) | PHA__IN(3),
    .constant = PHA__IN(0) | PHA__IN(1),
    .out_f32 = true,
    .is_loss = true,
    .windows = true,
    .shape = shape,
    .flops = flops,
    .work_class = PHA__WORK_ATTENTION,
};
