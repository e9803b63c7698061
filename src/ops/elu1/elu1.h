/* elu1.h -- out = elu(x) + 1: x + 1 where x > 0, e^x elsewhere: in[0] x, out (B, T, W)
 * (the feature map of the linear Transformer, arXiv 2006.16236; baselines.md 7) */
#ifndef PHA__ELU1_H
#define PHA__ELU1_H

#include "ops/op.h"

#endif
