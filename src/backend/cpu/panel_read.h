/* panel_read.h -- weights in panels as floats, in the registers of a tile or as a panel of fp32 (part of gemm.c)
 *
 * Widening 16 bits is exact, so a product has the bits that it has over the same numbers in fp32. Blocks of integers
 * stay integers (integers.h).
 */
#ifndef PHA__PANEL_READ_H
#define PHA__PANEL_READ_H

#include "backend/cpu/pack.h"

enum {
    PV = PHA__PANEL / VF,                               /* vectors of a row of a panel */
    ACCUMULATORS = VREGS == 32 ? 24 : 12,               /* what is left of the registers */
    PR = ACCUMULATORS / PV < 8 ? ACCUMULATORS / PV : 8, /* most rows of a tile */
};

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

/* Of a block: the scales. */
PHA__INLINE vf block_scale(const char *block, int v)
{
    return vf_load_bf16((const uint16_t *)(const void *)block + v * VF);
}

/* ---- as a panel of fp32 ----------------------------------------------------------------------------------- */

/* Steps [p0, p0 + k) of a panel. */
PHA__INLINE void widen_panel_as(pha__dtype t, float *out, const char *panel, int64_t p0, int64_t k)
{
    const char *step = panel + p0 * block_bytes_of(t);
    for (int64_t p = 0; p < k; p++, step += block_bytes_of(t), out += PHA__PANEL)
        for (int v = 0; v < PV; v++) vf_store(out + v * VF, plain_step(t, step, v));
}

static void widen_panel(pha__dtype t, float *out, const char *panel, int64_t p0, int64_t k)
{
    if (t == PHA__BF16_PANEL) widen_panel_as(PHA__BF16_PANEL, out, panel, p0, k);
    else widen_panel_as(PHA__F16_PANEL, out, panel, p0, k);
}

#endif
