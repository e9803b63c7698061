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

/* One block of C in registers: MR rows, NR vectors. */
#define PHA__TILE_BLOCK(MR, NR)                                                                                     \
    do {                                                                                                            \
        vf acc_[MR][NR];                                                                                            \
        _Pragma("GCC unroll 16") for (int r_ = 0; r_ < MR; r_++)                                                    \
            _Pragma("GCC unroll 4") for (int j_ = 0; j_ < NR; j_++)                                                 \
                acc_[r_][j_] = add ? vf_load(cc + (i + r_) * L + j_ * VF) : vf_zero();                              \
        const float *a_ = a + i * row, *b_ = bb;                                                                    \
        for (int p_ = 0; p_ < k; p_++, a_ += col, b_ += L) {                                                        \
            vf v_[NR];                                                                                              \
            _Pragma("GCC unroll 4") for (int j_ = 0; j_ < NR; j_++) v_[j_] = vf_load(b_ + j_ * VF);                 \
            _Pragma("GCC unroll 16") for (int r_ = 0; r_ < MR; r_++) {                                              \
                vf s_ = vf_set1(a_[r_ * row]);                                                                      \
                _Pragma("GCC unroll 4") for (int j_ = 0; j_ < NR; j_++)                                             \
                    acc_[r_][j_] = vf_fma(s_, v_[j_], acc_[r_][j_]);                                                \
            }                                                                                                       \
        }                                                                                                           \
        _Pragma("GCC unroll 16") for (int r_ = 0; r_ < MR; r_++)                                                    \
            _Pragma("GCC unroll 4") for (int j_ = 0; j_ < NR; j_++)                                                 \
                vf_store(cc + (i + r_) * L + j_ * VF, acc_[r_][j_]);                                                \
    } while (0)

/* L is a multiple of the panel: 64 floats (AVX-512) or two vectors, or one vector if L is just that. */
PHA__INLINE void pha__tile_mul(const int L, const bool columns, float *c, const float *a, int64_t lda, const float *b,
                               int m, int k, bool add)
{
    const int64_t row = columns ? 1 : lda, col = columns ? lda : 1;
    for (int panel = 0; panel < L;) {
        const float *bb = b + panel;
        float *cc = c + panel;
        int64_t i = 0;
        if (VF == 16 && L % 64 == 0) {
            for (; i + 6 <= m; i += 6) PHA__TILE_BLOCK(6, 4);
            if (i + 4 <= m) { PHA__TILE_BLOCK(4, 4); i += 4; }
            if (i + 2 <= m) { PHA__TILE_BLOCK(2, 4); i += 2; }
            if (i < m) PHA__TILE_BLOCK(1, 4);
            panel += 4 * VF;
        } else if (L % (2 * VF) == 0) {
            for (; i + 6 <= m; i += 6) PHA__TILE_BLOCK(6, 2);
            if (i + 4 <= m) { PHA__TILE_BLOCK(4, 2); i += 4; }
            if (i + 2 <= m) { PHA__TILE_BLOCK(2, 2); i += 2; }
            if (i < m) PHA__TILE_BLOCK(1, 2);
            panel += 2 * VF;
        } else {
            for (; i + 8 <= m; i += 8) PHA__TILE_BLOCK(8, 1);
            if (i + 4 <= m) { PHA__TILE_BLOCK(4, 1); i += 4; }
            if (i + 2 <= m) { PHA__TILE_BLOCK(2, 1); i += 2; }
            if (i < m) PHA__TILE_BLOCK(1, 1);
            panel += VF;
        }
    }
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
