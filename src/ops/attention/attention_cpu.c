/* attention_cpu.c -- attention in tiles that stay in the cache (algorithms.md 3): forward, and the kernel
 *
 * Lanes are rows; the keys are walked in tiles. Logits, maxima and sums are then all computed lane by lane: no
 * transposition in the loop, no horizontal sums, no padding of the head width.
 *
 * A row has the same bits however many others are computed with it and wherever a text was cut. Tiles end at multiples
 * of KEYS_TILE of the position in the text; every segment of KEYS_SEGMENT positions starts afresh, and the segments are
 * merged in order. What a row does not see weighs exactly 0, so that it does not matter which masked keys are visited.
 */
#include <math.h>

#include "backend/cpu/tile.h"
#include "ops/attention/attention_backward.h"
#include "ops/attention/attention_heads.h"

typedef struct softmax { /* of some keys, for a block of lanes; of none: -1e30, 0, 0 */
    float *max, *sum, *o; /* (lanes), (lanes), (dh, lanes), one after the other */
} softmax;

typedef struct block { /* of lanes */
    int32_t token[LANES_MANY];
    float *q, *x, *k, *v; /* (dh, lanes), (KEYS_TILE, lanes), (KEYS_TILE, dh), (KEYS_TILE, dh) */
    softmax all, part;
    int64_t row;       /* the first of the lanes */
    int64_t low, high; /* keys that any of the lanes sees */
} block;

static int64_t softmax_floats(int lanes, int dh) { return lanes * ((int64_t)dh + 2); }
static softmax softmax_at(float *p, int lanes) { return (softmax){p, p + lanes, p + 2 * lanes}; }

static void reset(const softmax *s, int lanes, int dh)
{
    for (int i = 0; i < lanes; i++) s->max[i] = -1e30f, s->sum[i] = 0;
    memset(s->o, 0, (size_t)(dh * lanes) * 4);
}

static size_t forward_scratch(int64_t dh)
{
    return sizeof(float) * (size_t)(dh * (LANES_MANY + 2 * KEYS_TILE) + KEYS_TILE * LANES_MANY +
                                    2 * softmax_floats(LANES_MANY, (int)dh));
}

/* Rows [n, n+lanes), and the keys that they see; nothing is read. */
static void place(int lanes, const heads *x, block *s, int64_t n, float *scratch)
{
    int64_t dh = x->dh, count = least(lanes, x->rows - n);
    s->row = n, s->q = scratch, s->x = s->q + dh * lanes, s->k = s->x + KEYS_TILE * lanes, s->v = s->k + KEYS_TILE * dh;
    s->all = softmax_at(s->v + KEYS_TILE * dh, lanes);
    s->part = softmax_at(s->all.max + softmax_floats(lanes, x->dh), lanes);
    for (int i = 0; i < lanes; i++) s->token[i] = (int32_t)token_of(x, n + least(i, count - 1));
    s->low = most(-x->cached, first_key(x, s->token[0])), s->high = s->token[lanes - 1] + 1;
}

static void load_queries(int lanes, const heads *x, block *s)
{
    int count = (int)least(lanes, x->rows - s->row);
    load_rows(x, &x->a->in[0], s->row, count, s->k, x->c->scale);
    to_lanes(s->q, s->k, lanes, count, x->dh);
}

