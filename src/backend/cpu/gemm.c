/* gemm.c -- the matrix product
 *
 * C is cut into tasks of mc x nc. A task packs a kc x nc block of B into blocks of NR columns (it stays in the L2
 * cache), and a strip of MR rows of A (it stays in L1) meets one after the other in a tile of MR x NR accumulators that
 * fills the registers. Weights that lie in panels are not packed (panel.h): those of fp32 are read where they are. Of
 * blocks of integers (blocks.h) A becomes integers as well: where rows are few once for all k, else step by step.
 *
 * One order of summation: k in sequence, in steps of kc that depend on k alone, each from zero and added in order. It
 * is the same for any number of rows, any place in C and any format of B that holds the same numbers as floats. Of sums
 * over sequences a step has some of them, or a piece of one: a tile begins anew with each and adds it in the cache.
 */
#include "backend/cpu/gemm.h"

#include <assert.h>

#include "backend/cpu/blocks.h"
#include "backend/cpu/panel.h"

enum {
    KC = PHA__GEMM_PIECE, /* KC x NC floats take a third of an L2 cache of 2 MB */
    NC = 288,
    MC = 512,
    ENOUGH = 8, /* tasks, where the shape allows, so that threads can share them */
    PANEL_MC = 160 / PR * PR, /* of panels: KC x PANEL_MC of A stay in L2 */
    PANEL_NC = 256,
    PANEL_UNIT = PN * PHA__PANEL,
};

static inline int64_t cut(int64_t n, int64_t most, int64_t unit)
{
    /* equal parts of n, multiples of unit, none larger than most (itself a multiple of unit) */
    int64_t parts = n > most ? (n + most - 1) / most : 1, part = (n + parts - 1) / parts;
    return (part + unit - 1) / unit * unit;
}

typedef struct plan {
    bool panels, blocks;
    int64_t mc, nc, kc;  /* size of a task, and of a step along k */
    int64_t rows, tasks; /* tasks along m, and all of them */
} plan;

static int64_t count(const pha__gemm *g, plan *p)
{
    p->rows = p->mc ? (g->m + p->mc - 1) / p->mc : 0;
    p->tasks = p->nc ? p->rows * ((g->n + p->nc - 1) / p->nc) : 0;
    return p->tasks;
}

/* Few rows against panels: the tasks are many, since each only waits for memory. */
static void plan_panels(const pha__gemm *g, plan *p)
{
    int64_t fine = (g->n / 16 + PANEL_UNIT - 1) / PANEL_UNIT * PANEL_UNIT;
    p->mc = cut(g->m, PANEL_MC, PR);
    p->nc = cut(g->n, p->mc < g->m || fine > PANEL_NC ? PANEL_NC : fine ? fine : PANEL_UNIT, PANEL_UNIT);
    count(g, p);
}

static void plan_packed(const pha__gemm *g, plan *p)
{
    p->mc = cut(g->m, MC, MR);
    p->nc = cut(g->n, NC, NR);
    while (count(g, p) < ENOUGH) {
        if (p->mc > 128 && p->mc >= p->nc) p->mc = cut(g->m, p->mc / 2 / MR * MR, MR);
        else if (p->nc >= 3 * NR) p->nc = cut(g->n, p->nc / 2 / NR * NR, NR);
        else break;
    }
}

static plan plan_of(const pha__gemm *g)
{
    plan p = {.panels = in_panels(g->b_type), .blocks = in_blocks(g->b_type)};
    p.kc = cut(g->k, KC, p.blocks ? PHA__BLOCK : 1);
    assert(g->b_type <= PHA__BF16 || (g->b_row == 1 && g->a_col == 1)); /* such a weight is only read by columns of B */
    (p.panels ? plan_panels : plan_packed)(g, &p);
    return p;
}

/* --------------------------------------------------------------------------------------------------------- tile */

typedef struct pieces { /* of a step along k: where each ends. Those of a sum over sequences are added one by one */
    int n;
    int32_t end[KC];
} pieces;

/* (mr, n) = strip (mr, k) panel (k, nv VF), k steps */
PHA__INLINE void tile_piece(int mr, int nv, vf acc[MR][NV], const float *a, int64_t row, int64_t col, const float *b,
                            int64_t k)
{
    UNROLL
    for (int i = 0; i < mr; i++)
        UNROLL
        for (int v = 0; v < nv; v++) acc[i][v] = vf_zero();
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
}

PHA__INLINE void tile(int mr, int nv, const strip *s, const float *b, int64_t k, const target *o, int n)
{
    vf acc[MR][NV];
    float sum[MR * NR];
    tile_piece(mr, nv, acc, s->data, s->row, s->col, b, k);
    UNROLL
    for (int i = 0; i < mr; i++)
        UNROLL
        for (int v = 0; v < nv; v++) vf_store(sum + i * NR + v * VF, acc[i][v]);
    put_rows(o, sum, NR, mr, n);
}

