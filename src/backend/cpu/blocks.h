/* blocks.h -- the matrix product over weights in blocks of integers (part of gemm.c)
 *
 * Over a block the sum of products is one of integers, and exact: 32 products of at most 32767 x 128 fit 32 bits. Over
 * the blocks of a step along k it is fp32, in order:
 *
 *     sum = fma(integers, scale of A * scale of the weight, sum)
 *
 * One instruction multiplies 2 VF numbers of 16 bits and adds pairs, another sums up: as many instructions as in fp32
 * make twice the products. For few rows the weights are widened to 16 bits in registers (two instructions for 2 VF
 * numbers of 8 bits, three of 4), panel after panel in one stream of memory; for more rows once for all, into the L1
 * cache.
 */
#ifndef PHA__BLOCKS_H
#define PHA__BLOCKS_H

#include "backend/cpu/integers.h"

enum {
    FEW = 4,             /* most rows of a tile that widens */
    BLOCKS_AHEAD = 2048, /* bytes of a panel on the way into the cache */
};

/* ---- a tile ------------------------------------------------------------------------------------------------ */

/* Blocks of a panel as vs_quad has them, less the 8: block after block, pair after pair, vector after vector. */
PHA__INLINE void widen_blocks_as(pha__dtype t, int16_t *out, const char *data, int64_t blocks)
{
    const int16_t less = t == PHA__Q4_PANEL ? 8 : 0;
    for (int64_t b = 0; b < blocks; b++, data += block_bytes_of(t))
        for (int i = 0; i < QUADS; i++, out += 4 * PHA__PANEL) {
            vs y[2][PV];
            vs_quad(y, t, data, i);
            UNROLL
            for (int c = 0; c < 2 * PV; c++) *(vs_any *)(out + c * 2 * VF) = y[c / PV][c % PV] - less;
        }
}

static void widen_blocks(pha__dtype t, int16_t *out, const char *data, int64_t blocks)
{
    if (t == PHA__Q8_PANEL) widen_blocks_as(PHA__Q8_PANEL, out, data, blocks);
    else widen_blocks_as(PHA__Q4_PANEL, out, data, blocks);
}

typedef struct stretch { /* some blocks of a panel, and of the rows of A */
    const char *data;    /* as they are stored */
    int64_t bytes;       /* of one */
    const int16_t *wide; /* widened, for more than FEW rows */
    int64_t blocks;
    const int16_t *q;
    const factor *f;
    int64_t row;         /* blocks of A from one row to the next */
    const char *later;   /* of the next panel what a tile of many rows brings into the cache, `pace` bytes a block */
    int64_t pace;
} stretch;

typedef vi block_sums[PR][PV];

/* Vectors of one pair of the panel against mr rows of A. */
PHA__INLINE void add_pair(int mr, block_sums sum, const int16_t *q, int64_t row, const vs y[PV])
{
    UNROLL
    for (int i = 0; i < mr; i++) {
        vs x = vs_pair(q + i * row);
        UNROLL
        for (int v = 0; v < PV; v++) sum[i][v] = vi_dot(sum[i][v], x, y[v]);
    }
}

/* The compiler shall sum up in the order that is written: for its own it has no registers. */
#if VF >= 8
#define IN_ORDER(x) __asm__("" : "+v"(x))
#else
#define IN_ORDER(x)
#endif

/* The sums of block b of the stretch, of mr rows. */
PHA__INLINE void few_sum(pha__dtype t, int mr, block_sums sum, const stretch *s, int64_t b)
{
    const int16_t *q = s->q + b * PHA__BLOCK;
    UNROLL
    for (int i = 0; i < mr; i++)
        UNROLL
        for (int v = 0; v < PV; v++) sum[i][v] = (t == PHA__Q4_PANEL ? s->f[i * s->row + b].excess : 0) - (vi){0};
    for (int c = 0; c < QUADS; c++, q += 4) {
        vs y[2][PV];
        vs_quad(y, t, s->data + b * block_bytes_of(t), c);
        add_pair(mr, sum, q, s->row * PHA__BLOCK, y[0]);
        UNROLL
        for (int i = 0; i < mr * PV; i++) IN_ORDER(sum[i / PV][i % PV]);
        add_pair(mr, sum, q + 2, s->row * PHA__BLOCK, y[1]);
        UNROLL
        for (int i = 0; i < mr * PV; i++) IN_ORDER(sum[i / PV][i % PV]);
    }
}

PHA__INLINE void wide_sum(int mr, block_sums sum, const stretch *s, int64_t b)
{
    const int16_t *q = s->q + b * PHA__BLOCK, *from = s->wide + b * PHA__PANEL * PHA__BLOCK;
    UNROLL
    for (int i = 0; i < mr; i++)
        UNROLL
        for (int v = 0; v < PV; v++) sum[i][v] = (vi){0};
    for (int p = 0; p < PHA__BLOCK; p += 2, q += 2, from += 2 * PHA__PANEL) {
        vs y[PV];
        UNROLL
        for (int v = 0; v < PV; v++) y[v] = *(const vs_any *)(from + v * 2 * VF);
        add_pair(mr, sum, q, s->row * PHA__BLOCK, y);
    }
}

