/* attention_cpu.c -- attention in tiles that stay in the cache (algorithms.md 3)
 *
 * The queries of one kv head are its "rows": row n = token n / G, head n % G of the G query heads that share it. Lanes
 * are LANES rows (forward, dq) or LANES keys (dk, dv); the other side is walked in tiles of TILE. Logits, maxima and
 * sums are then all computed lane by lane: no transposition in the loop, no horizontal sums, no padding of the head
 * width. Keys have positions relative to the first new token; those below 0 come from the session's ring.
 */
#include <math.h>

#include "ops/attention/attention_heads.h"

/* One routine per kind of product, so that the unrolled blocks exist once. */
#define MUL(name, lanes, columns)                                                                                      \
    static __attribute__((noinline)) void name(float *c, const float *a, int64_t lda, const float *b, int m, int k,    \
                                               bool add)                                                               \
    {                                                                                                                  \
        pha__tile_mul(lanes, columns, c, a, lda, b, m, k, add);                                                        \
    }
MUL(mul, LANES, false)
MUL(mul_t, LANES, true) /* A transposed */
MUL(mul_few, FEW, false)
MUL(mul_few_t, FEW, true)

/* ---- forward ----------------------------------------------------------------------------------------- */

typedef struct online { /* softmax of a block of lanes so far */
    float max[LANES], sum[LANES];
    int32_t token[LANES];
    float *q, *o, *x, *k, *v; /* (dh, lanes), (dh, lanes), (TILE, lanes), (TILE, dh), (TILE, dh) */
    int64_t low, high;        /* keys that any of the lanes sees */
} online;

static size_t forward_scratch(int dh) { return sizeof(float) * ((size_t)dh * (2 * LANES + 2 * TILE) + TILE * LANES); }

PHA__INLINE void start(const int lanes, const heads *x, online *s, int64_t n, float *scratch)
{
    int64_t dh = x->dh, count = least(lanes, x->rows - n);
    s->q = scratch, s->o = s->q + dh * LANES, s->x = s->o + dh * LANES, s->k = s->x + TILE * LANES,
    s->v = s->k + TILE * dh;
    for (int i = 0; i < lanes; i++) {
        s->max[i] = -1e30f, s->sum[i] = 0;
        s->token[i] = (int32_t)((n + least(i, count - 1)) / x->group);
    }
    s->low = most(-x->cached, s->token[0] - x->window + 1), s->high = s->token[lanes - 1] + 1;
    load_rows(x, &x->a->in[0], n, (int)count, s->k, x->c->scale);
    to_lanes(s->q, s->k, lanes, (int)count, (int)dh, 1);
    memset(s->o, 0, (size_t)(dh * lanes) * 4);
}

/* Logits of keys that a lane does not see become -inf. Lanes are queries. */
PHA__INLINE void mask(const int lanes, float *x, const int32_t *token, int64_t key, int count, int64_t window)
{
    for (int j = 0; j < count; j++)
        for (int i = 0; i < lanes; i++)
            if (key + j > token[i] || token[i] - (key + j) >= window) x[j * lanes + i] = -INFINITY;
}

/* One tile of logits x (count, lanes) becomes weights; what is already summed is scaled to the new maximum. */
PHA__INLINE void soften(const int lanes, online *s, int count, int dh)
{
    for (int i = 0; i < lanes; i += VF) {
        float *x = s->x + i;
        vf old = vf_load(s->max + i), top = old, top2 = old, sum = vf_zero();
        int j = 0;
        for (; j + 2 <= count; j += 2)
            top = vf_max(top, vf_load(x + j * lanes)), top2 = vf_max(top2, vf_load(x + (j + 1) * lanes));
        if (j < count) top = vf_max(top, vf_load(x + j * lanes));
        top = vf_max(top, top2);
        for (j = 0; j < count; j++) {
            vf e = vf_exp(vf_load(x + j * lanes) - top);
            vf_store(x + j * lanes, e);
            sum += e;
        }
        vf f = vf_exp(old - top);
        vf_store(s->max + i, top);
        vf_store(s->sum + i, vf_fma(vf_load(s->sum + i), f, sum));
        if (vf_sum(vf_set1(1) - f) != 0)
            for (int d = 0; d < dh; d++) vf_store(s->o + d * lanes + i, f * vf_load(s->o + d * lanes + i));
    }
}

PHA__INLINE void attend(const int lanes, const heads *x, online *s, int64_t low, int64_t high)
{
    for (int64_t key = low; key < high; key += TILE) {
        int count = (int)least(TILE, high - key);
        const float *k = load_keys(x, 0, key, count, s->k), *v = load_keys(x, 1, key, count, s->v);
        (lanes == LANES ? mul : mul_few)(s->x, k, x->dh, s->q, count, x->dh, false);
        if (key + count - 1 > s->token[0] || s->token[lanes - 1] - key >= x->window)
            mask(lanes, s->x, s->token, key, count, x->window);
        soften(lanes, s, count, x->dh);
        (lanes == LANES ? mul_t : mul_few_t)(s->o, v, x->dh, s->x, x->dh, count, true);
    }
}

