/* integers.h -- weights in blocks as pairs of integers of 16 bits, and rows of A likewise (part of gemm.c)
 *
 * x is s q with |q| <= 32767 and one s for the numbers of a block, the largest of them over 32767: what is lost is at
 * most 2^-16 of the largest. A block with a number that is not finite has s = NaN; one below 2^-100 counts as zero.
 */
#ifndef PHA__INTEGERS_H
#define PHA__INTEGERS_H

#include "backend/cpu/panel_read.h"

enum { QUADS = PHA__BLOCK / 4 }; /* of a block: four consecutive numbers are two pairs of every row of a panel */

PHA__INLINE bool in_blocks(pha__dtype t) { return t == PHA__Q8_PANEL || t == PHA__Q4_PANEL; }

/* ---- vectors of 16 bits ------------------------------------------------------------------------------------ */

typedef int16_t vs __attribute__((vector_size(VF * 4)));
typedef int16_t vs_any __attribute__((vector_size(VF * 4), aligned(1), may_alias));

/* sum + the products of pairs */
PHA__INLINE vi vi_dot(vi sum, vs x, vs y)
{
#if VF == 16
    __m512i s = _mm512_add_epi32((__m512i)sum, _mm512_madd_epi16((__m512i)x, (__m512i)y));
#elif VF == 8
    __m256i s = _mm256_add_epi32((__m256i)sum, _mm256_madd_epi16((__m256i)x, (__m256i)y));
#elif defined(__SSE2__)
    __m128i s = _mm_add_epi32((__m128i)sum, _mm_madd_epi16((__m128i)x, (__m128i)y));
#elif defined(__aarch64__)
    int32x4_t low = vmull_s16(vget_low_s16((int16x8_t)x), vget_low_s16((int16x8_t)y));
    int32x4_t s = vaddq_s32((int32x4_t)sum, vpaddq_s32(low, vmull_high_s16((int16x8_t)x, (int16x8_t)y)));
#else
    vi s = sum;
    for (int i = 0; i < VF; i++) s[i] += x[2 * i] * y[2 * i] + x[2 * i + 1] * y[2 * i + 1];
#endif
    return (vi)s;
}

/* A pair of numbers of a row of A, for every lane. */
PHA__INLINE vs vs_pair(const int16_t *x)
{
    int32_t both;
    memcpy(&both, x, sizeof both);
    return (vs)(both - (vi){0});
}

/* Two lines of a block, PHA__PANEL bytes each: pairs of a byte of the first and of the second, widened. */
PHA__INLINE void vs_lines(vs y[PV], const char *line, bool is_signed)
{
#if VF >= 8
    __m128i a = _mm_loadu_si128((const void *)line), b = _mm_loadu_si128((const void *)(line + PHA__PANEL));
    __m128i low = _mm_unpacklo_epi8(a, b), high = _mm_unpackhi_epi8(a, b);
#if VF == 16
    __m256i all = _mm256_set_m128i(high, low);
    y[0] = (vs)(is_signed ? _mm512_cvtepi8_epi16(all) : _mm512_cvtepu8_epi16(all));
#else
    y[0] = (vs)(is_signed ? _mm256_cvtepi8_epi16(low) : _mm256_cvtepu8_epi16(low));
    y[1] = (vs)(is_signed ? _mm256_cvtepi8_epi16(high) : _mm256_cvtepu8_epi16(high));
#endif
#else
    for (int v = 0; v < PV; v++) {
        int16_t pairs[2 * VF];
        for (int i = 0; i < 2 * VF; i++) {
            char byte = line[i % 2 * PHA__PANEL + v * VF + i / 2];
            pairs[i] = is_signed ? (signed char)byte : (unsigned char)byte;
        }
        memcpy(&y[v], pairs, sizeof pairs);
    }
#endif
}

/* Numbers [4 i, 4 i + 4) of a block, two pairs of each row: of 8 bits 0, 1 and 2, 3; of 4 bits 0, 2 and 1, 3, as they
 * lie, and 8 too large. */
PHA__INLINE void vs_quad(vs y[2][PV], pha__dtype t, const char *block, int i)
{
    const char *line = block + PHA__SCALES + i * (t == PHA__Q8_PANEL ? 4 : 2) * PHA__PANEL;
    vs_lines(y[0], line, t == PHA__Q8_PANEL);
    if (t == PHA__Q8_PANEL) {
        vs_lines(y[1], line + 2 * PHA__PANEL, true);
        return;
    }
    UNROLL
    for (int v = 0; v < PV; v++) {
        y[1][v] = y[0][v] >> 4; /* bytes: not negative */
        y[0][v] &= 15;
    }
}

/* ---- rows of A as integers --------------------------------------------------------------------------------- */

typedef struct factor { /* of a block of a row */
    float scale;
    int32_t excess; /* -8 times the sum of its integers */
} factor;

typedef struct integers {
    int16_t *q;      /* (rows, blocks * PHA__BLOCK); the pairs in the order of vs_quad */
    factor *f;       /* (rows, blocks) */
    int64_t blocks;
} integers;

PHA__INLINE int64_t blocks_of(int64_t k) { return (k + PHA__BLOCK - 1) / PHA__BLOCK; }

