/* gemm.c -- the matrix product
 *
 * Two ways. Many rows: C is cut into tasks of MC x NC; a task packs a KC x NC block of B into panels of NR columns (it
 * stays in the L2 cache), and a strip of MR rows of A (it stays in L1) meets one panel after the other in a tile of
 * MR x NR accumulators that fills the registers. Few rows and B stored by columns (the weights of a linear map while
 * decoding): dot products of rows of A and columns of B, read where they are.
 */
#include "backend/cpu/gemm.h"

#include "backend/cpu/pack.h"

enum {
    KC = 640,   /* KC x NC floats take a third of an L2 cache of 2 MB */
    NC = 288,
    MC = 512,
    ENOUGH = 8, /* tasks, where the shape allows, so that threads can share them */
    DOT_M = 16, /* up to so many rows are few */
};

static inline int64_t cut(int64_t n, int64_t most, int64_t unit)
{
    /* equal parts of n, multiples of unit, none larger than most (itself a multiple of unit) */
    int64_t parts = n > most ? (n + most - 1) / most : 1, part = (n + parts - 1) / parts;
    return (part + unit - 1) / unit * unit;
}

typedef struct plan {
    bool dot;
    int64_t mc, nc, kc;  /* size of a task, and of a step along k */
    int64_t rows, tasks; /* tasks along m, and all of them */
} plan;

static int64_t count(const pha__gemm *g, plan *p)
{
    p->rows = p->mc ? (g->m + p->mc - 1) / p->mc : 0;
    p->tasks = p->nc ? p->rows * ((g->n + p->nc - 1) / p->nc) : 0;
    return p->tasks;
}

static plan plan_of(const pha__gemm *g)
{
    plan p = {.dot = g->m <= DOT_M && g->b_row == 1 && g->a_col == 1};
    p.mc = p.dot ? g->m : cut(g->m, MC, MR);
    p.nc = p.dot ? cut(g->n, min64(256, (g->n / 16 + 15) / 16 * 16 + 16), 4) : cut(g->n, NC, NR);
    p.kc = cut(g->k, KC, 1);
    while (count(g, &p) < ENOUGH && !p.dot) {
        if (p.mc > 128 && p.mc >= p.nc) p.mc = cut(g->m, p.mc / 2 / MR * MR, MR);
        else if (p.nc >= 3 * NR) p.nc = cut(g->n, p.nc / 2 / NR * NR, NR);
        else break;
    }
    return p;
}

/* --------------------------------------------------------------------------------------------------------- tile */

typedef struct target {
    void *c;
    int64_t ld;
    pha__dtype type;
    bool add;
} target;

PHA__INLINE void put(const target *o, int64_t i, int v, vf x, int n)
{
    if (o->type == PHA__F32) {
        float *c = (float *)o->c + i * o->ld + v * VF;
        if (n >= VF) vf_store(c, o->add ? vf_load(c) + x : x);
        else if (n > 0) vf_store_n(c, o->add ? vf_load_n(c, n) + x : x, n);
        return;
    }
    uint16_t *c = (uint16_t *)o->c + i * o->ld + v * VF;
    if (n >= VF) {
        vf_store_bf16(c, o->add ? vf_load_bf16(c) + x : x);
        return;
    }
    float t[VF];
    vf_store(t, x);
    for (int j = 0; j < n; j++) c[j] = f32_to_bf16(o->add ? bf16_to_f32(c[j]) + t[j] : t[j]);
}

/* (mr, n) = strip (mr, k) panel (k, nv VF) */
PHA__INLINE void tile(int mr, int nv, const strip *s, const float *b, int64_t k, const target *o, int n)
{
    vf acc[MR][NV];
    UNROLL
    for (int i = 0; i < mr; i++)
        UNROLL
        for (int v = 0; v < nv; v++) acc[i][v] = vf_zero();
    const float *a = s->data;
    const int64_t row = s->row, col = s->col;
    for (int64_t p = 0; p < k; p++) {
        vf y[NV];
        UNROLL
        for (int v = 0; v < nv; v++) y[v] = vf_load(b + v * VF);
        __builtin_prefetch(b + nv * VF * 8);
        if (nv > 1) __builtin_prefetch(b + nv * VF * 8 + 16);
        if (nv > 2) __builtin_prefetch(b + nv * VF * 8 + 32);
        UNROLL
        for (int i = 0; i < mr; i++) {
            vf x = vf_set1(a[i * row]);
            for (int v = 0; v < nv; v++) acc[i][v] = vf_fma(x, y[v], acc[i][v]);
        }
        a += col;
        b += nv * VF;
    }
    UNROLL
    for (int i = 0; i < mr; i++)
        UNROLL
        for (int v = 0; v < nv; v++) put(o, i, v, acc[i][v], n - v * VF);
}