/* In front of a loop that needs all registers: what is in memory stays there. */
#define IN_MEMORY(x) __asm__("" : "+m"(x))

/* (mr, n) of C: the stretch of one panel. */
PHA__INLINE void blocks_tile(pha__dtype t, bool wide, int mr, const stretch *s, const target *o, int n)
{
    enum { LINE = 64 };
    float out[PR * PHA__PANEL];
    UNROLL
    for (int i = 0; i < mr * PV; i++) vf_store(out + i * VF, vf_zero());
    for (int64_t b = 0; b < s->blocks; b++) {
        block_sums sum;
        const char *block = s->data + b * s->bytes;
        const char *ahead = wide ? s->later + b * s->pace : block + BLOCKS_AHEAD;
        for (int64_t l = 0; l < (wide ? s->pace : block_bytes_of(t)); l += LINE) __builtin_prefetch(ahead + l);
        if (wide) wide_sum(mr, sum, s, b);
        else few_sum(t, mr, sum, s, b);
        UNROLL
        for (int v = 0; v < PV; v++) {
            vf scale = block_scale(block, v);
            UNROLL
            for (int i = 0; i < mr; i++) {
                float *to = out + i * PHA__PANEL + v * VF;
                vf_store(to, vf_fma(vf_of(sum[i][v]), vf_set1(s->f[i * s->row + b].scale) * scale, vf_load(to)));
            }
        }
        if (mr > 1) IN_MEMORY(out);
    }
    put_rows(o, out, PHA__PANEL, mr, n);
}

typedef void blocks_function(const stretch *s, const target *o, int n);

#define BLOCKS_TILE(name, t, wide, mr)                                         \
    static void blocks_##name##_##mr(const stretch *s, const target *o, int n) \
    {                                                                          \
        if (mr <= PR) blocks_tile(t, wide, mr, s, o, n);                       \
    }
#define FEW_TILE(mr) BLOCKS_TILE(q8, PHA__Q8_PANEL, false, mr) BLOCKS_TILE(q4, PHA__Q4_PANEL, false, mr)
#define WIDE_TILE(mr) BLOCKS_TILE(wide, PHA__Q8_PANEL, true, mr)
FEW_TILE(1) FEW_TILE(2) FEW_TILE(3) FEW_TILE(4)
WIDE_TILE(1) WIDE_TILE(2) WIDE_TILE(3) WIDE_TILE(4) WIDE_TILE(5) WIDE_TILE(6) WIDE_TILE(7) WIDE_TILE(8)

static blocks_function *const few_tiles[2][FEW] = {
    {blocks_q8_1, blocks_q8_2, blocks_q8_3, blocks_q8_4},
    {blocks_q4_1, blocks_q4_2, blocks_q4_3, blocks_q4_4},
};
static blocks_function *const wide_tiles[8] = {
    blocks_wide_1, blocks_wide_2, blocks_wide_3, blocks_wide_4,
    blocks_wide_5, blocks_wide_6, blocks_wide_7, blocks_wide_8,
};

/* ---- a block of C ------------------------------------------------------------------------------------------ */

typedef struct strips { /* of the rows of a block of C, as equal as can be */
    bool few;
    int64_t rows, parts;
    blocks_function *const *tiles;
} strips;

static strips strips_of_blocks(pha__dtype t, int64_t m)
{
    if (m <= FEW && m <= PR) return (strips){true, m, 1, few_tiles[t == PHA__Q4_PANEL]};
    int64_t most = m <= FEW ? min64(FEW, PR) : PR, parts = (m + most - 1) / most;
    return (strips){m <= FEW, (m + parts - 1) / parts, parts, m <= FEW ? few_tiles[t == PHA__Q4_PANEL] : wide_tiles};
}

/* Columns [j0, j0 + n) of m rows, which are a's, some blocks from the step p0 on; `room` is for a widened panel. */
static void blocks_block(const pha__gemm *g, const stretch *a, int64_t m, int64_t j0, int64_t n, int64_t p0,
                         int16_t *room, const target *out)
{
    const strips r = strips_of_blocks(g->b_type, m);
    const int64_t apart = panel_bytes_of(g->b_type, g->b_col);
    stretch s = *a;
    s.bytes = block_bytes_of(g->b_type), s.wide = room;
    s.data = (const char *)g->b + j0 / PHA__PANEL * apart + p0 / PHA__BLOCK * s.bytes;
    for (int64_t j = 0; j < n; j += PHA__PANEL, s.data += apart) {
        if (!r.few) widen_blocks(g->b_type, room, s.data, s.blocks);
        s.q = a->q, s.f = a->f, s.later = s.data + apart, s.pace = s.bytes / r.parts;
        for (int64_t i = 0; i < m; i += r.rows, s.later += s.blocks * s.pace) {
            target o = beside(out, i, j);
            r.tiles[min64(r.rows, m - i) - 1](&s, &o, (int)min64(PHA__PANEL, n - j));
            s.q += r.rows * s.row * PHA__BLOCK, s.f += r.rows * s.row;
        }
    }
}

#endif