/* out and lse of rows [n, n+lanes) */
PHA__INLINE void finish(const int lanes, const heads *x, online *s, int64_t n)
{
    const pha__args *a = x->a;
    int dh = x->dh, count = (int)least(lanes, x->rows - n);
    for (int i = 0; i < lanes; i += VF) {
        vf f = vf_set1(1) / vf_load(s->sum + i);
        for (int d = 0; d < dh; d++) vf_store(s->o + d * lanes + i, f * vf_load(s->o + d * lanes + i));
    }
    pha__tile_transpose(s->k, dh, s->o, lanes, dh, count, 1);
    for (int i = 0; i < count; i++) {
        int64_t row = (int64_t)x->b * a->T + s->token[i], head = x->h * x->group + (n + i) % x->group;
        pha__row_grad(&a->out, row, head * dh, dh, s->k + (int64_t)i * dh, false);
        if (a->saved) a->saved[row * x->c->n_head + head] = s->max[i] + logf(s->sum[i]);
    }
}

/* A few rows against a long context (decoding) are cut along the context instead: partial results in work. */
static bool is_short(const pha__args *a) { return a->state && (a->T == 1 || (int64_t)a->T * group_of(a) <= FEW); }
static int64_t segments(const pha__args *a, int64_t T) { return blocks(capacity_of(a) + T, SEGMENT); }
static int64_t partial_floats(const pha__args *a)
{
    return FEW * ((int64_t)((const pha__attention_attr *)a->attr)->head_width + 2);
}

static void partial_forward(const pha__args *a, int64_t task, void *scratch)
{
    int64_t n_seg = segments(a, a->T), n_row = blocks((int64_t)a->T * group_of(a), FEW), segment = task % n_seg;
    int64_t row = task / n_seg % n_row * FEW;
    heads x = heads_of(a, task / n_seg / n_row);
    online s;
    int64_t low = most(-x.cached, row / x.group - x.window + 1) + segment * SEGMENT;
    if (low > least(row + FEW - 1, x.rows - 1) / x.group) return; /* no key left for this segment */
    start(FEW, &x, &s, row, scratch);
    attend(FEW, &x, &s, low, least(low + SEGMENT, s.high));
    float *p = (float *)a->work + task * partial_floats(a);
    memcpy(p, s.max, FEW * 4);
    memcpy(p + FEW, s.sum, FEW * 4);
    memcpy(p + 2 * FEW, s.o, (size_t)x.dh * FEW * 4);
}

static void merge_forward(const pha__args *a, int64_t task, void *scratch)
{
    int64_t n_row = blocks((int64_t)a->T * group_of(a), FEW), row = task % n_row * FEW;
    heads x = heads_of(a, task / n_row);
    online s;
    start(FEW, &x, &s, row, scratch);
    const float *first = (const float *)a->work + task * segments(a, a->T) * partial_floats(a);
    int64_t n = blocks(s.high - s.low, SEGMENT);
    for (int i = 0; i < FEW; i += VF) {
        vf top = vf_set1(-1e30f), sum = vf_zero();
        for (int64_t j = 0; j < n; j++) top = vf_max(top, vf_load(first + j * partial_floats(a) + i));
        for (int64_t j = 0; j < n; j++) {
            const float *p = first + j * partial_floats(a);
            vf f = vf_exp(vf_load(p + i) - top);
            sum = vf_fma(f, vf_load(p + FEW + i), sum);
            for (int d = 0; d < x.dh; d++)
                vf_store(s.o + d * FEW + i, vf_fma(f, vf_load(p + (2 + d) * FEW + i), vf_load(s.o + d * FEW + i)));
        }
        vf_store(s.max + i, top);
        vf_store(s.sum + i, sum);
    }
    finish(FEW, &x, &s, row);
}

/* Heavy tasks, the late rows, come first. */
static void block_forward(const pha__args *a, int64_t task, void *scratch)
{
    int64_t n_group = groups(a), n_block = blocks((int64_t)a->T * group_of(a), LANES);
    int64_t row = (n_block - 1 - task / n_group) * LANES;
    heads x = heads_of(a, task % n_group);
    online s;
    start(LANES, &x, &s, row, scratch);
    attend(LANES, &x, &s, s.low, s.high);
    finish(LANES, &x, &s, row);
}

