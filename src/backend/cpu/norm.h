/* norm.h -- RMSNorm of a row, for the op of that name and for those that do it to their own result
 *
 *   v = x / rms(x):   out = gain v
 *   t = d * gain:     dx = (t - v mean(t * v)) / rms(x),   dgain = sum over tokens of d * v        (algorithms.md 6)
 *
 * Fused or apart, the numbers are the same to the bit.
 */
#ifndef PHA__NORM_H
#define PHA__NORM_H

#include "backend/cpu/rows.h"

enum { PHA__NORM_COLUMNS = 256 }; /* per task of the sum over tokens */

/* gain NULL: 1. out may be x. */
PHA__INLINE void pha__norm_row(float *out, const float *x, const float *gain, int64_t n, float eps)
{
    vf r = vf_set1(pha__inverse_rms(x, n, eps));
    for (int64_t i = 0; i < n; i += VF) {
        vf v = r * pha__load(x + i, n - i);
        pha__store(out + i, gain ? v * pha__load(gain + i, n - i) : v, n - i);
    }
}

/* Adds to dgain; dx NULL: not wanted. dx may be x. */
PHA__INLINE void pha__norm_row_backward(float *dx, float *dgain, const float *d, const float *x, const float *gain,
                                        int64_t n, float eps)
{
    vf sum = vf_zero(), r = vf_set1(pha__inverse_rms(x, n, eps)), one = vf_set1(1.0f);
    for (int64_t i = 0; i < n; i += VF) {
        vf dv = pha__load(d + i, n - i) * r * pha__load(x + i, n - i);
        sum = vf_fma(dv, gain ? pha__load(gain + i, n - i) : one, sum);
        pha__store(dgain + i, pha__load(dgain + i, n - i) + dv, n - i);
    }
    if (!dx) return;
    vf mean = vf_set1(vf_sum(sum) / (float)n);
    for (int64_t i = 0; i < n; i += VF) {
        vf t = pha__load(d + i, n - i) * (gain ? pha__load(gain + i, n - i) : one);
        pha__store(dx + i, r * (t - r * pha__load(x + i, n - i) * mean), n - i);
    }
}

PHA__INLINE int64_t pha__norm_sum_tasks(int64_t width) { return (width + PHA__NORM_COLUMNS - 1) / PHA__NORM_COLUMNS; }

/* Tasks [begin, end) of the gradient of the gain, input `input`: the sum of what the stretches left in `work`. */
PHA__INLINE void pha__norm_sum(const pha__args *a, int input, int64_t begin, int64_t end)
{
    int64_t n = a->out.width;
    float sum[PHA__NORM_COLUMNS];
    for (int64_t c = begin * PHA__NORM_COLUMNS; c < end * PHA__NORM_COLUMNS && c < n; c += PHA__NORM_COLUMNS) {
        int64_t m = n - c < PHA__NORM_COLUMNS ? n - c : PHA__NORM_COLUMNS;
        pha__fold_blocks(&a->d_in[input], 0, c, m, a->add & PHA__IN(input), (const float *)a->work + c,
                         pha__stretches(a), n, sum);
    }
}

#endif
