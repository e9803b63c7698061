/* rope.h -- normalisation of query or key heads and rotary position (pha.md 2.2, 10)
 *
 *   cosine: v = x / sqrt(|x|^2 + eps) per head    rms: v = gain * x / sqrt(mean x^2 + eps)    dot: v = x
 *   out = e^min(tau_i, ln 100) R_t v            (factor 1 where tau is absent)
 *
 * in[0] x (B, T, H dh); in[1] table (B, T, dh) of rope_table; in[2] tau (1, H), optional; in[3] gain (1, dh), rms only.
 * out (B, T, H dh). half: pairs (j, j + dh/2); interleaved: pairs (2j, 2j + 1). */
#ifndef PHA__ROPE_H
#define PHA__ROPE_H

#include "ops/op.h"

enum { PHA__NORM_COSINE, PHA__NORM_RMS, PHA__NORM_NONE };

typedef struct pha__rope_attr {
    int32_t n_head, head_width;
    int32_t norm;      /* PHA__NORM_* */
    int32_t interleaved;
    float eps;         /* 1e-12 for cosine, 1e-6 for rms */
} pha__rope_attr;

#endif
