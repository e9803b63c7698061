/* attention_backward_cpu.c -- gradients of attention from the saved lse (algorithms.md 3)
 *
 * Phase 0: delta = <d_out, out> of every row. Phase 1: dk and dv with keys as lanes, dq with rows as lanes; the weights
 * are made again from q, k and lse. Keys and values of the state from which forward began are constants: dq has their
 * part, and they have no gradient.
 */
#include "ops/attention/attention_backward.h"

#include <math.h>

#include "backend/cpu/tile.h"
#include "ops/attention/attention_heads.h"

enum { LANES = LANES_MANY, TILE = KEYS_TILE };

size_t pha__attention_backward_scratch(int dh)
{
    return sizeof(float) * ((size_t)dh * (4 * LANES + 2 * TILE) + 2 * TILE * LANES);
}

/* delta (rows of a kv head) = <d_out, out> */
static float *delta_of(const heads *x)
{
    return (float *)x->a->work + ((int64_t)x->b * x->c->n_kv_head + x->h) * x->rows;
}

static void delta(const pha__args *a, int64_t task, void *scratch)
{
    int64_t n_block = row_blocks(a, LANES), n = task % n_block * LANES;
    heads x = heads_of(a, task / n_block);
    int dh = x.dh, count = (int)least(LANES, x.rows - n);
    float *o = scratch, *g = o + LANES * dh;
    load_rows(&x, &a->out, n, count, o, 1);
    load_rows(&x, &a->d_out, n, count, g, 1);
    for (int i = 0; i < count; i++, o += dh, g += dh) {
        vf sum = vf_zero();
        int d = 0;
        for (; d + VF <= dh; d += VF) sum = vf_fma(vf_load(o + d), vf_load(g + d), sum);
        if (d < dh) sum = vf_fma(vf_load_n(o + d, dh - d), vf_load_n(g + d, dh - d), sum);
        delta_of(&x)[n + i] = vf_sum(sum);
    }
}

static float lse_of(const heads *x, int64_t n)
{
    return x->a->saved[(x->tokens.row + token_of(x, n)) * x->c->n_head + head_of(x, n)];
}

/* dq of LANES rows */
static void query_backward(const pha__args *a, int64_t task, float *scratch)
{
    int64_t n_group = groups(a), n = (row_blocks(a, LANES) - 1 - task / n_group) * LANES;
    heads x = heads_of(a, task % n_group);
    int dh = x.dh, lanes = (int)least(LANES, x.rows - n);
    float *q = scratch, *g = q + dh * LANES, *dq = g + dh * LANES,
          *rows = dq + dh * LANES; /* (dh, LANES), last (LANES, dh) */
    float *p = rows + dh * LANES, *dp = p + TILE * LANES, *kb = dp + TILE * LANES, *vb = kb + TILE * dh;
    float lse[LANES] = {0}, dl[LANES] = {0};
    int32_t token[LANES];
    for (int i = 0; i < LANES; i++) token[i] = (int32_t)token_of(&x, n + least(i, lanes - 1));
    for (int i = 0; i < lanes; i++) lse[i] = lse_of(&x, n + i), dl[i] = delta_of(&x)[n + i];
    load_rows(&x, &a->in[0], n, lanes, rows, x.c->scale);
    to_lanes(q, rows, LANES, lanes, dh);
    load_rows(&x, &a->d_out, n, lanes, rows, 1);
    to_lanes(g, rows, LANES, lanes, dh);
    memset(dq, 0, (size_t)dh * LANES * 4);
    int64_t high = token[LANES - 1] + 1;
    for (int64_t key = most(-x.cached, first_key(&x, token[0])); key < high; key += TILE) {
        int count = (int)least(TILE, high - key);
        const float *k = load_keys(&x, 0, key, count, kb), *v = load_keys(&x, 1, key, count, vb);
        mul_many(p, k, dh, q, count, dh, false);
        mul_many(dp, v, dh, g, count, dh, false);
        if (key + count - 1 > token[0] || key < first_key(&x, token[LANES - 1]))
            mask(LANES, &x, p, token, key, count);
        if (x.drop) drop_rows(LANES, &x, dp, n, token, key, count);
        for (int j = 0; j < count; j++)
            for (int i = 0; i < LANES; i += VF) {
                float *at = p + j * LANES + i;
                vf_store(at, vf_exp(vf_load(at) - vf_load(lse + i)) * (vf_load(dp + j * LANES + i) - vf_load(dl + i)));
            }
        mul_many_t(dq, k, dh, p, dh, count, true);
    }
    pha__tile_transpose(rows, dh, dq, LANES, dh, lanes, x.c->scale);
    for (int i = 0; i < lanes; i++)
        pha__row_grad(&a->d_in[0], x.tokens.row + token[i], head_of(&x, n + i) * dh, dh, rows + (int64_t)i * dh,
                      a->add & PHA__IN(0));
}