/* One tile of logits x (count, lanes) becomes weights; what is already summed is scaled to the new maximum. */
PHA__INLINE void soften(const int lanes, const softmax *s, float *logits, int count, int dh)
{
    for (int i = 0; i < lanes; i += VF) {
        float *x = logits + i;
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

/* The softmax of keys [low, high) of one segment. */
PHA__INLINE void attend(const int lanes, const heads *x, block *s, const softmax *to, int64_t low, int64_t high)
{
    reset(to, lanes, x->dh);
    for (int64_t key = low, count; key < high; key += count) {
        count = least(KEYS_TILE - (x->count + key) % KEYS_TILE, high - key);
        const float *k = load_keys(x, 0, key, (int)count, s->k), *v = load_keys(x, 1, key, (int)count, s->v);
        mul *product = lanes == LANES_MANY ? mul_many : lanes == LANES_FEW ? mul_few : mul_least;
        mul *sum_up = lanes == LANES_MANY ? mul_many_t : lanes == LANES_FEW ? mul_few_t : mul_least_t;
        product(s->x, k, x->dh, s->q, (int)count, x->dh, false);
        if (key + count - 1 > s->token[0] || key < first_key(x, s->token[lanes - 1]))
            mask(lanes, x, s->x, s->token, key, (int)count);
        soften(lanes, to, s->x, (int)count, x->dh);
        if (x->drop) drop_rows(lanes, x, s->x, s->row, s->token, key, (int)count);
        sum_up(to->o, v, x->dh, s->x, x->dh, (int)count, true);
    }
}

/* Segment i of those that the keys of a block lie in; false: there are fewer. */
static bool segment_of(const heads *x, const block *s, int64_t i, int64_t *low, int64_t *high)
{
    int64_t begin = ((x->count + s->low) / KEYS_SEGMENT + i) * KEYS_SEGMENT - x->count;
    *low = most(s->low, begin), *high = least(s->high, begin + KEYS_SEGMENT);
    return *low < *high;
}

/* all = all and the keys after it */
static void merge(const softmax *all, const softmax *part, int lanes, int dh)
{
    float keep[LANES_MANY], more[LANES_MANY];
    for (int i = 0; i < lanes; i += VF) {
        vf a = vf_load(all->max + i), b = vf_load(part->max + i), top = vf_max(a, b);
        vf f = vf_exp(a - top), g = vf_exp(b - top);
        vf_store(keep + i, f);
        vf_store(more + i, g);
        vf_store(all->max + i, top);
        vf_store(all->sum + i, vf_fma(vf_load(all->sum + i), f, g * vf_load(part->sum + i)));
    }
    for (int d = 0; d < dh; d++)
        for (int i = 0; i < lanes; i += VF) {
            float *o = all->o + d * lanes + i;
            vf_store(o, vf_fma(vf_load(o), vf_load(keep + i), vf_load(more + i) * vf_load(part->o + d * lanes + i)));
        }
}

/* out and lse of rows [n, n+lanes) */
static void finish(int lanes, const heads *x, block *s, int64_t n)
{
    const pha__args *a = x->a;
    int dh = x->dh, count = (int)least(lanes, x->rows - n);
    float *o = s->all.o;
    for (int i = 0; i < lanes; i += VF) {
        vf f = vf_set1(1) / vf_load(s->all.sum + i);
        for (int d = 0; d < dh; d++) vf_store(o + d * lanes + i, f * vf_load(o + d * lanes + i));
    }
    pha__tile_transpose(s->k, dh, o, lanes, dh, count, 1);
    for (int i = 0; i < count; i++) {
        int64_t row = x->tokens.row + s->token[i], head = head_of(x, n + i);
        pha__row_grad(&a->out, row, head * dh, dh, s->k + (int64_t)i * dh, false);
        if (a->saved) a->saved[row * x->c->n_head + head] = s->all.max[i] + logf(s->all.sum[i]);
    }
}

/* Many rows: a task is a block of them. Heavy tasks, the late rows, come first. */
static void block_forward(const pha__args *a, int64_t task, void *scratch)
{
    int64_t n_group = groups(a), row = (row_blocks(a, LANES_MANY) - 1 - task / n_group) * LANES_MANY;
    heads x = heads_of(a, task % n_group);
    block s;
    if (row >= x.rows) return;
    place(LANES_MANY, &x, &s, row, scratch);
    load_queries(LANES_MANY, &x, &s);
    reset(&s.all, LANES_MANY, x.dh);
    for (int64_t i = 0, low, high; segment_of(&x, &s, i, &low, &high); i++) {
        attend(LANES_MANY, &x, &s, &s.part, low, high);
        merge(&s.all, &s.part, LANES_MANY, x.dh);
    }
    finish(LANES_MANY, &x, &s, row);
}

/* A few rows against a long context (decoding): a task is a segment of a block of rows; its softmax goes to work. */
static bool is_short(const pha__args *a)
{
    return a->state && (a->T == 1 || (int64_t)a->T * group_of(a) <= LANES_FEW);
}
static int64_t segments(const pha__args *a, int64_t T) { return blocks(capacity_of(a) + T, KEYS_SEGMENT) + 1; }
static bool is_least(const pha__args *a) { return (int64_t)a->T * group_of(a) <= LANES_LEAST; }
static softmax part_at(const pha__args *a, int64_t task, int lanes)
{
    int dh = ((const pha__attention_attr *)a->attr)->head_width;
    return softmax_at((float *)a->work + task * softmax_floats(LANES_FEW, dh), lanes);
}

PHA__INLINE void segment_of_lanes(const int lanes, const pha__args *a, int64_t task, void *scratch)
{
    int64_t n_segment = segments(a, a->T), n_block = row_blocks(a, lanes), low, high;
    int64_t row = task / n_segment % n_block * lanes;
    heads x = heads_of(a, task / n_segment / n_block);
    block s;
    if (row >= x.rows) return;
    place(lanes, &x, &s, row, scratch);
    if (!segment_of(&x, &s, task % n_segment, &low, &high)) return; /* most are for a longer text than this is yet */
    load_queries(lanes, &x, &s);
    softmax part = part_at(a, task, lanes);
    attend(lanes, &x, &s, &part, low, high);
}

static void segment_forward(const pha__args *a, int64_t task, void *scratch)
{
    if (is_least(a)) segment_of_lanes(LANES_LEAST, a, task, scratch);
    else segment_of_lanes(LANES_FEW, a, task, scratch);
}

static void merge_forward(const pha__args *a, int64_t task, void *scratch)
{
    const int lanes = is_least(a) ? LANES_LEAST : LANES_FEW;
    int64_t n_block = row_blocks(a, lanes), row = task % n_block * lanes;
    heads x = heads_of(a, task / n_block);
    block s;
    if (row >= x.rows) return;
    place(lanes, &x, &s, row, scratch);
    reset(&s.all, lanes, x.dh);
    for (int64_t i = 0, low, high; segment_of(&x, &s, i, &low, &high); i++) {
        softmax part = part_at(a, task * segments(a, a->T) + i, lanes);
        merge(&s.all, &part, lanes, x.dh);
    }
    finish(lanes, &x, &s, row);
}

/* The new keys and values go to the ring when everybody has read it. */
static void remember(const pha__args *a, int b, float *scratch)
{
    const pha__attention_attr *c = a->attr;
    pha__sequence tokens = pha__sequence_of(a, b);
    int64_t capacity = capacity_of(a), count = *count_of(a, b), dh = c->head_width;
    for (int w = 0; w < 2; w++)
        for (int h = 0; h < c->n_kv_head; h++) {
            pha__view ring = {ring_of(a, b, w, h), dh, 0, c->head_width, c->cache};
            for (int64_t t = most(0, tokens.n - capacity); t < tokens.n; t++) {
                const float *p = pha__row_in(&a->in[1 + w], tokens.row + t, h * dh, dh, scratch);
                pha__row_grad(&ring, (count + t) % capacity, 0, dh, p, false);
            }
        }
    *count_of(a, b) = count + tokens.n;
}

static void forward(const pha__args *a, int phase, int64_t begin, int64_t end, void *scratch)
{
    for (int64_t i = begin; i < end; i++)
        if (phase == 0) (is_short(a) ? segment_forward : block_forward)(a, i, scratch);
        else if (phase == 1 && is_short(a)) merge_forward(a, i, scratch);
        else remember(a, (int)i, scratch);
}

/* ---- the kernel -------------------------------------------------------------------------------------- */

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    if (pass == PHA__BACKWARD) return pha__attention_backward_tasks(a, phase);
    if (!is_short(a)) return phase == 0 ? groups(a) * row_blocks(a, LANES_MANY) : phase == 1 && a->state ? a->B : 0;
    int64_t n = groups(a) * row_blocks(a, LANES_FEW);
    return phase == 0 ? n * segments(a, a->T) : phase == 1 ? n : phase == 2 ? a->B : 0;
}

static size_t work(const pha__args *a, pha__pass pass)
{
    const pha__attention_attr *c = a->attr;
    if (pass == PHA__BACKWARD) return pha__attention_backward_work(a);
    if (a->max_context <= 0) return 0;
    return sizeof(float) * (size_t)(groups(a) * blocks(most(group_of(a), LANES_FEW), LANES_FEW) *
                                    segments(a, LANES_FEW) * softmax_floats(LANES_FEW, c->head_width));
}

static size_t scratch_size(const pha__args *a, pha__pass pass)
{
    int dh = ((const pha__attention_attr *)a->attr)->head_width;
    return pass == PHA__FORWARD ? forward_scratch(dh) : pha__attention_backward_scratch(dh);
}

PHA__KERNEL(attention) = {
    .tasks = tasks, .forward = forward, .backward = pha__attention_backward, .work = work, .scratch = scratch_size,
};