/* The same of several pieces, by itself, since short products are a thirtieth slower where a tile looks for them. */
PHA__INLINE void tile_sum(int mr, int nv, const strip *s, const float *b, const pieces *k, const target *o, int n)
{
    vf acc[MR][NV];
    float sum[MR * NR];
    target t = *o;
    begin_rows(o, sum, NR, mr, n);
    for (int64_t q = 0, p = 0; q < k->n; p = k->end[q++]) {
        tile_piece(mr, nv, acc, s->data + p * s->col, s->row, s->col, b + p * nv * VF, k->end[q] - p);
        UNROLL
        for (int i = 0; i < mr; i++)
            UNROLL
            for (int v = 0; v < nv; v++) {
                float *to = sum + i * NR + v * VF;
                vf_store(to, vf_load(to) + acc[i][v]);
            }
    }
    t.add = false;
    put_rows(&t, sum, NR, mr, n);
}

typedef void tile_function(const strip *s, const float *b, int64_t k, const target *o, int n);
typedef void sum_function(const strip *s, const float *b, const pieces *k, const target *o, int n);

#define TILE(mr, nv)                                                                                    \
    static void tile_##mr##_##nv(const strip *s, const float *b, int64_t k, const target *o, int n)     \
    {                                                                                                   \
        tile(mr, nv, s, b, k, o, n);                                                                    \
    }                                                                                                   \
    static void sum_##mr##_##nv(const strip *s, const float *b, const pieces *k, const target *o, int n) \
    {                                                                                                   \
        tile_sum(mr, nv, s, b, k, o, n);                                                                \
    }
#define TILES(mr) TILE(mr, 1) TILE(mr, 2) TILE(mr, 3)
#define NAMES(what, mr) {what##_##mr##_1, what##_##mr##_2, what##_##mr##_3}
TILES(1) TILES(2) TILES(3) TILES(4)
#if VREGS == 32
TILES(5) TILES(6) TILES(7) TILES(8)
#endif

#if VREGS == 32
#define ALL(what) {NAMES(what, 1), NAMES(what, 2), NAMES(what, 3), NAMES(what, 4), \
                   NAMES(what, 5), NAMES(what, 6), NAMES(what, 7), NAMES(what, 8)}
#else
#define ALL(what) {NAMES(what, 1), NAMES(what, 2), NAMES(what, 3), NAMES(what, 4)}
#endif
static tile_function *const tiles[MR][NV] = ALL(tile);
static sum_function *const sums[MR][NV] = ALL(sum);

/* The block (m, n) at (i0, j0), k steps from p0, over the packed block of B. */
static void block(const pha__gemm *g, int64_t i0, int64_t m, int64_t n, int64_t p0, const pieces *steps,
                  const float *packed, float *copy, const target *out)
{
    const int64_t k = steps->end[steps->n - 1];
    for (int64_t group = 0; group < m; group += GROUP) {
        int64_t end = min64(group + GROUP, m);
        strip s = strips_of(g, i0 + group, end - group, p0, k, copy);
        for (int64_t i = group; i < end; i += MR) {
            int mr = (int)min64(MR, end - i);
            for (int64_t j = 0; j < n; j += NR) {
                int columns = (int)min64(NR, n - j), nv = (columns + VF - 1) / VF;
                target o = beside(out, i, j);
                if (steps->n == 1) tiles[mr - 1][nv - 1](&s, packed + j * k, k, &o, columns);
                else sums[mr - 1][nv - 1](&s, packed + j * k, steps, &o, columns);
            }
            s.data += MR * (s.col == 1 ? s.row : k);
        }
    }
}

/* ---------------------------------------------------------------------------------------------------------- all */

int64_t pha__gemm_tasks(const pha__gemm *g)
{
    return plan_of(g).tasks;
}

static size_t packed_floats(int64_t n, int64_t k)
{
    int64_t blocks = (n + NR - 1) / NR * NR, whole = (n + PHA__PANEL - 1) / PHA__PANEL * PHA__PANEL;
    int64_t steps = min64(blocks_of(k) * PHA__BLOCK, KC);
    return (size_t)((steps * min64(blocks > whole ? blocks : whole, NC) + 15) / 16 * 16);
}

/* Of A: a group of rows in order, or rows as integers. */
static size_t copy_floats(int64_t m, int64_t k)
{
    size_t group = (size_t)(min64(k, KC) * GROUP) * sizeof(float);
    size_t few = integers_bytes(min64(m, FEW), k), step = integers_bytes(min64(m, PANEL_MC), min64(k, KC));
    size_t most = few > step ? few : step;
    return (most > group ? most : group) / 64 * 16 + 16;
}

size_t pha__gemm_scratch(int64_t m, int64_t n, int64_t k)
{
    int64_t sum = k <= KC ? 0 : min64(m, MC) * min64((n + VF - 1) / VF * VF, NC);
    return (packed_floats(n, k) + copy_floats(m, k) + (size_t)sum) * sizeof(float);
}

typedef struct room { /* scratch of a thread */
    float *packed, *copy, *sum;
    integers whole;  /* in `copy`: all k numbers of FEW rows from `row` on; row < 0: not yet */
    int64_t row;
} room;

