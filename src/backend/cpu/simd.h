/* simd.h -- the vector of the instruction set being compiled
 *
 * vf is a vector of VF floats, vi of VF 32-bit integers. + - * / and comparisons are the compiler's own operators on
 * vector types. Kernels are written once over this header and compiled once per instruction set; a new instruction set
 * is one block here, one line in CMake and one in detect.c.
 */
#ifndef PHA__SIMD_H
#define PHA__SIMD_H

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#include "base/dtype.h"

#define PHA__INLINE static inline __attribute__((always_inline))

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#define VF 16
#elif defined(__AVX2__) && defined(__FMA__)
#define VF 8
#else
#define VF 4
#endif

#if VF == 16 || defined(__aarch64__)
#define VREGS 32 /* vector registers: how large a tile of accumulators may be */
#else
#define VREGS 16
#endif

typedef float vf __attribute__((vector_size(VF * 4)));
typedef int32_t vi __attribute__((vector_size(VF * 4)));
typedef float vf_any __attribute__((vector_size(VF * 4), aligned(1), may_alias));
typedef uint16_t vh __attribute__((vector_size(VF * 2)));
typedef uint16_t vh_any __attribute__((vector_size(VF * 2), aligned(1), may_alias));

PHA__INLINE vf vf_set1(float x) { return x - (vf){0}; }
PHA__INLINE vf vf_zero(void) { return (vf){0}; }
PHA__INLINE vf vf_load(const float *p) { return *(const vf_any *)p; }
PHA__INLINE void vf_store(float *p, vf v) { *(vf_any *)p = v; }

#if VF == 16 /* ------------------------------------------------------------------------------------------- AVX-512 */

PHA__INLINE __mmask16 vf_mask(int n) { return (__mmask16)((1u << n) - 1); }
PHA__INLINE vf vf_load_n(const float *p, int n) { return (vf)_mm512_maskz_loadu_ps(vf_mask(n), p); }
PHA__INLINE void vf_store_n(float *p, vf v, int n) { _mm512_mask_storeu_ps(p, vf_mask(n), (__m512)v); }
PHA__INLINE vf vf_fma(vf a, vf b, vf c) { return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
PHA__INLINE vf vf_max(vf a, vf b) { return (vf)_mm512_max_ps((__m512)a, (__m512)b); }
PHA__INLINE vf vf_min(vf a, vf b) { return (vf)_mm512_min_ps((__m512)a, (__m512)b); }
PHA__INLINE vf vf_sqrt(vf a) { return (vf)_mm512_sqrt_ps((__m512)a); }
PHA__INLINE float vf_sum(vf a) { return _mm512_reduce_add_ps((__m512)a); }
PHA__INLINE float vf_hmax(vf a) { return _mm512_reduce_max_ps((__m512)a); }

#elif VF == 8 /* --------------------------------------------------------------------------------------------- AVX2 */

PHA__INLINE __m256i vf_mask(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
PHA__INLINE vf vf_load_n(const float *p, int n) { return (vf)_mm256_maskload_ps(p, vf_mask(n)); }
PHA__INLINE void vf_store_n(float *p, vf v, int n) { _mm256_maskstore_ps(p, vf_mask(n), (__m256)v); }
PHA__INLINE vf vf_fma(vf a, vf b, vf c) { return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
PHA__INLINE vf vf_max(vf a, vf b) { return (vf)_mm256_max_ps((__m256)a, (__m256)b); }
PHA__INLINE vf vf_min(vf a, vf b) { return (vf)_mm256_min_ps((__m256)a, (__m256)b); }
PHA__INLINE vf vf_sqrt(vf a) { return (vf)_mm256_sqrt_ps((__m256)a); }
PHA__INLINE float vf_sum(vf a)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128((__m256)a), _mm256_extractf128_ps((__m256)a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
PHA__INLINE float vf_hmax(vf a)
{
    __m128 s = _mm_max_ps(_mm256_castps256_ps128((__m256)a), _mm256_extractf128_ps((__m256)a, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_shuffle_ps(s, s, 1)));
}

#else /* -------------------------------------------------------------------------------- NEON, SSE2, anything else */

PHA__INLINE vf vf_load_n(const float *p, int n)
{
    vf v = {0};
    for (int i = 0; i < n; i++) v[i] = p[i];
    return v;
}
PHA__INLINE void vf_store_n(float *p, vf v, int n)
{
    for (int i = 0; i < n; i++) p[i] = v[i];
}
#if defined(__ARM_NEON)
PHA__INLINE vf vf_fma(vf a, vf b, vf c) { return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
PHA__INLINE vf vf_max(vf a, vf b) { return (vf)vmaxq_f32((float32x4_t)a, (float32x4_t)b); }
PHA__INLINE vf vf_min(vf a, vf b) { return (vf)vminq_f32((float32x4_t)a, (float32x4_t)b); }
PHA__INLINE vf vf_sqrt(vf a) { return (vf)vsqrtq_f32((float32x4_t)a); }
#else
PHA__INLINE vf vf_fma(vf a, vf b, vf c) { return a * b + c; }
PHA__INLINE vf vf_max(vf a, vf b) { vi m = a > b; return (vf)(((vi)a & m) | ((vi)b & ~m)); }
PHA__INLINE vf vf_min(vf a, vf b) { vi m = a < b; return (vf)(((vi)a & m) | ((vi)b & ~m)); }
PHA__INLINE vf vf_sqrt(vf a)
{
    for (int i = 0; i < VF; i++) a[i] = __builtin_sqrtf(a[i]);
    return a;
}
#endif
PHA__INLINE float vf_sum(vf a) { return (a[0] + a[2]) + (a[1] + a[3]); }
PHA__INLINE float vf_hmax(vf a)
{
    float x = a[0] > a[1] ? a[0] : a[1], y = a[2] > a[3] ? a[2] : a[3];
    return x > y ? x : y;
}

#endif /* ---------------------------------------------------------------------------------------- for all of them */

/* where m (all ones or all zeros per lane) a, else b */
PHA__INLINE vf vf_select(vi m, vf a, vf b) { return (vf)(((vi)a & m) | ((vi)b & ~m)); }

/* bfloat16, as base/dtype.h converts single numbers */
PHA__INLINE vf vf_load_bf16(const uint16_t *p)
{
#if VF == 16 /* gcc makes six instructions of the conversion */
    return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)p)), 16);
#elif VF == 8
    return (vf)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)p)), 16);