typedef void tile_function(const strip *s, const float *b, int64_t k, const target *o, int n);

#define TILE(mr, nv)                                                                                    \
    static void tile_##mr##_##nv(const strip *s, const float *b, int64_t k, const target *o, int n)     \
    {                                                                                                   \
        tile(mr, nv, s, b, k, o, n);                                                                    \
    }
#define TILES(mr) TILE(mr, 1) TILE(mr, 2) TILE(mr, 3)
#define NAMES(mr) {tile_##mr##_1, tile_##mr##_2, tile_##mr##_3}
TILES(1) TILES(2) TILES(3) TILES(4)
#if VREGS == 32
TILES(5) TILES(6) TILES(7) TILES(8)
#endif

static tile_function *const tiles[MR][NV] = {
    NAMES(1), NAMES(2), NAMES(3), NAMES(4),
#if VREGS == 32
    NAMES(5), NAMES(6), NAMES(7), NAMES(8),
#endif
};

/* The block (m, n) at (i0, j0), k steps from p0, over the packed block of B. */
static void block(const pha__gemm *g, int64_t i0, int64_t m, int64_t n, int64_t p0, int64_t k, const float *packed,
                  float *copy, const target *out)
{
    const size_t size = pha__dtype_size(out->type);
    for (int64_t group = 0; group < m; group += GROUP) {
        int64_t end = min64(group + GROUP, m);
        strip s = strips_of(g, i0 + group, end - group, p0, k, copy);
        for (int64_t i = group; i < end; i += MR) {
            int mr = (int)min64(MR, end - i);
            for (int64_t j = 0; j < n; j += NR) {
                int columns = (int)min64(NR, n - j), nv = (columns + VF - 1) / VF;
                target o = *out;
                o.c = (char *)out->c + (size_t)(i * out->ld + j) * size;
                tiles[mr - 1][nv - 1](&s, packed + j * k, k, &o, columns);
            }
            s.data += MR * (s.col == 1 ? s.row : k);
        }
    }
}

/* ---------------------------------------------------------------------------------------------------- few rows */

enum { DR = VREGS == 32 ? 4 : 2, DC = 4 }; /* rows of A and columns of B that are multiplied at a time */

/* The sums of four vectors, in fixed order. */
PHA__INLINE void sums(float out[4], vf a, vf b, vf c, vf d)
{
    vf x = __builtin_shufflevector(a, b, LANES(LOW1)) + __builtin_shufflevector(a, b, LANES(HIGH1));
    vf y = __builtin_shufflevector(c, d, LANES(LOW1)) + __builtin_shufflevector(c, d, LANES(HIGH1));
    vf z = __builtin_shufflevector(x, y, LANES(LOW2)) + __builtin_shufflevector(x, y, LANES(HIGH2));
    float t[VF];
    vf_store(t, z);
    for (int j = 0; j < 4; j++) {
        float sum = t[j];
        for (int l = j + 4; l < VF; l += 4) sum += t[l];
        out[j] = sum;
    }
}

/* C(i0.., j0..), mr x columns */
PHA__INLINE void dot(const pha__gemm *g, int64_t i0, int mr, int64_t j0, int columns, pha__dtype ta, pha__dtype tb)
{
    vf acc[DR][DC];
    const void *a = at(g->a, i0 * g->a_row, ta), *b[DC];
    for (int j = 0; j < DC; j++) b[j] = at(g->b, (j0 + min64(j, columns - 1)) * g->b_col, tb);
    UNROLL
    for (int i = 0; i < mr; i++)
        UNROLL
        for (int j = 0; j < DC; j++) acc[i][j] = vf_zero();
    int64_t p = 0;
    for (; p + VF <= g->k; p += VF) {
        vf y[DC];
        UNROLL
        for (int j = 0; j < DC; j++) y[j] = load(at(b[j], p, tb), tb);
        UNROLL
        for (int i = 0; i < mr; i++) {
            vf x = load(at(a, i * g->a_row + p, ta), ta);
            UNROLL
            for (int j = 0; j < DC; j++) acc[i][j] = vf_fma(x, y[j], acc[i][j]);
        }
    }
    if (p < g->k) {
        UNROLL
        for (int i = 0; i < mr; i++) {
            vf x = load_n(at(a, i * g->a_row + p, ta), ta, g->k - p);
            UNROLL
            for (int j = 0; j < DC; j++) acc[i][j] = vf_fma(x, load_n(at(b[j], p, tb), tb, g->k - p), acc[i][j]);
        }
    }
    UNROLL
    for (int i = 0; i < mr; i++) {
        float r[DC];
        sums(r, acc[i][0], acc[i][1], acc[i][2], acc[i][3]);
        int64_t o = (i0 + i) * g->c_row + j0;
        for (int j = 0; j < columns; j++) {
            if (g->c_type == PHA__F32) {
                float *c = (float *)g->c + o + j;
                *c = g->add ? *c + r[j] : r[j];
            } else {
                uint16_t *c = (uint16_t *)g->c + o + j;
                *c = f32_to_bf16(g->add ? bf16_to_f32(*c) + r[j] : r[j]);
            }
        }
    }
}

