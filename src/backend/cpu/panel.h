/* panel.h -- the matrix product over weights that lie in panels (part of gemm.c): they are read where they are
 *
 * A panel is PHA__PANEL columns of B, k after k, so a tile reads one stream of memory. With few rows several panels go
 * side by side: their accumulators hide the latency of the sums, and memory is read as fast as it comes.
 */
#ifndef PHA__PANEL_H
#define PHA__PANEL_H

#include "backend/cpu/pack.h"

enum {
    PV = PHA__PANEL / VF,                                  /* vectors of a row of a panel */
    ACCUMULATORS = VREGS == 32 ? 24 : 12,                  /* what is left of the registers */
    PR = ACCUMULATORS / PV < 8 ? ACCUMULATORS / PV : 8,    /* most rows of a tile */
    PN = 4,                                                /* most panels */
    PREFETCH = 24,                                         /* steps along k ahead */
};

/* Panels side by side in a tile of mr rows. */
PHA__INLINE int panels_together(int64_t mr)
{
    int n = ACCUMULATORS / ((int)mr * PV);
    return n < PN ? n : PN;
}

typedef struct panels { /* the same k steps of panels of B */
    const float *data;
    int64_t apart;      /* floats from one panel to the next */
    const float *next;  /* panels that are read after these */
} panels;

/* Steps [0, k) of a tile; `ahead` is what a step brings into the cache. */
PHA__INLINE void panel_steps(int mr, int np, vf acc[PR][PN * PV], const float *a, int64_t row, const float *b,
                             int64_t apart, int64_t k, const float *ahead)
{
    for (int64_t p = 0; p < k; p++) {
        vf y[PN * PV];
        UNROLL
        for (int q = 0; q < np; q++) {
            UNROLL
            for (int v = 0; v < PV; v++) y[q * PV + v] = vf_load(b + q * apart + v * VF);
            __builtin_prefetch(ahead + q * apart);
        }
        UNROLL
        for (int i = 0; i < mr; i++) {
            vf x = vf_set1(a[i * row + p]);
            UNROLL
            for (int v = 0; v < np * PV; v++) acc[i][v] = vf_fma(x, y[v], acc[i][v]);
        }
        b += PHA__PANEL, ahead += PHA__PANEL;
    }
}

/* (mr, n) = strip (mr, k) panels (k, np * PHA__PANEL) */
PHA__INLINE void panel_tile(int mr, int np, const strip *s, const panels *b, int64_t k, const target *o, int n)
{
    vf acc[PR][PN * PV];
    UNROLL
    for (int i = 0; i < mr; i++)
        UNROLL
        for (int v = 0; v < np * PV; v++) acc[i][v] = vf_zero();
    int64_t first = k > PREFETCH ? k - PREFETCH : 0; /* the steps whose announcements stay within these panels */
    panel_steps(mr, np, acc, s->data, s->row, b->data, b->apart, first, b->data + PREFETCH * PHA__PANEL);
    panel_steps(mr, np, acc, s->data + first, s->row, b->data + first * PHA__PANEL, b->apart, k - first, b->next);
    float sum[PR * PN * PHA__PANEL];
    UNROLL
    for (int i = 0; i < mr; i++)
        UNROLL
        for (int v = 0; v < np * PV; v++) vf_store(sum + (i * PN * PV + v) * VF, acc[i][v]);
    put_rows(o, sum, PN * PHA__PANEL, mr, n);
}

typedef void panel_function(const strip *s, const panels *b, int64_t k, const target *o, int n);

/* Those that the registers have no room for are never called. */
#define PANEL_TILE(mr, np)                                                                                    \
    static void panel_##mr##_##np(const strip *s, const panels *b, int64_t k, const target *o, int n)         \
    {                                                                                                         \
        if (mr <= PR && np <= panels_together(mr)) panel_tile(mr, np, s, b, k, o, n);                                  \
    }
#define PANEL_TILES(mr) PANEL_TILE(mr, 1) PANEL_TILE(mr, 2) PANEL_TILE(mr, 3) PANEL_TILE(mr, 4)
#define PANEL_NAMES(mr) {panel_##mr##_1, panel_##mr##_2, panel_##mr##_3, panel_##mr##_4}
PANEL_TILES(1) PANEL_TILES(2) PANEL_TILES(3) PANEL_TILES(4)
PANEL_TILES(5) PANEL_TILES(6) PANEL_TILES(7) PANEL_TILES(8)

static panel_function *const panel_tiles[8][PN] = {
    PANEL_NAMES(1), PANEL_NAMES(2), PANEL_NAMES(3), PANEL_NAMES(4),
    PANEL_NAMES(5), PANEL_NAMES(6), PANEL_NAMES(7), PANEL_NAMES(8),
};

/* The block (m, n) at (i0, j0), k steps from p0. Strips of A are as equal as can be and pass by while some panels stay
 * in the cache. */
static void panel_block(const pha__gemm *g, int64_t i0, int64_t m, int64_t j0, int64_t n, int64_t p0, int64_t k,
                        float *copy, const target *out)
{
    const int64_t apart = PHA__PANEL * g->b_col, parts = (m + PR - 1) / PR, rows = (m + parts - 1) / parts;
    const int64_t together = panels_together(rows), group = g->a_type == PHA__F32 ? m : GROUP / rows * rows;
    for (int64_t i1 = 0; i1 < m; i1 += group) {
        int64_t end = min64(i1 + group, m);
        strip all = strips_of(g, i0 + i1, end - i1, p0, k, copy);
        for (int64_t j = 0; j < n;) {
            int64_t left = (n - j + PHA__PANEL - 1) / PHA__PANEL, np = left >= together ? together : 1;
            int columns = (int)min64(np * PHA__PANEL, n - j);
            panels b = {.data = (const float *)g->b + (j0 + j) * g->b_col + p0 * PHA__PANEL, .apart = apart};
            b.next = left > np ? b.data + np * apart /* or the next step along k, or what lies behind the last */
                               : b.data + k * PHA__PANEL + (p0 + k == g->k ? (np - 1) * apart : 0);
            strip s = all;
            for (int64_t i = i1; i < end; i += rows, s.data += rows * s.row) {
                target o = beside(out, i, j);
                panel_tiles[min64(rows, end - i) - 1][np - 1](&s, &b, k, &o, columns);
            }
            j += np * PHA__PANEL;
        }
    }
}

#endif
