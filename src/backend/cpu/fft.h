/* fft.h -- fast Fourier transforms of real sequences, for causal convolution; a vector runs over VF channels
 *
 * A sequence x of n numbers is a polynomial, and its transform the polynomial modulo X - r for the n roots r of
 * X^n = i:
 *
 *   z[k] = sum_t x[t] r_k^t,     r_k = exp(2 pi i (1/4 + k') / n), k' the digits of k (base 4, the last one of base 2
 *                                where n is no power of 4) in reverse order
 *
 * The product of two transforms is the product of the polynomials modulo X^n - i, x * y up to X^(n-1) in the real part
 * and what reaches beyond in the imaginary one. So n points are enough for a causal convolution of n numbers, nothing
 * need be padded to 2 n, and nothing be taken apart as after a complex transform of pairs of real numbers; it is the
 * work of a real transform of 2 n points, 2.5 (2 n) log2(n). With the conjugate of one factor it is the correlation.
 * The roots of a node of the tree of factors X^m - c are those of its four children X^(m/4) - c^(1/4) i^k: one factor
 * for a whole pass of a loop, and no order of points to restore, since the inverse walks up the same tree.
 *
 * Data: x is [n][VF] floats; z is [n][2][VF], real parts then imaginary ones. n is a power of two, at least 4.
 */
#ifndef PHA__FFT_H
#define PHA__FFT_H

#include "backend/cpu/kernel.h"

#define pha__fft_table PHA__ISA_NAME(pha__fft_table)
#define pha__fft_real PHA__ISA_NAME(pha__fft_real)
#define pha__fft_real_back PHA__ISA_NAME(pha__fft_real_back)

enum { PHA__FFT_MIN = 4 };

/* The least length of a transform for n numbers. */
static inline int64_t pha__fft_length(int64_t n)
{
    int64_t length = PHA__FFT_MIN;
    while (length < n) length *= 2;
    return length;
}

static inline int64_t pha__fft_floats(int64_t n) { return 2 * n; } /* of a table */

/* The factors of length n, computed in double. */
void pha__fft_table(float *table, int64_t n);
/* z = transform of x */
void pha__fft_real(float *z, const float *x, const float *table, int64_t n);
/* x = real part of n times the inverse of z, which is overwritten */
void pha__fft_real_back(float *x, float *z, const float *table, int64_t n);

#endif
