/* rows.h -- reading and writing the rows of a view, whatever its format
 *
 * Arithmetic is fp32 always; bf16 is how a value is stored, and a weight may be in any format of base/format.h. A
 * kernel takes a pointer to floats (straight into memory for fp32, a widened copy in `buffer` else), computes, and
 * hands the result back as fp32 or bf16.
 */
#ifndef PHA__ROWS_H
#define PHA__ROWS_H

#include <math.h>

#include "backend/cpu/kernel.h"
#include "backend/cpu/simd.h"
#include "base/format.h"

PHA__INLINE void *pha__at(const pha__view *v, int64_t row, int64_t column)
{
    return (char *)v->data + (size_t)(row * v->ld + column) * pha__dtype_size(v->dtype);
}

/* Columns [c, c+n) of a row as floats: where they lie (fp32), or in buffer, which holds n floats. */
PHA__INLINE const float *pha__row_in(const pha__view *v, int64_t row, int64_t c, int64_t n, float *buffer)
{
    if (v->dtype == PHA__F32) return pha__at(v, row, c);
    if (v->dtype != PHA__BF16) {
        pha__format_unpack(v->dtype, v->data, v->ld, row, c, n, buffer);
        return buffer;
    }
    const uint16_t *h = pha__at(v, row, c);
    int64_t i = 0;
    for (; i + VF <= n; i += VF) vf_store(buffer + i, vf_load_bf16(h + i));
    for (; i < n; i++) buffer[i] = bf16_to_f32(h[i]);
    return buffer;
}

/* Where to write columns [c, c+n) of a row: memory itself (fp32) or buffer (bf16); call pha__row_done after. */
PHA__INLINE float *pha__row_out(const pha__view *v, int64_t row, int64_t c, float *buffer)
{
    return v->dtype == PHA__F32 ? pha__at(v, row, c) : buffer;
}

PHA__INLINE void pha__row_done(const pha__view *v, int64_t row, int64_t c, int64_t n, const float *buffer)
{
    if (v->dtype == PHA__F32) return;
    uint16_t *h = pha__at(v, row, c);
    int64_t i = 0;
    for (; i + VF <= n; i += VF) vf_store_bf16(h + i, vf_load(buffer + i));
    for (; i < n; i++) h[i] = f32_to_bf16(buffer[i]);
}

/* Stores values to, or adds them to, columns [c, c+n) of a row (a gradient). */
PHA__INLINE void pha__row_grad(const pha__view *v, int64_t row, int64_t c, int64_t n, const float *values, bool add)
{
    void *p = pha__at(v, row, c);
    int64_t i = 0;
    if (v->dtype == PHA__F32) {
        float *f = p;
        if (!add) {
            memcpy(f, values, (size_t)n * 4);
            return;
        }
        for (; i + VF <= n; i += VF) vf_store(f + i, vf_load(f + i) + vf_load(values + i));
        for (; i < n; i++) f[i] += values[i];
        return;
    }
    uint16_t *h = p;
    for (; i + VF <= n; i += VF) {
        vf x = vf_load(values + i);
        vf_store_bf16(h + i, add ? vf_load_bf16(h + i) + x : x);
    }
    for (; i < n; i++) h[i] = f32_to_bf16(add ? bf16_to_f32(h[i]) + values[i] : values[i]);
}

/* For loops of the form for (i = 0; i < n; i += VF): a vector of the n - i elements that are left; the lanes beyond are
 * zero and are not stored. */
PHA__INLINE vf pha__load(const float *p, int64_t left) { return left >= VF ? vf_load(p) : vf_load_n(p, (int)left); }
PHA__INLINE void pha__store(float *p, vf v, int64_t left)
{
    if (left >= VF) vf_store(p, v);
    else vf_store_n(p, v, (int)left);
}

