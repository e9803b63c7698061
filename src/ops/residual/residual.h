/* residual.h -- out = alpha a + beta drop(b) (pha.md 2, 8)
 *
 * in[0] a (B, T, D), absent: 0; in[1] b (B, T, D). out (B, T, D). */
#ifndef PHA__RESIDUAL_H
#define PHA__RESIDUAL_H

#include "ops/op.h"

typedef struct pha__residual_attr {
    float alpha, beta;
    float dropout;
    uint32_t site;
} pha__residual_attr;

#endif
