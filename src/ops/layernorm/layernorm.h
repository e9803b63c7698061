/* layernorm.h -- out = gain * v + bias, v = (x - mean x) / sqrt(var x + eps), mean and variance over the D features
 * (Ba, Kiros and Hinton, arXiv 1607.06450; baselines.md 1)
 *
 * in[0] x (B, T, D); in[1] gain (1, D), in[2] bias (1, D), parameters. out (B, T, D). */
#ifndef PHA__LAYERNORM_H
#define PHA__LAYERNORM_H

#include "ops/op.h"

typedef struct pha__layernorm_attr {
    float eps;
} pha__layernorm_attr;

#endif
