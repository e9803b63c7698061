/* attention_heads_cpu.c -- loading rows and keys for the two passes of attention, and their matrix products */
#include "ops/attention/attention_heads.h"

#include <math.h>

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

heads heads_of(const pha__args *a, int64_t index)
{
    const pha__attention_attr *c = a->attr;
    heads x = {.a = a, .c = c, .b = (int)(index / c->n_kv_head), .h = (int)(index % c->n_kv_head)};
    x.dh = c->head_width, x.group = group_of(a), x.tokens = pha__sequence_of(a, x.b);
    x.rows = x.tokens.n * x.group;
    x.window = c->window ? c->window : INT32_MAX, x.local = c->local;
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

const float *load_keys(const heads *x, int w, int64_t s, int count, float *buffer)
{
    int dh = x->dh, i = 0;
    if (s < 0) {
        int64_t at = (x->count + s) % x->capacity;
        if (s + count <= 0 && at + count <= x->capacity) return x->ring[w] + at * dh;
        for (; i < count && s + i < 0; i++)
            memcpy(buffer + (int64_t)i * dh, x->ring[w] + (x->count + s + i) % x->capacity * dh, (size_t)dh * 4);
    }
    for (; i < count; i++) {
        float *dst = buffer + (int64_t)i * dh;
        const float *p = pha__row_in(&x->a->in[1 + w], x->tokens.row + s + i, (int64_t)x->h * dh, dh, dst);
        if (p != dst) memcpy(dst, p, (size_t)dh * 4);
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
