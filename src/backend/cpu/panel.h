/* panel.h -- the matrix product over plain numbers that lie in panels (part of gemm.c)
 *
 * A panel is PHA__PANEL columns of B, k after k, so a tile reads one stream of memory. With few rows several panels go
 * side by side: their accumulators hide the latency of the sums, and memory is read as fast as it comes. fp32 is read
 * where it is. Other formats are widened in the registers of a tile of one or two rows, which only waits for memory;
 * for more rows once for all of them, into a panel of fp32 in the cache.
 */
#ifndef PHA__PANEL_H
#define PHA__PANEL_H

#include "backend/cpu/panel_read.h"

enum {
    PN = 4,             /* most panels */
    NARROW = 2,         /* most rows of a tile that widens */
    AHEAD_BYTES = 1536, /* of a panel, on the way into the cache */
};

/* Panels side by side in a tile of mr rows. */
PHA__INLINE int panels_together(int64_t mr)
{
    int n = ACCUMULATORS / ((int)mr * PV);
    return n > PN ? PN : n ? n : 1;
}

typedef struct panels { /* the same k steps of panels of B, from step p0 on */
    const char *data;
    int64_t apart;      /* bytes from one panel to the next */
    const char *next;   /* panels that are read after these */
    const char *later;  /* some of them, which a tile of many rows brings in, `pace` bytes a step */
    int64_t pace;
} panels;

typedef vf accumulators[PR][PN * PV];

/* Steps [0, k) of a tile; `ahead` is what a step brings into the cache, and so is `later`, paced. */
PHA__INLINE void panel_steps(pha__dtype t, int mr, int np, accumulators acc, const float *a, int64_t row, const char *b,
                             int64_t apart, int64_t k, const char *ahead, const char *later, int64_t pace)
{
    for (int64_t p = 0; p < k; p++) {
        if (mr > NARROW) __builtin_prefetch(later), later += pace;
        vf y[PN * PV];
        UNROLL
        for (int q = 0; q < np; q++) {
            UNROLL
            for (int v = 0; v < PV; v++) y[q * PV + v] = plain_step(t, b + q * apart, v);
            __builtin_prefetch(ahead + q * apart);
        }
        UNROLL
        for (int i = 0; i < mr; i++) {
            vf x = vf_set1(a[i * row + p]);
            UNROLL
            for (int v = 0; v < np * PV; v++) acc[i][v] = vf_fma(x, y[v], acc[i][v]);
        }
        b += block_bytes_of(t), ahead += block_bytes_of(t);
    }
}

/* All k steps. What is announced stays within these panels, or is the beginning of the next ones. */
PHA__INLINE void panel_plain(pha__dtype t, int mr, int np, accumulators acc, const strip *s, const panels *b, int64_t k)
{
    const int64_t bytes = block_bytes_of(t), distance = AHEAD_BYTES / bytes, inside = k > distance ? k - distance : 0;
    panel_steps(t, mr, np, acc, s->data, s->row, b->data, b->apart, inside, b->data + AHEAD_BYTES, b->later, b->pace);
    panel_steps(t, mr, np, acc, s->data + inside, s->row, b->data + inside * bytes, b->apart, k - inside, b->next,
                b->later + inside * b->pace, b->pace);
}

/* (mr, n) = strip (mr, k) panels (k, np * PHA__PANEL) */
PHA__INLINE void panel_tile(pha__dtype t, int mr, int np, const strip *s, const panels *b, int64_t k, const target *o,
                            int n)
{
    accumulators acc;
    UNROLL
    for (int i = 0; i < mr; i++)
        UNROLL
        for (int v = 0; v < np * PV; v++) acc[i][v] = vf_zero();
    panel_plain(t, mr, np, acc, s, b, k);
    float sum[PR * PN * PHA__PANEL];
    UNROLL
    for (int i = 0; i < mr; i++)
        UNROLL
        for (int v = 0; v < np * PV; v++) vf_store(sum + (i * PN * PV + v) * VF, acc[i][v]);
    put_rows(o, sum, PN * PHA__PANEL, mr, n);
}

typedef void panel_function(const strip *s, const panels *b, int64_t k, const target *o, int n);