/* The new keys and values go to the ring when everybody has read it. */
static void remember(const pha__args *a, int b)
{
    const pha__attention_attr *c = a->attr;
    int64_t capacity = capacity_of(a), count = *count_of(a, b), dh = c->head_width;
    for (int w = 0; w < 2; w++)
        for (int h = 0; h < c->n_kv_head; h++) {
            float *ring = ring_of(a, b, w, h);
            for (int64_t t = most(0, a->T - capacity); t < a->T; t++) {
                float *dst = ring + (count + t) % capacity * dh;
                const float *p = pha__row_in(&a->in[1 + w], (int64_t)b * a->T + t, h * dh, dh, dst);
                if (p != dst) memcpy(dst, p, (size_t)dh * 4);
            }
        }
    *count_of(a, b) = count + a->T;
}

static void forward(const pha__args *a, int phase, int64_t begin, int64_t end, void *scratch)
{
    for (int64_t i = begin; i < end; i++)
        if (phase == 0) (is_short(a) ? partial_forward : block_forward)(a, i, scratch);
        else if (phase == 1 && is_short(a)) merge_forward(a, i, scratch);
        else remember(a, (int)i);
}

/* ---- backward ---------------------------------------------------------------------------------------- */

static size_t backward_scratch(int dh)
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
    int64_t n_block = blocks((int64_t)a->T * group_of(a), LANES), n = task % n_block * LANES;
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
    return x->a->saved[((int64_t)x->b * x->a->T + n / x->group) * x->c->n_head + x->h * x->group + n % x->group];
}

/* dq of LANES rows */
static void query_backward(const pha__args *a, int64_t task, float *scratch)
{
    int64_t n_group = groups(a), n_block = blocks((int64_t)a->T * group_of(a), LANES);
    int64_t n = (n_block - 1 - task / n_group) * LANES;
    heads x = heads_of(a, task % n_group);
    int dh = x.dh, lanes = (int)least(LANES, x.rows - n);
    float *q = scratch, *g = q + dh * LANES, *dq = g + dh * LANES,
          *rows = dq + dh * LANES; /* (dh, LANES), last (LANES, dh) */
    float *p = rows + dh * LANES, *dp = p + TILE * LANES, *kb = dp + TILE * LANES, *vb = kb + TILE * dh;
    float lse[LANES] = {0}, dl[LANES] = {0};
    int32_t token[LANES];
    for (int i = 0; i < LANES; i++) token[i] = (int32_t)((n + least(i, lanes - 1)) / x.group);
    for (int i = 0; i < lanes; i++) lse[i] = lse_of(&x, n + i), dl[i] = delta_of(&x)[n + i];
    load_rows(&x, &a->in[0], n, lanes, rows, x.c->scale);
    to_lanes(q, rows, LANES, lanes, dh, 1);
    load_rows(&x, &a->d_out, n, lanes, rows, 1);
    to_lanes(g, rows, LANES, lanes, dh, 1);
    memset(dq, 0, (size_t)dh * LANES * 4);
    int64_t high = token[LANES - 1] + 1;
    for (int64_t key = most(0, token[0] - x.window + 1); key < high; key += TILE) {
        int count = (int)least(TILE, high - key);
        const float *k = load_keys(&x, 0, key, count, kb), *v = load_keys(&x, 1, key, count, vb);
        mul(p, k, dh, q, count, dh, false);
        mul(dp, v, dh, g, count, dh, false);
        if (key + count - 1 > token[0] || token[LANES - 1] - key >= x.window)
            mask(LANES, p, token, key, count, x.window);
        for (int j = 0; j < count; j++)
            for (int i = 0; i < LANES; i += VF) {
                float *at = p + j * LANES + i;
                vf_store(at, vf_exp(vf_load(at) - vf_load(lse + i)) * (vf_load(dp + j * LANES + i) - vf_load(dl + i)));
            }
        mul_t(dq, k, dh, p, dh, count, true);
    }
    pha__tile_transpose(rows, dh, dq, LANES, dh, lanes, x.c->scale);
    for (int i = 0; i < lanes; i++)
        pha__row_grad(&a->d_in[0], (int64_t)x.b * a->T + token[i], (x.h * x.group + (n + i) % x.group) * (int64_t)dh,
                      dh, rows + (int64_t)i * dh, a->add & PHA__IN(0));
}

/* p (count, LANES) = weights of rows [n, n+count) for keys [key, key+LANES), dp = their gradient. Lanes are keys. */
static void key_weights(const heads *x, float *p, float *dp, int64_t n, int count, int64_t key)
{
    const float *dl = delta_of(x) + n;
    int32_t lane[VF];
    for (int i = 0; i < VF; i++) lane[i] = i;
    vi index;
    memcpy(&index, lane, sizeof index);
    for (int i = 0; i < count; i++, p += LANES, dp += LANES) {
        int64_t token = (n + i) / x->group;
        bool edge = key + LANES - 1 > token || token - key >= x->window;
        int32_t high = (int32_t)least(token - key, LANES), low = (int32_t)most(token - x->window - key, -1);
        vf lse = vf_set1(lse_of(x, n + i)), delta_i = vf_set1(dl[i]);
        for (int j = 0; j < LANES; j += VF) {
            vf e = vf_exp(vf_load(p + j) - lse);
            if (edge) e = vf_select((index + j <= high) & (index + j > low), e, vf_zero());
            vf_store(p + j, e);
            vf_store(dp + j, e * (vf_load(dp + j) - delta_i));
        }
    }
}

