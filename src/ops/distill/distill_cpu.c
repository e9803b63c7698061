/* distill_cpu.c -- pairs in tiles of 64 queries and 64 keys. Phase 0: of every query of a head what it sums over its
 * keys, in one pass with a running maximum. Phase 1: the means over the heads; in backward the gradients, with lanes of
 * queries for f and lanes of keys for g, from pairs that are made again:
 *
 *   dnll_t / db_ts = 1 / R_t - A_ts / b_ts
 */
#include <math.h>

#include "backend/cpu/rows.h"
#include "backend/cpu/tile.h"
#include "ops/distill/distill.h"

enum { Q, K, F, G, TILE = 64 }; /* inputs; queries or keys in a tile */
enum { LSE, INVERSE, NLL, ENTROPY, SUMS }; /* of a query of a head, in `work`: ln sum e^X, 1 / R, and its two results */

static const pha__distill_attr *attr_of(const pha__args *a) { return a->attr; }
static int64_t groups(const pha__args *a) { return (int64_t)a->B * attr_of(a)->n_head; }
static int64_t tiles(const pha__args *a) { return ((int64_t)a->T + TILE - 1) / TILE; }
static float *sums_of(const pha__args *a, int64_t row, int head)
{
    return (float *)a->work + (row * attr_of(a)->n_head + head) * SUMS;
}

/* One side of a tile of pairs: TILE tokens of a head, as lanes, or as dense rows. */
typedef struct side {
    float *x, *f; /* q or k, and its features: (dh, TILE), (M, TILE) as lanes; (count, dh), (count, M) as rows */
    int64_t begin;
    int count;
} side;

typedef struct tile {
    const pha__args *a;
    int head, dh, M;
    pha__sequence tokens;
    side lanes, rows;
    float *x, *b;   /* (TILE, TILE): X and b of the pairs, a row per token of `rows` */
    float *grad;    /* (M, TILE) */
    float *buffer;  /* (TILE, the wider of dh and M) */
} tile;

static size_t take(tile *t, const pha__distill_attr *c, float *at)
{
    size_t dh = (size_t)c->head_width, M = (size_t)c->n_feature, wide = dh > M ? dh : M;
    float *begin = at;
    t->lanes.x = at, at += dh * TILE;
    t->lanes.f = at, at += M * TILE;
    t->rows.x = at, at += dh * TILE;
    t->rows.f = at, at += M * TILE;
    t->x = at, at += TILE * TILE;
    t->b = at, at += TILE * TILE;
    t->grad = at, at += M * TILE;
    t->buffer = at, at += wide * TILE;
    return (size_t)(at - begin);
}

static tile tile_of(const pha__args *a, int64_t group, float *memory)
{
    const pha__distill_attr *c = attr_of(a);
    tile t = {.a = a, .head = (int)(group % c->n_head), .dh = c->head_width, .M = c->n_feature,
              .tokens = pha__sequence_of(a, (int)(group / c->n_head))};
    take(&t, c, memory);
    return t;
}

/* The products of a tile: one routine per kind, so that their unrolled blocks exist once. */
static void mul(float *c, const float *a, const float *b, int m, int k)
{
    pha__tile_mul(TILE, false, c, a, k, b, m, k, false);
}
static void mul_t(float *c, const float *a, const float *b, int m, int k)
{
    pha__tile_mul(TILE, true, c, a, m, b, m, k, true);
}

/* `width` columns of the head, of tokens [begin, begin + count), as dense rows. */
static void load_rows(const tile *t, int input, int width, const side *s, float *dst, float factor)
{
    for (int i = 0; i < s->count; i++, dst += width) {
        const float *p = pha__row_in(&t->a->in[input], t->tokens.row + s->begin + i, (int64_t)t->head * width, width,
                                     dst);
        for (int d = 0; d < width; d++) dst[d] = factor * p[d];
    }
}

/* The lanes that are missing become zeros. */
static void to_lanes(float *dst, const float *rows, int count, int width)
{
    pha__tile_transpose(dst, TILE, rows, width, count, width, 1);
    for (int d = 0; count < TILE && d < width; d++)
        for (int i = count; i < TILE; i++) dst[d * TILE + i] = 0;
}

static void load(const tile *t, side *s, int input, int64_t begin, bool lanes)
{
    float scale = input == Q ? attr_of(t->a)->scale : 1;
    s->begin = begin, s->count = t->tokens.n - begin < TILE ? (int)(t->tokens.n - begin) : TILE;
    load_rows(t, input, t->dh, s, lanes ? t->buffer : s->x, scale);
    if (lanes) to_lanes(s->x, t->buffer, s->count, t->dh);
    load_rows(t, input + F, t->M, s, lanes ? t->buffer : s->f, 1);
    if (lanes) to_lanes(s->f, t->buffer, s->count, t->M);
}