static inline size_t integers_bytes(int64_t rows, int64_t k)
{
    return (size_t)(rows * blocks_of(k)) * (PHA__BLOCK * sizeof(int16_t) + sizeof(factor));
}

static inline integers integers_at(void *memory, int64_t rows, int64_t k)
{
    int64_t blocks = blocks_of(k);
    factor *f = memory;
    return (integers){(int16_t *)(void *)(f + rows * blocks), f, blocks};
}

PHA__INLINE vi vi_max(vi a, vi b)
{
    vi m = a > b;
    return (a & m) | (b & ~m);
}

/* The size of the largest of some numbers; NaN or infinite if one is. */
PHA__INLINE float largest(const vf *x, int n)
{
    vi top = (vi)x[0] & 0x7fffffff; /* in this order NaN is above infinity, and that above numbers */
    UNROLL
    for (int v = 1; v < n; v++) top = vi_max(top, (vi)x[v] & 0x7fffffff);
#if VF == 16
    int32_t bits = _mm512_reduce_max_epi32((__m512i)top);
#elif VF == 8
    __m128i h = _mm_max_epi32(_mm256_castsi256_si128((__m256i)top), _mm256_extracti128_si256((__m256i)top, 1));
    h = _mm_max_epi32(h, _mm_shuffle_epi32(h, 0x4e));
    int32_t bits = _mm_cvtsi128_si32(_mm_max_epi32(h, _mm_shuffle_epi32(h, 0xb1)));
#else
    int32_t bits = top[0];
    for (int i = 1; i < VF; i++) bits = top[i] > bits ? top[i] : bits;
#endif
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

PHA__INLINE int32_t vi_sum(vi x)
{
    int32_t sum = 0;
    for (int i = 0; i < VF; i++) sum += x[i];
    return sum;
}

#define SWAPPED(l) (((l) & 3) == 1 ? (l) + 1 : ((l) & 3) == 2 ? (l)-1 : (l))

/* A block of a row, in registers. */
PHA__INLINE void quantise_block(pha__dtype t, int16_t *q, factor *f, const vf x[PHA__BLOCK / VF])
{
    const vf magic = vf_set1(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer */
    float top = largest(x, PHA__BLOCK / VF);
    bool finite = top <= 3.4028235e38f, some = top >= 0x1p-100f;
    vf inverse = vf_set1(finite && some ? 32767.0f / top : 0);
    vi sum = {0};
    f->scale = !finite ? __builtin_nanf("") : some ? top / 32767.0f : 0;
    UNROLL
    for (int v = 0; v < PHA__BLOCK / VF; v++) {
        vi n = (vi)vf_fma(finite ? x[v] : vf_zero(), inverse, magic) - (vi)magic;
        if (t == PHA__Q4_PANEL) sum += n, n = __builtin_shufflevector(n, n, LANES(SWAPPED));
#if VF == 16
        _mm256_storeu_si256((void *)(q + v * VF), _mm512_cvtepi32_epi16((__m512i)n));
#elif VF == 8
        __m128i high = _mm256_extracti128_si256((__m256i)n, 1);
        _mm_storeu_si128((void *)(q + v * VF), _mm_packs_epi32(_mm256_castsi256_si128((__m256i)n), high));
#else
        for (int i = 0; i < VF; i++) q[v * VF + i] = (int16_t)n[i];
#endif
    }
    f->excess = t == PHA__Q4_PANEL ? -8 * vi_sum(sum) : 0;
}

/* Rows [i0, i0 + m) of A, k numbers from p0 on, the beginning of a block; what is missing of the last one is zero. */
PHA__INLINE void quantise_as(pha__dtype t, pha__dtype a_type, const integers *to, const pha__gemm *g, int64_t i0,
                             int64_t m, int64_t p0, int64_t k)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t b = 0; b < to->blocks; b++) {
            const void *a = at(g->a, (i0 + i) * g->a_row + p0 + b * PHA__BLOCK, a_type);
            int64_t n = k - b * PHA__BLOCK, block = i * to->blocks + b;
            vf x[PHA__BLOCK / VF];
            UNROLL
            for (int v = 0; v < PHA__BLOCK / VF; v++)
                x[v] = n >= PHA__BLOCK ? load(at(a, v * VF, a_type), a_type)
                                       : load_n(at(a, v * VF, a_type), a_type, n - v * VF);
            quantise_block(t, to->q + block * PHA__BLOCK, to->f + block, x);
        }
}

static void quantise(const integers *to, const pha__gemm *g, int64_t i0, int64_t m, int64_t p0, int64_t k)
{
    bool eight = g->b_type == PHA__Q8_PANEL, half = g->a_type == PHA__BF16;
    if (eight && half) quantise_as(PHA__Q8_PANEL, PHA__BF16, to, g, i0, m, p0, k);
    else if (eight) quantise_as(PHA__Q8_PANEL, PHA__F32, to, g, i0, m, p0, k);
    else if (half) quantise_as(PHA__Q4_PANEL, PHA__BF16, to, g, i0, m, p0, k);
    else quantise_as(PHA__Q4_PANEL, PHA__F32, to, g, i0, m, p0, k);
}

#endif
