/* residual.h -- out = alpha a + beta drop(b): in[0] a, in[1] b, out (B, T, D) (pha.md 2, 8) */
#ifndef PHA__RESIDUAL_H
#define PHA__RESIDUAL_H

#include "ops/op.h"

typedef struct pha__residual_attr {
    float alpha, beta;
    float dropout;
    uint32_t site;
} pha__residual_attr;

#endif
