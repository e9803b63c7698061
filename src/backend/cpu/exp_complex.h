/* exp_complex.h -- e^z - 1 of complex numbers in double, several at a time, for the modes of a state space
 *
 * Exact to a few ulp for Re z <= 0, also for small z, where e^z - 1 by subtraction is not; the phase Im z may be up
 * to a million. */
#ifndef PHA__EXP_COMPLEX_H
#define PHA__EXP_COMPLEX_H

#include "backend/cpu/simd.h"

#define VD (VF / 2) /* doubles of a vector */

typedef double vd __attribute__((vector_size(VF * 4)));
typedef int64_t vl __attribute__((vector_size(VF * 4)));
typedef double vd_any __attribute__((vector_size(VF * 4), aligned(8), may_alias));

PHA__INLINE vd vd_set1(double x) { return x - (vd){0}; }
PHA__INLINE vd vd_select(vl m, vd a, vd b) { return (vd)(((vl)a & m) | ((vl)b & ~m)); }

#define PHA__ROUNDER 6755399441055744.0 /* 1.5 * 2^52: adding it rounds to an integer */

/* e^x - 1, x <= 0 */
PHA__INLINE vd vd_expm1(vd x)
{
    static const double c[] = {1 / 479001600.0, 1 / 39916800.0, 1 / 3628800.0, 1 / 362880.0, 1 / 40320.0, 1 / 5040.0,
                               1 / 720.0, 1 / 120.0, 1 / 24.0, 1 / 6.0, 0.5, 1};
    x = vd_select(x < vd_set1(-700), vd_set1(-700), x);
    vd t = x * 1.4426950408889634 + PHA__ROUNDER, k = t - PHA__ROUNDER;
    vd r = (x - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10;
    vd p = vd_set1(1 / 6227020800.0);
    for (int i = 0; i < 12; i++) p = p * r + c[i];
    vd scale = (vd)(((vl)t << 52) + ((int64_t)1023 << 52));
    return scale * (p * r) + (scale - 1);
}

PHA__INLINE void vd_sincos(vd y, vd *sine, vd *cosine)
{
    static const double s[] = {-1 / 1307674368000.0, 1 / 6227020800.0, -1 / 39916800.0, 1 / 362880.0, -1 / 5040.0,
                               1 / 120.0, -1 / 6.0};
    static const double c[] = {-1 / 87178291200.0, 1 / 479001600.0, -1 / 3628800.0, 1 / 40320.0, -1 / 720.0, 1 / 24.0,
                               -0.5};
    vd t = y * 0.63661977236758138 + PHA__ROUNDER, q = t - PHA__ROUNDER;
    vd r = ((y - q * 1.57079632673412561417e+00) - q * 6.07710050630396597660e-11) - q * 2.02226624879595063154e-21;
    vd r2 = r * r, ps = vd_set1(1 / 355687428096000.0), pc = vd_set1(1 / 20922789888000.0);
    for (int i = 0; i < 7; i++) ps = ps * r2 + s[i], pc = pc * r2 + c[i];
    vd sr = r + r * r2 * ps, cr = 1 + r2 * pc;
    vl odd = ((vl)t & 1) != 0, minus_s = ((vl)t & 2) != 0, minus_c = (((vl)t + 1) & 2) != 0;
    vd a = vd_select(odd, cr, sr), b = vd_select(odd, sr, cr);
    *sine = vd_select(minus_s, -a, a);
    *cosine = vd_select(minus_c, -b, b);
}

/* out = e^(re + i im) - 1; n is a multiple of VD, re <= 0 */
PHA__INLINE void pha__expm1_complex(int n, const double *re, const double *im, double *out_re, double *out_im)
{
    for (int i = 0; i < n; i += VD) {
        vd s, c, e = vd_expm1(*(const vd_any *)(re + i));
        vd_sincos(*(const vd_any *)(im + i) * 0.5, &s, &c);
        *(vd_any *)(out_re + i) = e * (1 - 2 * s * s) - 2 * s * s;
        *(vd_any *)(out_im + i) = 2 * (e + 1) * s * c;
    }
}

#endif
