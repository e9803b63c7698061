/* weigh.c -- weights of many numbers, as sums of blocks, to some twelve digits
 *
 * e^x = 2^n e^r with |r| <= ln(2) / 2, n read from the low bits of a sum, e^r a polynomial. Its error is far below what
 * the caller allows; the same sums by libm take six times as long.
 */
#include "backend/cpu/detect.h"

#include <float.h>
#include <math.h>

#include "backend/backend.h"
#include "backend/cpu/simd.h"

#define LANES (VF / 2)

typedef double vd __attribute__((vector_size(VF * 4)));
typedef int64_t vl __attribute__((vector_size(VF * 4)));
typedef float narrow __attribute__((vector_size(VF * 2)));

PHA__INLINE vd all(double x) { return x - (vd){0}; }
PHA__INLINE vd where(vl m, vd a, vd b) { return (vd)(((vl)a & m) | ((vl)b & ~m)); }

/* Of x <= 0; below -700 as of -700. */
PHA__INLINE vd exp_about(vd x)
{
    static const double factor[] = {1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720,
                                    1.0 / 120,      1.0 / 24,      1.0 / 6,      1.0 / 2,     1,          1};
    const vd magic = all(0x1.8p52), least = all(-700);
    x = where(x > least, x, least);
    vd k = x * 0x1.71547652b82fep0 + magic, n = k - magic; /* 1 / ln(2) */
    vd r = (x - n * 0x1.62e42fefa38p-1) - n * 0x1.ef35793c7673p-45;
    vd p = all(factor[0]);
    _Pragma("GCC unroll 11") for (int i = 1; i < 12; i++) p = p * r + factor[i];
    return p * (vd)(((vl)k + 1023) << 52);
}

static double block(const float *x, double top, double scale)
{
    vd sum = {0};
    for (int i = 0; i < PHA__WEIGH_BLOCK; i += LANES) {
        narrow some;
        memcpy(&some, x + i, sizeof some);
        sum += exp_about((__builtin_convertvector(some, vd) - top) * scale);
    }
    double total = 0;
    for (int i = 0; i < LANES; i++) total += sum[i];
    return total;
}

/* The largest; NaN if one is infinite or none. */
static float largest(const float *x, int64_t n)
{
    vf top = vf_set1(-INFINITY), most = vf_set1(FLT_MAX);
    vi good = top < most; /* all ones */
    int64_t i = 0;
    for (; i + VF <= n; i += VF) {
        vf v = vf_load(x + i);
        good &= v <= most;
        top = vf_max(top, v);
    }
    float result = vf_hmax(top);
    for (; i < n; i++) result = x[i] <= FLT_MAX ? (x[i] > result ? x[i] : result) : NAN;
    for (int k = 0; k < VF; k++)
        if (!good[k]) return NAN;
    return result > -INFINITY ? result : NAN;
}

pha__weigh_run PHA__ISA_NAME(pha__weigh);

float PHA__ISA_NAME(pha__weigh)(const float *x, int64_t n, double scale, double *sums)
{
    float top = largest(x, n), rest[PHA__WEIGH_BLOCK];
    int64_t whole = n / PHA__WEIGH_BLOCK * PHA__WEIGH_BLOCK;
    if (isnan(top)) return top;
    for (int64_t i = 0; i < whole; i += PHA__WEIGH_BLOCK) sums[i / PHA__WEIGH_BLOCK] = block(x + i, top, scale);
    if (whole == n) return top;
    for (int i = 0; i < PHA__WEIGH_BLOCK; i++) rest[i] = i < n - whole ? x[whole + i] : -INFINITY;
    sums[whole / PHA__WEIGH_BLOCK] = block(rest, top, scale);
    return top;
}