#else
    return (vf)(__builtin_convertvector(*(const vh_any *)p, vi) << 16);
#endif
}
PHA__INLINE void vf_store_bf16(uint16_t *p, vf v)
{
    vi u = (vi)v, nan = (u & 0x7fffffff) > 0x7f800000;
    vi r = (u + 0x7fff + (u >> 16 & 1)) >> 16, q = u >> 16 | 0x40;
    r = ((r & ~nan) | (q & nan)) & 0xffff;
#if VF == 16
    _mm256_storeu_si256((void *)p, _mm512_cvtepi32_epi16((__m512i)r));
#elif VF == 8
    __m256i x = (__m256i)r;
    _mm_storeu_si128((void *)p, _mm_packus_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1)));
#else
    *(vh_any *)p = __builtin_convertvector(r, vh);
#endif
}

/* VF halves as floats */
PHA__INLINE vf vf_load_f16(const uint16_t *p)
{
#if VF == 16
    return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const void *)p));
#elif VF == 8
    return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const void *)p));
#elif defined(__aarch64__)
    return (vf)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
#else
    vf v;
    for (int i = 0; i < VF; i++) v[i] = f16_to_f32(p[i]);
    return v;
#endif
}

/* e^x: 2^n e^r with |r| <= ln2/2 and a polynomial of degree 6 (about 1 ulp). 0 below -87.3; above
 * 88.7 it stays at the largest float, 3.4e38, so that sums and reciprocals stay finite. NaN stays NaN. */
PHA__INLINE vf vf_exp(vf x)
{
    const vf magic = vf_set1(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer */
    vf c = vf_min(vf_set1(88.72283f), vf_max(vf_set1(-87.3f), x)); /* in this order NaN stays NaN */
    vf t = vf_fma(c, vf_set1(1.44269504f), magic), n = t - magic;
    vf r = vf_fma(n, vf_set1(-0.693145752f), c);
    r = vf_fma(n, vf_set1(-1.42860677e-6f), r);
    vf p = vf_set1(1.38533e-3f);
    p = vf_fma(p, r, vf_set1(8.363285e-3f));
    p = vf_fma(p, r, vf_set1(4.1666687e-2f));
    p = vf_fma(p, r, vf_set1(1.6666655e-1f));
    p = vf_fma(p, r, vf_set1(0.5f));
    p = vf_fma(p, r, vf_set1(1.0f));
    p = vf_fma(p, r, vf_set1(1.0f));
    vi k = (vi)t - (vi)magic; /* n as an integer, -126..128: the scale is applied in two halves */
    vi h = k >> 1;
    p = p * (vf)((h + 127) << 23) * (vf)((k - h + 127) << 23);
    return vf_select(x < vf_set1(-87.3f), vf_zero(), p);
}

/* ln x of normal numbers above 0 (about 1 ulp): x = 2^n m with m in [0.7, 1.4), and a polynomial of degree 8 */
PHA__INLINE vf vf_log(vf x)
{
    vi n = ((vi)x - 0x3f3504f3) >> 23;
    vf f = (vf)((vi)x - (n << 23)) - vf_set1(1.0f), z = f * f, e = __builtin_convertvector(n, vf);
    vf p = vf_fma(vf_set1(7.0376836292e-2f), f, vf_set1(-1.1514610310e-1f));
    p = vf_fma(p, f, vf_set1(1.1676998740e-1f));
    p = vf_fma(p, f, vf_set1(-1.2420140846e-1f));
    p = vf_fma(p, f, vf_set1(1.4249322787e-1f));
    p = vf_fma(p, f, vf_set1(-1.6668057665e-1f));
    p = vf_fma(p, f, vf_set1(2.0000714765e-1f));
    p = vf_fma(p, f, vf_set1(-2.4999993993e-1f));
    p = vf_fma(p, f, vf_set1(3.3333331174e-1f)) * f * z;
    p = vf_fma(e, vf_set1(-2.12194440e-4f), p);
    p = vf_fma(z, vf_set1(-0.5f), p);
    return vf_fma(e, vf_set1(0.693359375f), f + p);
}

/* 1 / (1 + e^-x), and x times it */
PHA__INLINE vf vf_sigmoid(vf x) { return vf_set1(1.0f) / (vf_set1(1.0f) + vf_exp(-x)); }
PHA__INLINE vf vf_silu(vf x) { return x / (vf_set1(1.0f) + vf_exp(-x)); }

#endif
