/* pack.h -- copies of A and B in the order in which the matrix product reads them; how C is written (part of gemm.c)
 *
 * B: blocks of NR columns. A: strips of MR rows, only where they can't be read in place. bf16 is widened on the way.
 */
#ifndef PHA__PACK_H
#define PHA__PACK_H

#include "backend/cpu/gemm.h"
#include "backend/cpu/simd.h"
#include "base/format.h"

/* In front of a loop whose bounds are constant after inlining: arrays of vectors must become registers. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

enum {
    NV = 3, /* a tile is MR rows of NV vectors: with the row of B and an element of A, all registers */
    NR = NV * VF,
    MR = VREGS == 32 ? 8 : 4,
    GROUP = 32, /* rows of A that are copied at a time (and at least VF) */
    AHEAD = 12, /* prefetch distance of that */
};

static inline int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

PHA__INLINE const void *at(const void *p, int64_t i, pha__dtype t)
{
    return (const char *)p + i * (t == PHA__BF16 ? 2 : 4);
}

PHA__INLINE vf load(const void *p, pha__dtype t)
{
    return t == PHA__BF16 ? vf_load_bf16(p) : vf_load(p);
}

PHA__INLINE vf load_n(const void *p, pha__dtype t, int64_t n)
{
    if (n >= VF) return load(p, t);
    if (n <= 0) return vf_zero();
    if (t == PHA__F32) return vf_load_n(p, (int)n);
    uint16_t h[VF] = {0};
    memcpy(h, p, (size_t)n * 2);
    return vf_load_bf16(h);
}

/* One stage of the transposition of VF vectors: swaps the off-diagonal blocks of size s. */
#if VF == 16
#define LANES(f) f(0), f(1), f(2), f(3), f(4), f(5), f(6), f(7), f(8), f(9), f(10), f(11), f(12), f(13), f(14), f(15)
#elif VF == 8
#define LANES(f) f(0), f(1), f(2), f(3), f(4), f(5), f(6), f(7)
#else
#define LANES(f) f(0), f(1), f(2), f(3)
#endif
#define STAGE(s, low, high)                                       \
    for (int i = 0; i < VF; i++) {                                \
        if (i & s) continue;                                      \
        vf x = r[i], y = r[i + s];                                \
        r[i] = __builtin_shufflevector(x, y, LANES(low));         \
        r[i + s] = __builtin_shufflevector(x, y, LANES(high));    \
    }
#define LOW1(l) ((l)&1 ? (l)-1 + VF : (l))
#define HIGH1(l) ((l)&1 ? (l) + VF : (l) + 1)
#define LOW2(l) ((l)&2 ? (l)-2 + VF : (l))
#define HIGH2(l) ((l)&2 ? (l) + VF : (l) + 2)
#define LOW4(l) ((l)&4 ? (l)-4 + VF : (l))
#define HIGH4(l) ((l)&4 ? (l) + VF : (l) + 4)
#define LOW8(l) ((l)&8 ? (l)-8 + VF : (l))
#define HIGH8(l) ((l)&8 ? (l) + VF : (l) + 8)

PHA__INLINE void transpose(vf r[VF])
{
    STAGE(1, LOW1, HIGH1)
    STAGE(2, LOW2, HIGH2)
#if VF >= 8
    STAGE(4, LOW4, HIGH4)
#endif
#if VF >= 16
    STAGE(8, LOW8, HIGH8)
#endif
}

/* Columns of B are contiguous: VF columns at a time are transposed. out: rows of `width` floats. */
PHA__INLINE void pack_columns(float *out, const void *b, int64_t ld, pha__dtype t, int64_t k, int64_t columns,
                              int width)
{
    for (int64_t p = 0; p < k; p += VF) {
        vf r[VF];
        if (columns >= VF && p + VF <= k) {
            UNROLL
            for (int j = 0; j < VF; j++) r[j] = load(at(b, j * ld + p, t), t);
        } else {
            for (int j = 0; j < VF; j++) r[j] = j < columns ? load_n(at(b, j * ld + p, t), t, k - p) : vf_zero();
        }
        transpose(r);
        if (p + VF <= k) {
            UNROLL
            for (int i = 0; i < VF; i++) vf_store(out + (p + i) * width, r[i]);
        } else {
            for (int i = 0; i < k - p; i++) vf_store(out + (p + i) * width, r[i]);
        }
    }
}

