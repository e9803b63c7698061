/* residual.h -- out = alpha a + beta drop(b), or the RMSNorm of that (pha.md 1, 2, 8; algorithms.md 6)
 *
 * in[0] a (B, T, D), absent: 0; in[1] b (B, T, D); in[2] gain of the norm (1, D), optional. out (B, T, D). Without the
 * norm the sum is fp32 in any program. With it the sum is never stored: backward makes it again from a and b. */
#ifndef PHA__RESIDUAL_H
#define PHA__RESIDUAL_H

#include "ops/op.h"

typedef struct pha__residual_attr {
    float alpha, beta;
    float dropout;
    uint32_t site;
    float norm_eps; /* of the norm; set by fuse.c */
} pha__residual_attr;

#endif