/* X and b of all pairs of the two sides. */
static void pairs(const tile *t)
{
    mul(t->x, t->rows.x, t->lanes.x, t->rows.count, t->dh);
    mul(t->b, t->rows.f, t->lanes.f, t->rows.count, t->M);
}

static vi lane_numbers(int first)
{
    int32_t lane[VF];
    vi index;
    for (int i = 0; i < VF; i++) lane[i] = first + i;
    memcpy(&index, lane, sizeof index);
    return index;
}

/* Of VF lanes from i: the pairs of row j that are there, keys being rows (lanes are queries), or the lanes keys. Tiles
 * begin at multiples of TILE: all pairs are there, or the two sides are the same tokens. */
static vi seen(const tile *t, vi lane, int j, bool keys_are_rows)
{
    vi all = lane - lane - 1, at = lane - lane + j;
    if (t->lanes.begin != t->rows.begin) return all;
    return keys_are_rows ? lane >= at : lane <= at;
}

/* ---- sums over the keys of a query ------------------------------------------------------------------------- */

typedef struct totals { /* of lanes of queries */
    float top[TILE], z[TILE], cross[TILE], self[TILE], r[TILE]; /* e = e^(X - top): sums of e, e ln b, e X; of b */
} totals;

static void add_tile(const tile *t, totals *s)
{
    for (int i = 0; i < TILE; i += VF) {
        vi lane = lane_numbers(i);
        vf old = vf_load(s->top + i), top = old, z = vf_zero(), cross = vf_zero(), self = vf_zero(), r = vf_zero();
        for (int j = 0; j < t->rows.count; j++) {
            vf x = vf_select(seen(t, lane, j, true), vf_load(t->x + j * TILE + i), vf_set1(-1e30f));
            vf_store(t->x + j * TILE + i, x);
            top = vf_max(top, x);
        }
        for (int j = 0; j < t->rows.count; j++) {
            vf x = vf_load(t->x + j * TILE + i), b = vf_load(t->b + j * TILE + i), e = vf_exp(x - top);
            z += e;
            cross = vf_fma(e, vf_log(b), cross);
            self = vf_fma(e, x, self);
            r += vf_select(seen(t, lane, j, true), b, vf_zero());
        }
        vf f = vf_exp(old - top);
        vf_store(s->top + i, top);
        vf_store(s->z + i, vf_fma(f, vf_load(s->z + i), z));
        vf_store(s->cross + i, vf_fma(f, vf_load(s->cross + i), cross));
        vf_store(s->self + i, vf_fma(f, vf_load(s->self + i), self));
        vf_store(s->r + i, vf_load(s->r + i) + r);
    }
}

static void sum_queries(const pha__args *a, int64_t task, float *memory)
{
    tile t = tile_of(a, task % groups(a), memory);
    totals s = {0};
    for (int i = 0; i < TILE; i++) s.top[i] = -1e30f;
    load(&t, &t.lanes, Q, (tiles(a) - 1 - task / groups(a)) * TILE, true); /* the heavy ones first */
    for (int64_t key = 0; key <= t.lanes.begin; key += TILE) {
        load(&t, &t.rows, K, key, false);
        pairs(&t);
        add_tile(&t, &s);
    }
    for (int i = 0; i < t.lanes.count; i++) {
        float *out = sums_of(a, t.tokens.row + t.lanes.begin + i, t.head);
        out[LSE] = s.top[i] + logf(s.z[i]);
        out[INVERSE] = 1 / s.r[i];
        out[NLL] = logf(s.r[i]) - s.cross[i] / s.z[i];
        out[ENTROPY] = out[LSE] - s.self[i] / s.z[i];
    }
}

static void mean_heads(const pha__args *a, int64_t block)
{
    int H = attr_of(a)->n_head;
    for (int64_t row = block * PHA__ROW_BLOCK; row < pha__row_block_end(a, block); row++) {
        double nll = 0, entropy = 0;
        for (int h = 0; h < H; h++) nll += sums_of(a, row, h)[NLL], entropy += sums_of(a, row, h)[ENTROPY];
        float *out = pha__at(&a->out, row, 0);
        out[PHA__DISTILL_NLL] = (float)(nll / H), out[PHA__DISTILL_ENTROPY] = (float)(entropy / H);
    }
}