PHA__INLINE float pha__dot(const float *x, const float *y, int64_t n)
{
    vf a = vf_zero(), b = vf_zero();
    int64_t i = 0;
    for (; i + 2 * VF <= n; i += 2 * VF) {
        a = vf_fma(vf_load(x + i), vf_load(y + i), a);
        b = vf_fma(vf_load(x + i + VF), vf_load(y + i + VF), b);
    }
    for (; i < n; i += VF) a = vf_fma(pha__load(x + i, n - i), pha__load(y + i, n - i), a);
    return vf_sum(a + b);
}

PHA__INLINE float pha__inverse_rms(const float *x, int64_t n, float eps)
{
    return 1.0f / sqrtf(pha__dot(x, x, n) / (float)n + eps);
}

/* y += f x */
PHA__INLINE void pha__add_scaled(float *y, float f, const float *x, int64_t n)
{
    vf s = vf_set1(f);
    for (int64_t i = 0; i < n; i += VF) {
        pha__store(y + i, vf_fma(s, pha__load(x + i, n - i), pha__load(y + i, n - i)), n - i);
    }
}

/* out[i] = sum of partial[k * stride + i] over the blocks k in index order: the second half of a sum over tokens, which
 * must not depend on the number of threads. */
PHA__INLINE void pha__sum_blocks(float *out, const float *partial, int64_t blocks, int64_t stride, int64_t n)
{
    memset(out, 0, (size_t)n * sizeof *out);
    for (int64_t k = 0; k < blocks; k++) pha__add_scaled(out, 1.0f, partial + k * stride, n);
}

/* Where the gradient of a parameter goes on from: columns [c, c+n) of a row as they are (add), or zeros. */
PHA__INLINE void pha__sum_begin(float *sum, const pha__view *v, int64_t row, int64_t c, int64_t n, bool add)
{
    if (!add) memset(sum, 0, (size_t)n * sizeof *sum);
    else if (v->dtype == PHA__F32) memcpy(sum, pha__at(v, row, c), (size_t)n * sizeof *sum);
    else pha__row_in(v, row, c, n, sum);
}

/* The same second half for such columns: the blocks go one by one onto what is there. So it does not matter either in
 * how many microbatches they come, if none has tokens of two sequences. sum: room for n floats. */
PHA__INLINE void pha__fold_blocks(const pha__view *v, int64_t row, int64_t c, int64_t n, bool add, const float *partial,
                                  int64_t blocks, int64_t stride, float *sum)
{
    pha__sum_begin(sum, v, row, c, n, add);
    for (int64_t k = 0; k < blocks; k++) pha__add_scaled(sum, 1.0f, partial + k * stride, n);
    pha__row_grad(v, row, c, n, sum, false);
}

/* Rows per task of the ops that treat each row by itself, and the most rows per partial sum of those that reduce over
 * tokens. */
#define PHA__ROW_BLOCK 64

PHA__INLINE int64_t pha__row_blocks(const pha__args *a)
{
    return ((int64_t)a->B * a->T + PHA__ROW_BLOCK - 1) / PHA__ROW_BLOCK;
}

PHA__INLINE int64_t pha__row_block_end(const pha__args *a, int64_t block)
{
    int64_t rows = (int64_t)a->B * a->T, end = (block + 1) * PHA__ROW_BLOCK;
    return end < rows ? end : rows;
}

/* Stretches: the blocks of sums over tokens. Each sequence has its own, so that they follow from T alone. */
PHA__INLINE int64_t pha__stretches_each(const pha__args *a) { return (a->T + PHA__ROW_BLOCK - 1) / PHA__ROW_BLOCK; }
PHA__INLINE int64_t pha__stretches(const pha__args *a) { return a->B * pha__stretches_each(a); }

/* The rows of stretch k. */
PHA__INLINE int64_t pha__stretch_begin(const pha__args *a, int64_t k)
{
    int64_t each = pha__stretches_each(a);
    return k / each * a->T + k % each * PHA__ROW_BLOCK;
}
PHA__INLINE int64_t pha__stretch_end(const pha__args *a, int64_t k)
{
    int64_t end = pha__stretch_begin(a, k) + PHA__ROW_BLOCK, last = (k / pha__stretches_each(a) + 1) * a->T;
    return end < last ? end : last;
}

#endif