/* p (count, LANES) = what rows [n, n+count) weigh keys [key, key+LANES) with, dropped or not, dp = the gradient of the
 * logits. Lanes are keys. */
static void key_weights(const heads *x, float *p, float *dp, int64_t n, int count, int64_t key)
{
    const float *dl = delta_of(x) + n;
    int32_t lane[VF];
    for (int i = 0; i < VF; i++) lane[i] = i;
    vi index;
    memcpy(&index, lane, sizeof index);
    for (int i = 0; i < count; i++, p += LANES, dp += LANES) {
        int64_t token = token_of(x, n + i), first = first_key(x, token);
        bool edge = key + LANES - 1 > token || key < first;
        int32_t high = (int32_t)least(token - key, LANES), low = (int32_t)most(first - 1 - key, -1);
        vf lse = vf_set1(lse_of(x, n + i)), delta_i = vf_set1(dl[i]);
        float factor[LANES];
        if (x->drop) drop_keys(x, factor, n + i, key);
        for (int j = 0; j < LANES; j += VF) {
            vf e = vf_exp(vf_load(p + j) - lse), g = vf_load(dp + j);
            if (edge) e = vf_select((index + j <= high) & (index + j > low), e, vf_zero());
            vf_store(p + j, x->drop ? e * vf_load(factor + j) : e);
            vf_store(dp + j, e * ((x->drop ? g * vf_load(factor + j) : g) - delta_i));
        }
    }
}

static void key_store(const heads *x, int w, int64_t key, int lanes, const float *grad, float *rows)
{
    pha__tile_transpose(rows, x->dh, grad, LANES, x->dh, lanes, 1);
    for (int i = 0; i < lanes; i++)
        pha__row_grad(&x->a->d_in[1 + w], x->tokens.row + key + i, (int64_t)x->h * x->dh, x->dh,
                      rows + (int64_t)i * x->dh, x->a->add & PHA__IN(1 + w));
}

/* dk and dv of LANES keys, summed over the query heads that read them, in order */
static void key_backward(const pha__args *a, int64_t task, float *scratch)
{
    int64_t n_group = groups(a), key = task / n_group * LANES;
    heads x = heads_of(a, task % n_group);
    int dh = x.dh, lanes = (int)least(LANES, x.tokens.n - key);
    float *k = scratch, *v = k + dh * LANES, *dk = v + dh * LANES, *dv = dk + dh * LANES; /* (dh, LANES) */
    float *p = dv + dh * LANES, *dp = p + TILE * LANES, *q = dp + TILE * LANES, *g = q + TILE * dh;
    to_lanes(k, load_keys(&x, 0, key, lanes, q), LANES, lanes, dh);
    to_lanes(v, load_keys(&x, 1, key, lanes, q), LANES, lanes, dh);
    memset(dk, 0, (size_t)dh * LANES * 4 * 2);
    int64_t high = least(x.tokens.n, last_token(&x, key + lanes - 1) + 1) * x.group;
    for (int64_t n = key * x.group; n < high; n += TILE) {
        int count = (int)least(TILE, high - n);
        load_rows(&x, &a->in[0], n, count, q, x.c->scale);
        load_rows(&x, &a->d_out, n, count, g, 1);
        mul_many(p, q, dh, k, count, dh, false);
        mul_many(dp, g, dh, v, count, dh, false);
        key_weights(&x, p, dp, n, count, key);
        mul_many_t(dv, g, dh, p, dh, count, true);
        mul_many_t(dk, q, dh, dp, dh, count, true);
    }
    if (a->d_in[1].data) key_store(&x, 0, key, lanes, dk, q);
    if (a->d_in[2].data) key_store(&x, 1, key, lanes, dv, q);
}

static int64_t key_tasks(const pha__args *a)
{
    return a->d_in[1].data || a->d_in[2].data ? groups(a) * blocks(a->T, LANES) : 0;
}

void pha__attention_backward(const pha__args *a, int phase, int64_t begin, int64_t end, void *scratch)
{
    for (int64_t i = begin; i < end; i++)
        if (phase == 0) delta(a, i, scratch);
        else if (i < key_tasks(a)) key_backward(a, i, scratch);
        else query_backward(a, i - key_tasks(a), scratch);
}

int64_t pha__attention_backward_tasks(const pha__args *a, int phase)
{
    int64_t n = groups(a) * row_blocks(a, LANES);
    return phase == 0 ? n : phase == 1 ? key_tasks(a) + (a->d_in[0].data ? n : 0) : 0;
}

size_t pha__attention_backward_work(const pha__args *a)
{
    return sizeof(float) * (size_t)(groups(a) * a->T * group_of(a));
}
