/* rmsnorm.h -- out = gain * r x, r = (mean_i x_i^2 + eps)^(-1/2): in[0] x (B, T, D), in[1] gain (1, D), a parameter,
 * absent: 1 (pha.md 1; backward algorithms.md 6) */
#ifndef PHA__RMSNORM_H
#define PHA__RMSNORM_H

#include "ops/op.h"

typedef struct pha__rmsnorm_attr {
    float eps;
} pha__rmsnorm_attr;

#endif
