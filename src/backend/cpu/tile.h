/* tile.h -- products of small matrices that lie in the cache: C (m, L) = A (m, k) B (k, L), L a constant
 *
 * B and C are dense with L columns; a row of C is computed lane by lane, one broadcast element of A at a time, so A may
 * lie either way (rows: A(i, p) = a[i * lda + p]; columns: a[p * lda + i]) and needs no packing, and m and k may be
 * anything. The order of the sum over k is fixed.
 */
#ifndef PHA__TILE_H
#define PHA__TILE_H

#include <stdbool.h>

#include "backend/cpu/simd.h"

/* One block of C in registers: m rows, n vectors. */
PHA__INLINE void pha__tile_block(const int m, const int n, const int L, float *c, const float *a, int64_t row,
                                 int64_t col, const float *b, int k, bool add)
{
    vf acc[8][4];
    _Pragma("GCC unroll 8") for (int r = 0; r < m; r++)
        _Pragma("GCC unroll 4") for (int j = 0; j < n; j++) acc[r][j] = add ? vf_load(c + r * L + j * VF) : vf_zero();
    for (int p = 0; p < k; p++, a += col, b += L) {
        vf v[4];
        _Pragma("GCC unroll 4") for (int j = 0; j < n; j++) v[j] = vf_load(b + j * VF);
        _Pragma("GCC unroll 8") for (int r = 0; r < m; r++) {
            vf s = vf_set1(a[r * row]);
            _Pragma("GCC unroll 4") for (int j = 0; j < n; j++) acc[r][j] = vf_fma(s, v[j], acc[r][j]);
        }
    }
    _Pragma("GCC unroll 8") for (int r = 0; r < m; r++)
        _Pragma("GCC unroll 4") for (int j = 0; j < n; j++) vf_store(c + r * L + j * VF, acc[r][j]);
}

/* n vectors of all m rows of C, most of them `most` rows at a time. */
PHA__INLINE void pha__tile_column(const int most, const int n, const int L, float *c, const float *a, int64_t row,
                                  int64_t col, const float *b, int m, int k, bool add)
{
    int i = 0;
    for (; i + most <= m; i += most) pha__tile_block(most, n, L, c + i * L, a + i * row, row, col, b, k, add);
    if (i + 4 <= m) pha__tile_block(4, n, L, c + i * L, a + i * row, row, col, b, k, add), i += 4;
    if (i + 2 <= m) pha__tile_block(2, n, L, c + i * L, a + i * row, row, col, b, k, add), i += 2;
    if (i < m) pha__tile_block(1, n, L, c + i * L, a + i * row, row, col, b, k, add);
}

/* L is a multiple of 64 floats (AVX-512) or of two vectors, or one vector. */
PHA__INLINE void pha__tile_mul(const int L, const bool columns, float *c, const float *a, int64_t lda, const float *b,
                               int m, int k, bool add)
{
    const int n = VF == 16 && L % 64 == 0 ? 4 : L % (2 * VF) == 0 ? 2 : 1, most = n == 1 ? 8 : 6;
    const int64_t row = columns ? 1 : lda, col = columns ? lda : 1;
    for (int j = 0; j < L; j += n * VF) pha__tile_column(most, n, L, c + j, a, row, col, b + j, m, k, add);
}

/* dst (columns, ld_dst) = factor * src (rows, ld_src) transposed */
PHA__INLINE void pha__tile_transpose(float *dst, int64_t ld_dst, const float *src, int64_t ld_src, int rows,
                                     int columns, float factor)
{
    typedef float quad __attribute__((vector_size(16)));
    typedef float quad_any __attribute__((vector_size(16), aligned(1), may_alias));
    int i = 0;
    for (; i + 4 <= rows; i += 4) {
        const float *s = src + i * ld_src;
        int j = 0;
        for (; j + 4 <= columns; j += 4, s += 4) {
            quad a = *(const quad_any *)s, b = *(const quad_any *)(s + ld_src);
            quad c = *(const quad_any *)(s + 2 * ld_src), d = *(const quad_any *)(s + 3 * ld_src);
            quad p = __builtin_shufflevector(a, b, 0, 4, 1, 5), q = __builtin_shufflevector(a, b, 2, 6, 3, 7);
            quad r = __builtin_shufflevector(c, d, 0, 4, 1, 5), t = __builtin_shufflevector(c, d, 2, 6, 3, 7);
            float *o = dst + j * ld_dst + i;
            *(quad_any *)o = factor * __builtin_shufflevector(p, r, 0, 1, 4, 5);
            *(quad_any *)(o + ld_dst) = factor * __builtin_shufflevector(p, r, 2, 3, 6, 7);
            *(quad_any *)(o + 2 * ld_dst) = factor * __builtin_shufflevector(q, t, 0, 1, 4, 5);
            *(quad_any *)(o + 3 * ld_dst) = factor * __builtin_shufflevector(q, t, 2, 3, 6, 7);
        }
        for (; j < columns; j++)
            for (int r = 0; r < 4; r++) dst[j * ld_dst + i + r] = factor * src[(i + r) * ld_src + j];
    }
    for (; i < rows; i++)
        for (int j = 0; j < columns; j++) dst[j * ld_dst + i] = factor * src[i * ld_src + j];
}

#endif
