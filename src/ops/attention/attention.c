/* attention.c -- the row of attention: shapes, what backward keeps, state, cost */
#include "ops/attention/attention.h"

#include <math.h>
#include <string.h>

static pha_status shape(pha__shape *s)
{
    const pha__attention_attr *c = s->attr;
    if (c->n_head < 1 || c->n_kv_head < 1 || c->n_head % c->n_kv_head != 0)
        FAIL(BAD_INPUT, "%d query heads cannot share %d kv heads; the first must be a multiple of the second",
             (int)c->n_head, (int)c->n_kv_head);
    if (c->head_width < 1 || c->window < 0 || c->local < 0)
        FAIL(BAD_INPUT, "head width %d, window %d and chunks of %d must be at least 1, 0 and 0", (int)c->head_width,
             (int)c->window, (int)c->local);
    if (c->window && c->local)
        FAIL(BAD_INPUT, "attention has a window of %d or chunks of %d, not both", (int)c->window, (int)c->local);
    int64_t q = (int64_t)c->n_head * c->head_width, kv = (int64_t)c->n_kv_head * c->head_width;
    if (s->in[0].width != q || s->in[1].width != kv || s->in[2].width != kv)
        FAIL(BAD_INPUT,
             "q, k, v are %d, %d, %d wide but %d query heads and %d kv heads of width %d need %lld, %lld, %lld",
             (int)s->in[0].width, (int)s->in[1].width, (int)s->in[2].width, (int)c->n_head, (int)c->n_kv_head,
             (int)c->head_width, (long long)q, (long long)kv, (long long)kv);
    s->width = s->in[0].width;
    return PHA_OK;
}

static int64_t saved(const pha__shape *s) /* lse */
{
    const pha__attention_attr *c = s->attr;
    return (int64_t)s->B * s->T * c->n_head;
}

static pha__state_layout state(const pha__shape *s, int64_t max_context)
{
    const pha__attention_attr *c = s->attr;
    return (pha__state_layout){.fixed = PHA__ATTENTION_HEADER,
                               .token = (size_t)c->head_width * pha__dtype_size(c->cache),
                               .lanes = 2 * c->n_kv_head,
                               .capacity = pha__attention_capacity(c, max_context)};
}

static int64_t lookback(const pha__shape *s)
{
    const pha__attention_attr *c = s->attr;
    int64_t reach = pha__attention_reach(c);
    return reach ? reach : PHA__ALL_TOKENS;
}

/* Keys that the first n tokens of a text see, all together. */
static double keys_seen(const pha__attention_attr *c, double n)
{
    double reach = (double)pha__attention_reach(c);
    if (c->local) {
        double chunks = floor(n / reach), rest = n - chunks * reach;
        return (chunks * reach * (reach + 1) + rest * (rest + 1)) / 2;
    }
    return !reach || n <= reach ? n * (n + 1) / 2 : reach * (reach + 1) / 2 + reach * (n - reach);
}

/* Useful work: 4 dh per (head, pair), backward 2.5 times that; only pairs that the mask leaves. */
static double flops(const pha__shape *s, pha__pass pass, int64_t context)
{
    const pha__attention_attr *c = s->attr;
    double pairs = keys_seen(c, (double)context + s->T) - keys_seen(c, (double)context);
    return (pass == PHA__FORWARD ? 4.0 : 10.0) * c->head_width * c->n_head * s->B * pairs;
}

static int64_t position(const void *state)
{
    int64_t count;
    memcpy(&count, state, sizeof count);
    return count;
}

const pha__op pha__op_attention = {
    .name = "attention",
    .equation = "o_t = sum_s softmax_s(scale q_t . k_s) v_s, s <= t and near enough (pha.md 2.2)",
    .min_in = 3,
    .max_in = 3,
    .keep_in = PHA__IN(0) | PHA__IN(1) | PHA__IN(2),
    .keep_out = true,
    .shape = shape,
    .saved = saved,
    .state = state,
    .carries = true,
    .lookback = lookback,
    .flops = flops,
    .work_class = PHA__WORK_ATTENTION,
    .state_class = PHA__STATE_CACHE,
    .position = position,
};