static void key_store(const heads *x, int w, int64_t key, int lanes, const float *grad, float *rows)
{
    pha__tile_transpose(rows, x->dh, grad, LANES, x->dh, lanes, 1);
    for (int i = 0; i < lanes; i++)
        pha__row_grad(&x->a->d_in[1 + w], (int64_t)x->b * x->a->T + key + i, (int64_t)x->h * x->dh, x->dh,
                      rows + (int64_t)i * x->dh, x->a->add & PHA__IN(1 + w));
}

/* dk and dv of LANES keys, summed over the query heads that read them, in order */
static void key_backward(const pha__args *a, int64_t task, float *scratch)
{
    int64_t n_group = groups(a), key = task / n_group * LANES;
    heads x = heads_of(a, task % n_group);
    int dh = x.dh, lanes = (int)least(LANES, a->T - key);
    float *k = scratch, *v = k + dh * LANES, *dk = v + dh * LANES, *dv = dk + dh * LANES; /* (dh, LANES) */
    float *p = dv + dh * LANES, *dp = p + TILE * LANES, *q = dp + TILE * LANES, *g = q + TILE * dh;
    to_lanes(k, load_keys(&x, 0, key, lanes, q), LANES, lanes, dh, 1);
    to_lanes(v, load_keys(&x, 1, key, lanes, q), LANES, lanes, dh, 1);
    memset(dk, 0, (size_t)dh * LANES * 4 * 2);
    int64_t high = least(a->T, key + lanes - 1 + x.window) * x.group;
    for (int64_t n = key * x.group; n < high; n += TILE) {
        int count = (int)least(TILE, high - n);
        load_rows(&x, &a->in[0], n, count, q, x.c->scale);
        load_rows(&x, &a->d_out, n, count, g, 1);
        mul(p, q, dh, k, count, dh, false);
        mul(dp, g, dh, v, count, dh, false);
        key_weights(&x, p, dp, n, count, key);
        mul_t(dv, g, dh, p, dh, count, true);
        mul_t(dk, q, dh, dp, dh, count, true);
    }
    if (a->d_in[1].data) key_store(&x, 0, key, lanes, dk, q);
    if (a->d_in[2].data) key_store(&x, 1, key, lanes, dv, q);
}

static int64_t key_tasks(const pha__args *a)
{
    return a->d_in[1].data || a->d_in[2].data ? groups(a) * blocks(a->T, LANES) : 0;
}

static void backward(const pha__args *a, int phase, int64_t begin, int64_t end, void *scratch)
{
    for (int64_t i = begin; i < end; i++)
        if (phase == 0) delta(a, i, scratch);
        else if (i < key_tasks(a)) key_backward(a, i, scratch);
        else query_backward(a, i - key_tasks(a), scratch);
}

/* ---- the kernel -------------------------------------------------------------------------------------- */

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    int64_t rows = (int64_t)a->T * group_of(a);
    if (pass == PHA__BACKWARD) {
        int64_t n = groups(a) * blocks(rows, LANES);
        return phase == 0 ? n : phase == 1 ? key_tasks(a) + (a->d_in[0].data ? n : 0) : 0;
    }
    if (!is_short(a)) return phase == 0 ? groups(a) * blocks(rows, LANES) : phase == 1 && a->state ? a->B : 0;
    int64_t n = groups(a) * blocks(rows, FEW);
    return phase == 0 ? n * segments(a, a->T) : phase == 1 ? n : phase == 2 ? a->B : 0;
}

static size_t work(const pha__args *a, pha__pass pass)
{
    int64_t rows = (int64_t)a->T * group_of(a);
    if (pass == PHA__BACKWARD) return sizeof(float) * (size_t)(groups(a) * rows);
    if (a->max_context <= 0) return 0;
    return sizeof(float) *
           (size_t)(groups(a) * blocks(most(group_of(a), FEW), FEW) * segments(a, FEW) * partial_floats(a));
}

static size_t scratch_size(const pha__args *a, pha__pass pass)
{
    int dh = ((const pha__attention_attr *)a->attr)->head_width;
    return pass == PHA__FORWARD ? forward_scratch(dh) : backward_scratch(dh);
}

PHA__KERNEL(attention) = {
    .tasks = tasks, .forward = forward, .backward = backward, .work = work, .scratch = scratch_size,
};