/* Those that the registers have no room for are never called. */
#define PANEL_TILE(t, mr, np)                                                                                       \
    static void panel_##t##_##mr##_##np(const strip *s, const panels *b, int64_t k, const target *o, int n)         \
    {                                                                                                               \
        if (mr <= PR && np <= panels_together(mr))                                                                  \
            panel_tile(PHA__##t##_PANEL, mr, np, s, b, k, o, n);                                                    \
    }
#define PANEL_TILES(t, mr) PANEL_TILE(t, mr, 1) PANEL_TILE(t, mr, 2) PANEL_TILE(t, mr, 3) PANEL_TILE(t, mr, 4)
#define PANEL_NAMES(t, mr) {panel_##t##_##mr##_1, panel_##t##_##mr##_2, panel_##t##_##mr##_3, panel_##t##_##mr##_4}
PANEL_TILES(F32, 1) PANEL_TILES(F32, 2) PANEL_TILES(F32, 3) PANEL_TILES(F32, 4)
PANEL_TILES(F32, 5) PANEL_TILES(F32, 6) PANEL_TILES(F32, 7) PANEL_TILES(F32, 8)
PANEL_TILES(BF16, 1) PANEL_TILES(BF16, 2) PANEL_TILES(F16, 1) PANEL_TILES(F16, 2)

static panel_function *const panel_tiles[8][PN] = {
    PANEL_NAMES(F32, 1), PANEL_NAMES(F32, 2), PANEL_NAMES(F32, 3), PANEL_NAMES(F32, 4),
    PANEL_NAMES(F32, 5), PANEL_NAMES(F32, 6), PANEL_NAMES(F32, 7), PANEL_NAMES(F32, 8),
};
static panel_function *const narrow_tiles[][NARROW][PN] = {
    {PANEL_NAMES(BF16, 1), PANEL_NAMES(BF16, 2)},
    {PANEL_NAMES(F16, 1), PANEL_NAMES(F16, 2)},
};

static panel_function *tile_of(pha__dtype t, int64_t mr, int64_t np)
{
    return t == PHA__F32_PANEL ? panel_tiles[mr - 1][np - 1] : narrow_tiles[t - PHA__BF16_PANEL][mr - 1][np - 1];
}

/* ---- a block of C ------------------------------------------------------------------------------------------ */

typedef struct reading { /* how the panels of B are read for some rows of C */
    pha__dtype type;     /* of what the tiles see */
    bool wide;           /* a copy in fp32 */
    int64_t rows;        /* of a strip */
    int64_t together;    /* panels */
} reading;

static reading reading_of(const pha__gemm *g, int64_t m)
{
    bool wide = g->b_type != PHA__F32_PANEL && m > NARROW;
    reading r = {wide ? PHA__F32_PANEL : g->b_type, wide, 1, 1};
    int64_t most = r.type == PHA__F32_PANEL ? PR : NARROW, parts = (m + most - 1) / most;
    if (parts) r.rows = (m + parts - 1) / parts;
    r.together = panels_together(r.rows);
    return r;
}

/* Panels [j, j + np) from step p0 on; `left` more come from j on. */
static panels panels_at(const pha__gemm *g, const reading *r, int64_t j, int64_t np, int64_t left, int64_t p0,
                        int64_t k, float *wide)
{
    const int64_t apart = panel_bytes_of(g->b_type, g->b_col);
    const char *first = (const char *)g->b + j * apart, *data = first + p0 * block_bytes_of(g->b_type);
    if (r->wide) {
        for (int64_t q = 0; q < np; q++)
            widen_panel(g->b_type, wide + q * k * PHA__PANEL, first + q * apart, p0, k);
        return (panels){(const char *)wide, k * PHA__PANEL * 4, (const char *)wide, NULL, 0};
    }
    panels b = {data, apart, NULL, NULL, 0};
    b.next = left > np ? data + np * apart /* or the next step along k, or what lies behind the last */
                       : data + panel_bytes_of(g->b_type, k) + (p0 + k == g->k ? (np - 1) * apart : 0);
    return b;
}

/* While strips go over panels in the cache the memory is idle: each of `parts` brings in a share of those from j on. */
static void announce(const pha__gemm *g, panels *b, int64_t j, int64_t np, int64_t p0, int64_t parts)
{
    const int64_t step = block_bytes_of(g->b_type);
    b->later = (const char *)g->b + j * panel_bytes_of(g->b_type, g->b_col) + p0 * step;
    b->pace = np * step / parts;
}

/* The block (m, n) at (i0, j0), k steps from p0. Strips of A are as equal as can be and pass by while some panels stay
 * in the cache. */
static void panel_block(const pha__gemm *g, int64_t i0, int64_t m, int64_t j0, int64_t n, int64_t p0, int64_t k,
                        float *copy, float *wide, const target *out)
{
    const reading r = reading_of(g, m);
    const int64_t group = g->a_type == PHA__F32 ? m : GROUP / r.rows * r.rows;
    for (int64_t i1 = 0; i1 < m; i1 += group) {
        int64_t end = min64(i1 + group, m);
        strip all = strips_of(g, i0 + i1, end - i1, p0, k, copy);
        for (int64_t j = 0; j < n;) {
            int64_t left = (n - j + PHA__PANEL - 1) / PHA__PANEL, np = left >= r.together ? r.together : 1;
            int columns = (int)min64(np * PHA__PANEL, n - j);
            panels b = panels_at(g, &r, (j0 + j) / PHA__PANEL, np, left, p0, k, wide);
            strip s = all;
            announce(g, &b, (j0 + j) / PHA__PANEL + np, np, p0, (end - i1 + r.rows - 1) / r.rows);
            for (int64_t i = i1; i < end; i += r.rows, s.data += r.rows * s.row, b.later += k * b.pace) {
                target o = beside(out, i, j);
                tile_of(r.type, min64(r.rows, end - i), np)(&s, &b, k, &o, columns);
            }
            j += np * PHA__PANEL;
        }
    }
}

#endif