static room room_of(const pha__gemm *g, float *scratch)
{
    room r = {.packed = scratch, .row = -1};
    r.copy = r.packed + packed_floats(g->n, g->k), r.sum = r.copy + copy_floats(g->m, g->k);
    return r;
}

/* A step along k over blocks: the rows as integers, made here unless they are few. */
static void blocks_step(const pha__gemm *g, int64_t i0, int64_t m, int64_t j0, int64_t n, int64_t p, int64_t k,
                        const room *r, const target *out)
{
    integers a = r->whole;
    int64_t first = p / PHA__BLOCK;
    if (m > FEW) {
        a = integers_at(r->copy, m, k), first = 0;
        quantise(&a, g, i0, m, p, k);
    }
    stretch s = {.blocks = blocks_of(k), .q = a.q + first * PHA__BLOCK, .f = a.f + first, .row = a.blocks};
    blocks_block(g, &s, m, j0, n, p, (int16_t *)(void *)r->packed, out);
}

/* Where the piece that has step p ends. *next: the first of g->ends that may be it. */
static int64_t piece_end(const pha__gemm *g, int64_t p, int64_t *next)
{
    if (g->ends) {
        while (g->ends[*next] <= p) ++*next;
        return g->ends[*next];
    }
    const int64_t begin = p / g->sequence * g->sequence, piece = pha__gemm_piece(g->sequence);
    return min64(begin + min64(((p - begin) / piece + 1) * piece, g->sequence), g->k);
}

/* The step along k that begins at p: of sums over sequences, all pieces that fit. Returns its size. */
static int64_t take_step(const pha__gemm *g, const plan *q, int64_t p, int64_t *next, pieces *out)
{
    out->n = 1, out->end[0] = (int32_t)min64(q->kc, g->k - p);
    if (g->k == 0 || (!g->sequence && !g->ends)) return out->end[0];
    int64_t end = piece_end(g, p, next);
    assert(end - p <= KC && g->c_type == PHA__F32 && !q->panels && !q->blocks);
    for (out->n = 0; end - p <= KC; end = piece_end(g, end, next)) {
        out->end[out->n++] = (int32_t)(end - p);
        if (end == g->k) break;
    }
    return out->end[out->n - 1];
}

/* C(i0.., j0..), m x n: the steps along k one after the other. */
static void part(const pha__gemm *g, const plan *q, int64_t i0, int64_t m, int64_t j0, int64_t n, const room *r)
{
    target c = {(char *)g->c + (size_t)(i0 * g->c_row + j0) * pha__dtype_size(g->c_type), g->c_row, g->c_type, g->add,
                g->bias ? g->bias + j0 : NULL};
    target out = c;
    bool apart = c.type == PHA__BF16 && q->kc < g->k; /* the sum must stay fp32 */
    int64_t ld = (n + VF - 1) / VF * VF, p = 0, next = 0;
    pieces steps;
    if (apart) out = (target){r->sum, ld, PHA__F32, false, NULL};
    do { /* once for k = 0: the sum is 0 */
        int64_t k = take_step(g, q, p, &next, &steps);
        if (!apart) out.bias = p + k == g->k ? c.bias : NULL;
        if (q->blocks) {
            blocks_step(g, i0, m, j0, n, p, k, r, &out);
        } else if (q->panels) {
            panel_block(g, i0, m, j0, n, p, k, r->copy, r->packed, &out);
        } else {
            pack_b(r->packed, g, p, k, j0, n, r->copy);
            block(g, i0, m, n, p, &steps, r->packed, r->copy, &out);
        }
        out.add = true;
        p += k;
    } while (p < g->k);
    if (apart) put_rows(&c, r->sum, ld, m, n);
}

/* Columns that go all the way along k before the next ones: over panels those of one tile if rows are few, since every
 * panel is read only once. */
static int64_t columns_of(const pha__gemm *g, const plan *q, int64_t m)
{
    if (q->blocks) return m <= FEW && q->kc < g->k ? PHA__PANEL : q->nc;
    return q->panels && m <= PR ? reading_of(g, m).together * PHA__PANEL : q->nc;
}

static void task(const pha__gemm *g, const plan *q, int64_t t, room *r)
{
    int64_t i0 = t % q->rows * q->mc, j0 = t / q->rows * q->nc;
    int64_t m = min64(q->mc, g->m - i0), end = min64(j0 + q->nc, g->n), step = columns_of(g, q, m);
    if (q->blocks && m <= FEW && r->row != i0) {
        r->whole = integers_at(r->copy, m, g->k), r->row = i0;
        quantise(&r->whole, g, i0, m, 0, g->k);
    }
    for (int64_t j = j0; j < end; j += step) part(g, q, i0, m, j, min64(step, end - j), r);
}

void pha__gemm_run(const pha__gemm *g, int64_t begin, int64_t end, void *scratch)
{
    plan q = plan_of(g);
    room r = room_of(g, scratch);
    for (int64_t t = begin; t < end; t++) task(g, &q, t, &r);
}
