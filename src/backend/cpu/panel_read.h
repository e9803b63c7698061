/* panel_read.h -- weights in panels as floats, in the registers of a tile or as a panel of fp32 (part of gemm.c)
 *
 * Widening is exact in every format: 16 bits are floats, and an integer of 8 bits times a scale of 8 has 16. So a
 * product has the bits that it has over the same numbers in fp32.
 */
#ifndef PHA__PANEL_READ_H
#define PHA__PANEL_READ_H

#include "backend/cpu/pack.h"

enum {
    PV = PHA__PANEL / VF, /* vectors of a row of a panel */
};

/* VF bytes as integers, signed or not */
typedef int8_t bytes_signed __attribute__((vector_size(VF)));
typedef uint8_t bytes_plain __attribute__((vector_size(VF)));

PHA__INLINE vi vi_load_i8(const void *p)
{
#if VF == 16
    return (vi)_mm512_cvtepi8_epi32(_mm_loadu_si128(p));
#elif VF == 8
    return (vi)_mm256_cvtepi8_epi32(_mm_loadl_epi64(p));
#else
    bytes_signed b;
    memcpy(&b, p, sizeof b);
    return __builtin_convertvector(b, vi);
#endif
}
PHA__INLINE vi vi_load_u8(const void *p)
{
#if VF == 16
    return (vi)_mm512_cvtepu8_epi32(_mm_loadu_si128(p));
#elif VF == 8
    return (vi)_mm256_cvtepu8_epi32(_mm_loadl_epi64(p));
#else
    bytes_plain b;
    memcpy(&b, p, sizeof b);
    return __builtin_convertvector(b, vi);
#endif
}
PHA__INLINE vf vf_of(vi n) { return __builtin_convertvector(n, vf); }

PHA__INLINE bool in_panels(pha__dtype t)
{
    return t == PHA__F32_PANEL || (t >= PHA__BF16_PANEL && t <= PHA__Q4_PANEL);
}

/* Of a panel: steps along k that lie together, and their bytes. */
PHA__INLINE int64_t block_steps_of(pha__dtype t) { return t == PHA__Q8_PANEL || t == PHA__Q4_PANEL ? PHA__BLOCK : 1; }
PHA__INLINE int64_t block_bytes_of(pha__dtype t)
{
    return t == PHA__Q8_PANEL   ? PHA__Q8_BYTES
           : t == PHA__Q4_PANEL ? PHA__Q4_BYTES
                                : PHA__PANEL * (t == PHA__F32_PANEL ? 4 : 2);
}
PHA__INLINE int64_t panel_bytes_of(pha__dtype t, int64_t k)
{
    return (k + block_steps_of(t) - 1) / block_steps_of(t) * block_bytes_of(t);
}

/* Vector v of a step of plain numbers. */
PHA__INLINE vf plain_step(pha__dtype t, const char *step, int v)
{
    if (t == PHA__F32_PANEL) return vf_load((const float *)(const void *)step + v * VF);
    const uint16_t *h = (const uint16_t *)(const void *)step + v * VF;
    return t == PHA__BF16_PANEL ? vf_load_bf16(h) : vf_load_f16(h);
}

/* Of a block: the scales; of 4 bits also what takes the 8 back, -8 times the scale. */
PHA__INLINE vf block_scale(const char *block, int v)
{
    return vf_load_bf16((const uint16_t *)(const void *)block + v * VF);
}
PHA__INLINE vf block_shift(vf scale) { return scale * vf_set1(-8); }

PHA__INLINE vf q8_step(const char *block, int64_t p, int v, vf scale)
{
    return vf_of(vi_load_i8(block + PHA__SCALES + p * PHA__PANEL + v * VF)) * scale;
}

/* Steps p and p + 1, p even. n s - 8 s in one rounding is (n - 8) s. */
PHA__INLINE void q4_steps(vf y[2], const char *block, int64_t p, int v, vf scale, vf shift)
{
    vi n = vi_load_u8(block + PHA__SCALES + p / 2 * PHA__PANEL + v * VF);
    y[0] = vf_fma(vf_of(n & 15), scale, shift);
    y[1] = vf_fma(vf_of(n >> 4), scale, shift);
}

/* ---- as a panel of fp32 ----------------------------------------------------------------------------------- */

/* Steps [first, last) of a block of quantised numbers. */
PHA__INLINE void widen_q8(float *out, const char *block, int64_t first, int64_t last)
{
    for (int v = 0; v < PV; v++) {
        vf scale = block_scale(block, v);
        for (int64_t p = first; p < last; p++)
            vf_store(out + (p - first) * PHA__PANEL + v * VF, q8_step(block, p, v, scale));
    }
}

PHA__INLINE void widen_q4(float *out, const char *block, int64_t first, int64_t last)
{
    for (int v = 0; v < PV; v++) {
        vf scale = block_scale(block, v), shift = block_shift(scale), y[2];
        float *to = out + v * VF;
        for (int64_t p = first - first % 2; p < last; p += 2) {
            q4_steps(y, block, p, v, scale, shift);
            if (p >= first) vf_store(to + (p - first) * PHA__PANEL, y[0]);
            if (p + 1 < last) vf_store(to + (p + 1 - first) * PHA__PANEL, y[1]);
        }
    }
}

/* Steps [p0, p0 + k) of a panel. */
PHA__INLINE void widen_panel_as(pha__dtype t, float *out, const char *panel, int64_t p0, int64_t k)
{
    const int64_t steps = block_steps_of(t), bytes = block_bytes_of(t), end = p0 + k;
    for (int64_t p = p0, last; p < end; out += (last - p) * PHA__PANEL, p = last) {
        const char *block = panel + p / steps * bytes;
        last = min64((p / steps + 1) * steps, end);
        if (steps > 1) (t == PHA__Q8_PANEL ? widen_q8 : widen_q4)(out, block, p % steps, last - p / steps * steps);
        else
            for (int v = 0; v < PV; v++) vf_store(out + v * VF, plain_step(t, block, v));
    }
}

static void widen_panel(pha__dtype t, float *out, const char *panel, int64_t p0, int64_t k)
{
    if (t == PHA__BF16_PANEL) widen_panel_as(PHA__BF16_PANEL, out, panel, p0, k);
    else if (t == PHA__F16_PANEL) widen_panel_as(PHA__F16_PANEL, out, panel, p0, k);
    else if (t == PHA__Q8_PANEL) widen_panel_as(PHA__Q8_PANEL, out, panel, p0, k);
    else widen_panel_as(PHA__Q4_PANEL, out, panel, p0, k);
}

#endif