/* ---- gradients --------------------------------------------------------------------------------------------- */

/* x = what the loss changes with b, of every pair of the tile. */
static void slopes(const tile *t, bool keys_are_rows)
{
    const pha__distill_attr *c = attr_of(t->a);
    float lse[TILE] = {0}, inverse[TILE] = {0};
    const side *queries = keys_are_rows ? &t->lanes : &t->rows;
    for (int i = 0; i < queries->count; i++) {
        const float *sums = sums_of(t->a, t->tokens.row + queries->begin + i, t->head);
        lse[i] = sums[LSE], inverse[i] = sums[INVERSE];
    }
    vf factor = vf_set1(t->a->run->loss_scale * c->weight / (float)c->n_head);
    for (int j = 0; j < t->rows.count; j++)
        for (int i = 0; i < TILE; i += VF) {
            float *at = t->x + j * TILE + i;
            vf top = keys_are_rows ? vf_load(lse + i) : vf_set1(lse[j]);
            vf r = keys_are_rows ? vf_load(inverse + i) : vf_set1(inverse[j]);
            vf slope = factor * (r - vf_exp(vf_load(at) - top) / vf_load(t->b + j * TILE + i));
            vf_store(at, vf_select(seen(t, lane_numbers(i), j, keys_are_rows), slope, vf_zero()));
        }
}

static void store(const tile *t, int input)
{
    pha__tile_transpose(t->buffer, t->M, t->grad, TILE, t->M, t->lanes.count, 1);
    for (int i = 0; i < t->lanes.count; i++)
        pha__row_grad(&t->a->d_in[input], t->tokens.row + t->lanes.begin + i, (int64_t)t->head * t->M, t->M,
                      t->buffer + (int64_t)i * t->M, t->a->add & PHA__IN(input));
}

/* The gradient of the features of a tile of queries (F) or of keys (G). */
static void feature_gradient(const pha__args *a, int input, int64_t task, float *memory)
{
    tile t = tile_of(a, task % groups(a), memory);
    bool queries = input == F;
    int64_t block = task / groups(a), begin = (queries ? tiles(a) - 1 - block : block) * TILE;
    load(&t, &t.lanes, input - F, begin, true);
    memset(t.grad, 0, (size_t)(t.M * TILE) * sizeof *t.grad);
    for (int64_t at = queries ? 0 : begin; queries ? at <= begin : at < t.tokens.n; at += TILE) {
        load(&t, &t.rows, queries ? K : Q, at, false);
        pairs(&t);
        slopes(&t, queries);
        mul_t(t.grad, t.rows.f, t.x, t.M, t.rows.count);
    }
    store(&t, input);
}

/* ---- the kernel ------------------------------------------------------------------------------------------ */

static int64_t gradient_tasks(const pha__args *a, pha__pass pass, int input)
{
    return pass == PHA__BACKWARD && a->d_in[input].data ? groups(a) * tiles(a) : 0;
}

static void forward(const pha__args *a, int phase, int64_t begin, int64_t end, void *scratch)
{
    for (int64_t i = begin; i < end; i++)
        if (phase == 0) sum_queries(a, i, scratch);
        else mean_heads(a, i);
}

static void backward(const pha__args *a, int phase, int64_t begin, int64_t end, void *scratch)
{
    int64_t n_f = gradient_tasks(a, PHA__BACKWARD, F), n_g = gradient_tasks(a, PHA__BACKWARD, G);
    for (int64_t i = begin; i < end; i++)
        if (phase == 0) sum_queries(a, i, scratch);
        else if (i < n_f) feature_gradient(a, F, i, scratch);
        else if (i < n_f + n_g) feature_gradient(a, G, i - n_f, scratch);
        else mean_heads(a, i - n_f - n_g);
}

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    if (phase == 0) return groups(a) * tiles(a);
    return phase == 1 ? gradient_tasks(a, pass, F) + gradient_tasks(a, pass, G) + pha__row_blocks(a) : 0;
}

static size_t work(const pha__args *a, pha__pass pass)
{
    (void)pass;
    return (size_t)(groups(a) * a->T) * SUMS * sizeof(float);
}

static size_t scratch(const pha__args *a, pha__pass pass)
{
    tile t;
    (void)pass;
    return take(&t, attr_of(a), NULL) * sizeof(float);
}

PHA__KERNEL(distill) = {.tasks = tasks, .forward = forward, .backward = backward, .work = work, .scratch = scratch};