/* Rows of B are contiguous: copied. */
PHA__INLINE void pack_rows(float *out, const void *b, int64_t ld, pha__dtype t, int64_t k, int64_t columns, int nv)
{
    for (int64_t p = 0; p < k; p++) {
        const void *row = at(b, p * ld, t);
        for (int v = 0; v < nv; v++)
            vf_store(out + (p * nv + v) * VF, load_n(at(row, v * VF, t), t, columns - v * VF));
    }
}

/* B(p0.., j0..), k x n, into blocks of NR columns (the last: as many vectors as it needs), each k rows. */
PHA__INLINE void pack_b_as(float *out, const pha__gemm *g, int64_t p0, int64_t k, int64_t j0, int64_t n, pha__dtype t)
{
    for (int64_t j = 0; j < n; j += NR) {
        int64_t columns = min64(n - j, NR);
        int nv = (int)((columns + VF - 1) / VF);
        const void *b = at(g->b, p0 * g->b_row + (j0 + j) * g->b_col, t);
        float *to = out + j * k;
        if (g->b_col == 1) {
            if (columns == NR) pack_rows(to, b, g->b_row, t, k, NR, NV);
            else pack_rows(to, b, g->b_row, t, k, columns, nv);
        } else {
            for (int v = 0; v < nv; v++)
                pack_columns(to + v * VF, at(b, v * VF * g->b_col, t), g->b_col, t, k, columns - v * VF, nv * VF);
        }
    }
}

/* The same from any format of the table, whose rows are columns of B; `room` holds VF of them. */
static inline void unpack_b(float *out, const pha__gemm *g, int64_t p0, int64_t k, int64_t j0, int64_t n, float *room)
{
    for (int64_t j = 0; j < n; j += NR) {
        int64_t columns = min64(n - j, NR);
        int nv = (int)((columns + VF - 1) / VF);
        for (int v = 0; v < nv; v++) {
            int64_t some = min64(columns - v * VF, VF);
            for (int64_t i = 0; i < some; i++)
                pha__format_unpack(g->b_type, g->b, g->b_col, j0 + j + v * VF + i, p0, k, room + i * k);
            pack_columns(out + j * k + v * VF, room, k, PHA__F32, k, some, nv * VF);
        }
    }
}

static inline void pack_b(float *out, const pha__gemm *g, int64_t p0, int64_t k, int64_t j0, int64_t n, float *room)
{
    if (g->b_type == PHA__F32) pack_b_as(out, g, p0, k, j0, n, PHA__F32);
    else if (g->b_type == PHA__BF16) pack_b_as(out, g, p0, k, j0, n, PHA__BF16);
    else unpack_b(out, g, p0, k, j0, n, room);
}

/* A strip of A as the tile reads it: element (i, p) at data[i * row + p * col]. */
typedef struct strip {
    const float *data;
    int64_t row, col;
} strip;

/* Columns of A are contiguous: m rows, k columns are copied into strips of MR rows, each k x MR. A line of the cache
 * holds several strips' part of a column, so they are done together; the columns are far apart: they are announced. */
PHA__INLINE void pack_a_columns(float *out, const void *a, int64_t ld, pha__dtype t, int64_t m, int64_t k)
{
    for (int64_t p = 0; p < k; p++) {
        const void *column = at(a, p * ld, t);
        if (p + AHEAD < k) {
            const char *next = at(a, (p + AHEAD) * ld, t);
            __builtin_prefetch(next);
            if (m > 16 && t == PHA__F32) __builtin_prefetch(next + 64);
        }
        for (int64_t i = 0; i < m; i += MR) {
            float *to = out + i * k + p * MR;
            const uint16_t *h = at(column, i, t);
            int64_t n = min64(MR, m - i);
            if (t == PHA__F32) memcpy(to, h, n == MR ? MR * 4 : (size_t)n * 4);
            else if (n == MR) for (int j = 0; j < MR; j++) to[j] = bf16_to_f32(h[j]);
            else for (int j = 0; j < n; j++) to[j] = bf16_to_f32(h[j]);
        }
    }
}

