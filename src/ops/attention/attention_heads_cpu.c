/* attention_heads_cpu.c -- loading rows and keys for the two passes of attention, and their matrix products */
#include "ops/attention/attention_heads.h"

#include <math.h>

#include "backend/cpu/dropout.h"
#include "backend/cpu/tile.h"

#define MUL(name, lanes, columns)                                                                          \
    void name(float *c, const float *a, int64_t lda, const float *b, int m, int k, bool add)               \
    {                                                                                                      \
        pha__tile_mul(lanes, columns, c, a, lda, b, m, k, add);                                            \
    }
MUL(mul_many, LANES_MANY, false)
MUL(mul_many_t, LANES_MANY, true)
MUL(mul_few, LANES_FEW, false)
MUL(mul_few_t, LANES_FEW, true)
MUL(mul_least, LANES_LEAST, false)
MUL(mul_least_t, LANES_LEAST, true)

heads heads_of(const pha__args *a, int64_t index)
{
    const pha__attention_attr *c = a->attr;
    heads x = {.a = a, .c = c, .b = (int)(index / c->n_kv_head), .h = (int)(index % c->n_kv_head)};
    x.dh = c->head_width, x.group = group_of(a), x.tokens = pha__sequence_of(a, x.b);
    x.rows = x.tokens.n * x.group;
    x.window = c->window ? c->window : INT32_MAX, x.local = c->local;
    x.drop = pha__dropout_on(a->run, c->dropout), x.half = c->cache == PHA__BF16;
    if (a->state) {
        x.count = *count_of(a, x.b), x.capacity = capacity_of(a);
        x.cached = x.count < x.capacity ? x.count : x.capacity;
        for (int w = 0; w < 2; w++) x.ring[w] = ring_of(a, x.b, w, x.h);
    }
    return x;
}

void load_rows(const heads *x, const pha__view *v, int64_t n, int count, float *dst, float factor)
{
    for (int i = 0; i < count; i++, dst += x->dh) {
        const float *p = pha__row_in(v, x->tokens.row + token_of(x, n + i), head_of(x, n + i) * x->dh, x->dh, dst);
        for (int d = 0; d < x->dh; d++) dst[d] = factor * p[d];
    }
}

/* n numbers of bf16; those behind them are wanted next. */
static void widen(float *to, const uint16_t *from, int64_t n)
{
    enum { AHEAD = 2048 };
    int64_t i = 0;
    for (; i + VF <= n; i += VF) {
        __builtin_prefetch(from + i + AHEAD);
        vf_store(to + i, vf_load_bf16(from + i));
    }
    for (; i < n; i++) to[i] = bf16_to_f32(from[i]);
}

/* Key s < 0 and those behind it, as far as they lie one after the other in the ring; returns their number. */
static int load_cached(const heads *x, int w, int64_t s, int count, float *to)
{
    int64_t at = (x->count + s) % x->capacity, n = least(count, least(-s, x->capacity - at));
    if (x->half) widen(to, (const uint16_t *)x->ring[w] + at * x->dh, n * x->dh);
    else memcpy(to, (const float *)x->ring[w] + at * x->dh, (size_t)(n * x->dh) * sizeof *to);
    return (int)n;
}

const float *load_keys(const heads *x, int w, int64_t s, int count, float *buffer)
{
    int dh = x->dh, i = 0;
    if (s < 0 && !x->half) {
        int64_t at = (x->count + s) % x->capacity;
        if (s + count <= 0 && at + count <= x->capacity) return (const float *)x->ring[w] + at * dh;
    }
    while (i < count && s + i < 0) i += load_cached(x, w, s + i, count - i, buffer + (int64_t)i * dh);
    for (; i < count; i++) {
        float *dst = buffer + (int64_t)i * dh;
        const float *p = pha__row_in(&x->a->in[1 + w], x->tokens.row + s + i, (int64_t)x->h * dh, dh, dst);
        if (p != dst) memcpy(dst, p, (size_t)dh * 4);
        if (x->half) /* as it will come from the ring */
            for (int d = 0; d < dh; d++) dst[d] = bf16_to_f32(f32_to_bf16(dst[d]));
    }
    return buffer;
}

void to_lanes(float *dst, const float *rows, int lanes, int count, int dh)
{
    pha__tile_transpose(dst, lanes, rows, dh, count, dh, 1);
    for (int d = 0; count < lanes && d < dh; d++)
        for (int i = count; i < lanes; i++) dst[d * lanes + i] = 0;
}

void mask(int lanes, const heads *x, float *logits, const int32_t *token, int64_t key, int count)
{
    int64_t first[LANES_MANY];
    for (int i = 0; i < lanes; i++) first[i] = first_key(x, token[i]);
    for (int j = 0; j < count; j++)
        for (int i = 0; i < lanes; i++)
            if (key + j > token[i] || key + j < first[i]) logits[j * lanes + i] = -INFINITY;
}

/* Word 0 of the counter of row n, token t: the row of the whole batch, and the head. */
static uint32_t counter_of(const heads *x, int64_t n, int64_t t)
{
    return (uint32_t)((x->a->run->row0 + x->tokens.row + t) * x->c->n_head + head_of(x, n));
}

/* Word 2, of keys [s, s+4). */
static uint32_t site_of(const heads *x, int64_t s) { return x->c->site + (uint32_t)(s / 4) * PHA__DROPOUT_SITES; }

void drop_rows(int lanes, const heads *x, float *p, int64_t n, const int32_t *token, int64_t key, int count)
{
    enum { LANES = PHA__DROPOUT_LANES };
    for (int first = 0; first < lanes; first += LANES)
        for (int64_t s = key - key % 4; s < key + count; s += 4) {
            pha__dropout_words c;
            for (int l = 0; l < LANES; l++)
                c[0][l] = counter_of(x, n + first + l, token[first + l]), c[2][l] = site_of(x, s);
            pha__dropout_draw(c, x->a->run);
            for (int k = 0; k < 4; k++) {
                float *row = p + (s + k - key) * lanes + first;
                if (s + k < key || s + k >= key + count) continue;
                for (int l = 0; l < LANES; l++) row[l] *= pha__dropout_factor(c[k][l], x->c->dropout);
            }
        }
}

void drop_keys(const heads *x, float *factor, int64_t n, int64_t key)
{
    enum { LANES = PHA__DROPOUT_LANES };
    for (int at = 0; at < LANES_MANY; at += 4 * LANES) {
        pha__dropout_words c;
        for (int l = 0; l < LANES; l++)
            c[0][l] = counter_of(x, n, token_of(x, n)), c[2][l] = site_of(x, key + at + 4 * l);
        pha__dropout_draw(c, x->a->run);
        for (int l = 0; l < LANES; l++)
            for (int k = 0; k < 4; k++) factor[at + 4 * l + k] = pha__dropout_factor(c[k][l], x->c->dropout);
    }
}
