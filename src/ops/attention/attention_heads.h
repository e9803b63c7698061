/* attention_heads.h -- how the kernels of attention see their inputs: by kv head, rows and keys (attention_cpu.c) */
#ifndef PHA__ATTENTION_HEADS_H
#define PHA__ATTENTION_HEADS_H

#include "backend/cpu/rows.h"
#include "backend/cpu/tile.h"
#include "ops/attention/attention.h"

enum { LANES = 64, TILE = 64, FEW = 16, SEGMENT = 256 };

typedef struct heads { /* one kv head of one sequence and the query heads that read it */
    const pha__args *a;
    const pha__attention_attr *c;
    int b, h, dh, group;
    int64_t rows;           /* T * group */
    int64_t window;
    int64_t count, cached, capacity;
    const float *ring[2];   /* keys, values (capacity, dh) */
} heads;

static int group_of(const pha__args *a)
{
    const pha__attention_attr *c = a->attr;
    return c->n_head / c->n_kv_head;
}

static int64_t capacity_of(const pha__args *a)
{
    int64_t n = pha__attention_capacity(a->attr, a->max_context);
    return n > 0 ? n : 1;
}

/* A slot's count; the ring of keys (w = 0) or values (w = 1) of kv head h. */
static int64_t *count_of(const pha__args *a, int b) { return pha__slot(a, b); }
static float *ring_of(const pha__args *a, int b, int w, int h)
{
    const pha__attention_attr *c = a->attr;
    float *ring = (float *)((char *)pha__slot(a, b) + PHA__ATTENTION_HEADER);
    return ring + ((int64_t)w * c->n_kv_head + h) * capacity_of(a) * c->head_width;
}

static heads heads_of(const pha__args *a, int64_t index) /* of B * n_kv_head */
{
    const pha__attention_attr *c = a->attr;
    heads x = {.a = a, .c = c, .b = (int)(index / c->n_kv_head), .h = (int)(index % c->n_kv_head)};
    x.dh = c->head_width, x.group = group_of(a), x.rows = (int64_t)a->T * x.group;
    x.window = c->window ? c->window : INT32_MAX;
    if (a->state) {
        x.count = *count_of(a, x.b), x.capacity = capacity_of(a);
        x.cached = x.count < x.capacity ? x.count : x.capacity;
        for (int w = 0; w < 2; w++) x.ring[w] = ring_of(a, x.b, w, x.h);
    }
    return x;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t blocks(int64_t n, int64_t size) { return (n + size - 1) / size; }
static int64_t groups(const pha__args *a) { return (int64_t)a->B * ((const pha__attention_attr *)a->attr)->n_kv_head; }

/* Rows [n, n+count) of a value with n_head heads, dense, times a factor. */
static void load_rows(const heads *x, const pha__view *v, int64_t n, int count, float *dst, float factor)
{
    for (int i = 0; i < count; i++, dst += x->dh) {
        int64_t token = (n + i) / x->group, head = x->h * x->group + (n + i) % x->group;
        const float *p = pha__row_in(v, (int64_t)x->b * x->a->T + token, head * x->dh, x->dh, dst);
        for (int d = 0; d < x->dh; d++) dst[d] = factor * p[d];
    }
}

/* Keys (w = 0) or values (w = 1) [s, s+count): dense in buffer, or where they lie in the ring. */
static const float *load_keys(const heads *x, int w, int64_t s, int count, float *buffer)
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
        const float *p = pha__row_in(&x->a->in[1 + w], (int64_t)x->b * x->a->T + s + i, (int64_t)x->h * dh, dh, dst);
        if (p != dst) memcpy(dst, p, (size_t)dh * 4);
    }
    return buffer;
}

/* (dh, lanes) from `count` dense rows; the lanes that are missing become zeros. */
static void to_lanes(float *dst, const float *rows, int lanes, int count, int dh, float factor)
{
    pha__tile_transpose(dst, lanes, rows, dh, count, dh, factor);
    for (int d = 0; count < lanes && d < dh; d++)
        for (int i = count; i < lanes; i++) dst[d * lanes + i] = 0;
}

#endif
