/* linear_attention.c -- the row of the op; see linear_attention.h */
#include "ops/linear_attention/linear_attention.h"

static pha_status shape(pha__shape *s)
{
    const pha__linear_attention_attr *c = s->attr;
    int64_t features = (int64_t)c->n_head * c->n_feature, v = (int64_t)c->n_head * c->head_width;
    if (s->in[0].width != features || s->in[1].width != features || s->in[2].width != v)
        FAIL(BAD_INPUT, "q, k, v are %d, %d, %d wide but %d heads of %d features and width %d need %lld, %lld, %lld",
             (int)s->in[0].width, (int)s->in[1].width, (int)s->in[2].width, (int)c->n_head, (int)c->n_feature,
             (int)c->head_width, (long long)features, (long long)features, (long long)v);
    s->width = s->in[2].width;
    return PHA_OK;
}

static int64_t saved(const pha__shape *s)
{
    const pha__linear_attention_attr *c = s->attr;
    return (int64_t)s->B * s->T * c->n_head * (s->dtype == PHA__BF16 ? 1 + c->head_width : 1);
}

static pha__state_layout state(const pha__shape *s, int64_t max_context)
{
    const pha__linear_attention_attr *c = s->attr;
    (void)max_context;
    return (pha__state_layout){.fixed = (size_t)c->n_head * (size_t)c->n_feature * (size_t)(c->head_width + 1) * 4};
}

/* 4 M dh for S and its product with q; backward has three such recurrences. */
static double flops(const pha__shape *s, pha__pass pass, int64_t context)
{
    const pha__linear_attention_attr *c = s->attr;
    (void)context;
    double one = 4.0 * c->n_feature * (c->head_width + 1) * c->n_head * s->B * s->T;
    return pass == PHA__FORWARD ? one : 3 * one;
}

const pha__op pha__op_linear_attention = {
    .name = "linear_attention",
    .equation = "o_t = S_t^T q_t / (q_t . n_t + eps), S_t = S_(t-1) + k_t v_t^T, n_t = n_(t-1) + k_t    "
                "(baselines.md 7)",
    .min_in = 3,
    .max_in = 3,
    .keep_in = PHA__IN(0) | PHA__IN(1) | PHA__IN(2),
    .keep_out = true,
    .shape = shape,
    .saved = saved,
    .state = state,
    .flops = flops,
    .work_class = PHA__WORK_ATTENTION,
    .state_class = PHA__STATE_RECURRENT,
};