PHA__INLINE void dots_as(const pha__gemm *g, int64_t j0, int64_t n, pha__dtype ta, pha__dtype tb)
{
    for (int64_t j = j0; j < j0 + n; j += DC) {
        int columns = (int)min64(DC, j0 + n - j);
        int64_t i = 0;
        for (; i + DR <= g->m; i += DR) dot(g, i, DR, j, columns, ta, tb);
        if (i < g->m && g->m - i == 1) dot(g, i, 1, j, columns, ta, tb);
        if (i < g->m && g->m - i == 2) dot(g, i, 2, j, columns, ta, tb);
        if (i < g->m && g->m - i == 3) dot(g, i, DR < 3 ? DR : 3, j, columns, ta, tb);
    }
}

static void dots(const pha__gemm *g, int64_t j0, int64_t n)
{
    if (g->a_type == PHA__BF16) {
        if (g->b_type == PHA__BF16) dots_as(g, j0, n, PHA__BF16, PHA__BF16);
        else dots_as(g, j0, n, PHA__BF16, PHA__F32);
    } else {
        if (g->b_type == PHA__BF16) dots_as(g, j0, n, PHA__F32, PHA__BF16);
        else dots_as(g, j0, n, PHA__F32, PHA__F32);
    }
}

/* ---------------------------------------------------------------------------------------------------------- all */

int64_t pha__gemm_tasks(const pha__gemm *g)
{
    return plan_of(g).tasks;
}

static size_t packed_floats(int64_t n, int64_t k)
{
    return (size_t)((min64(k, KC) * min64((n + NR - 1) / NR * NR, NC) + 15) / 16 * 16);
}

static size_t copy_floats(int64_t k)
{
    return (size_t)(min64(k, KC) * GROUP + 15) / 16 * 16;
}

size_t pha__gemm_scratch(int64_t m, int64_t n, int64_t k)
{
    int64_t sum = k <= KC ? 0 : min64((m + MR - 1) / MR * MR, MC) * min64((n + NR - 1) / NR * NR, NC);
    return (packed_floats(n, k) + copy_floats(k) + (size_t)sum) * sizeof(float);
}

static void task(const pha__gemm *g, const plan *q, int64_t t, float *scratch)
{
    int64_t i0 = t % q->rows * q->mc, j0 = t / q->rows * q->nc;
    int64_t m = min64(q->mc, g->m - i0), n = min64(q->nc, g->n - j0);
    if (q->dot) {
        dots(g, j0, n);
        return;
    }
    float *packed = scratch, *copy = packed + packed_floats(g->n, g->k), *sum = copy + copy_floats(g->k);
    target c = {(char *)g->c + (size_t)(i0 * g->c_row + j0) * pha__dtype_size(g->c_type), g->c_row, g->c_type, g->add};
    target out = c;
    bool apart = c.type == PHA__BF16 && q->kc < g->k; /* the sum must stay fp32 */
    if (apart) out = (target){sum, q->nc, PHA__F32, false};
    int64_t p = 0;
    do { /* once for k = 0: the sum is 0 */
        int64_t k = min64(q->kc, g->k - p);
        pack_b(packed, g, p, k, j0, n);
        block(g, i0, m, n, p, k, packed, copy, &out);
        out.add = true;
        p += k;
    } while (p < g->k);
    if (apart)
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j += VF) {
                target o = {(uint16_t *)c.c + j, c.ld, c.type, c.add};
                put(&o, i, 0, vf_load_n(sum + i * q->nc + j, (int)min64(VF, n - j)), (int)min64(VF, n - j));
            }
}

void pha__gemm_run(const pha__gemm *g, int64_t begin, int64_t end, void *scratch)
{
    plan q = plan_of(g);
    for (int64_t t = begin; t < end; t++) task(g, &q, t, scratch);
}