/* Rows of A are contiguous bf16: widened. out: rows of k floats. */
static inline void widen_rows(float *out, const uint16_t *a, int64_t ld, int64_t m, int64_t k)
{
    for (int64_t i = 0; i < m; i++, a += ld, out += k) {
        int64_t p = 0;
        for (; p + VF <= k; p += VF) vf_store(out + p, vf_load_bf16(a + p));
        for (; p < k; p++) out[p] = bf16_to_f32(a[p]);
    }
}

/* The first of the strips of m <= GROUP rows; strip s begins s * MR * (col == 1 ? row : k) floats later. Rows that are
 * contiguous fp32 are read in place, else a copy is made. */
static inline strip strips_of(const pha__gemm *g, int64_t i0, int64_t m, int64_t p0, int64_t k, float *copy)
{
    const void *a = at(g->a, i0 * g->a_row + p0 * g->a_col, g->a_type);
    if (g->a_col == 1 && g->a_type == PHA__F32) return (strip){a, g->a_row, 1};
    if (g->a_col == 1) {
        widen_rows(copy, a, g->a_row, m, k);
        return (strip){copy, k, 1};
    }
    if (g->a_type == PHA__F32) pack_a_columns(copy, a, g->a_col, PHA__F32, m, k);
    else pack_a_columns(copy, a, g->a_col, PHA__BF16, m, k);
    return (strip){copy, 1, MR};
}

/* Where a tile of C goes. */
typedef struct target {
    void *c;
    int64_t ld;
    pha__dtype type;
    bool add;
    const float *bias; /* of the columns from c on; NULL: none */
} target;

static void put(const target *o, int64_t i, int64_t j, vf x, int n)
{
    if (o->type == PHA__F32) {
        float *c = (float *)o->c + i * o->ld + j;
        if (n >= VF) vf_store(c, o->add ? vf_load(c) + x : x);
        else if (n > 0) vf_store_n(c, o->add ? vf_load_n(c, n) + x : x, n);
        return;
    }
    uint16_t *c = (uint16_t *)o->c + i * o->ld + j;
    if (n >= VF) {
        vf_store_bf16(c, o->add ? vf_load_bf16(c) + x : x);
        return;
    }
    float t[VF];
    vf_store(t, x);
    for (int l = 0; l < n; l++) c[l] = f32_to_bf16(o->add ? bf16_to_f32(c[l]) + t[l] : t[l]);
}

/* The same, `columns` further right. */
static inline target beside(const target *o, int64_t row, int64_t columns)
{
    target t = *o;
    t.c = (char *)o->c + (size_t)(row * o->ld + columns) * pha__dtype_size(o->type);
    t.bias = o->bias ? o->bias + columns : NULL;
    return t;
}

/* What a tile adds the pieces of a sum to: C, or -0, to which any number is added without a change. */
static __attribute__((noinline)) void begin_rows(const target *o, float *sum, int64_t ld, int64_t rows, int64_t n)
{
    for (int64_t i = 0; i < rows; i++, sum += ld)
        for (int64_t j = 0; j < n; j += VF) {
            const float *c = (const float *)o->c + i * o->ld + j;
            vf_store(sum + j, !o->add ? vf_set1(-0.0f) : n - j >= VF ? vf_load(c) : vf_load_n(c, (int)(n - j)));
        }
}

/* By itself, since a test for it in `put` costs products without a bias a twelfth of their time. */
static __attribute__((noinline)) void add_bias(float *sum, int64_t ld, int64_t rows, int64_t n, const float *bias)
{
    for (int64_t i = 0; i < rows; i++, sum += ld)
        for (int64_t j = 0; j < n; j += VF)
            vf_store(sum + j, vf_load(sum + j) + (n - j >= VF ? vf_load(bias + j) : vf_load_n(bias + j, (int)(n - j))));
}

/* Rows of n numbers, `ld` apart in `from` (room for whole vectors, overwritten), as the accumulators of a tile leave
 * them. One routine for all tiles, so that its cases are compiled once. */
static __attribute__((noinline)) void put_rows(const target *o, float *from, int64_t ld, int64_t rows, int64_t n)
{
    if (o->bias) add_bias(from, ld, rows, n, o->bias);
    for (int64_t i = 0; i < rows; i++, from += ld)
        for (int64_t j = 0; j < n; j += VF) put(o, i, j, vf_load(from + j), (int)min64(VF, n - j));
}

#endif
