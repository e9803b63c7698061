/* gelu.h -- out = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))): in[0] x, out (B, T, W)
 * (the tanh form of Hendrycks and Gimpel, arXiv 1606.08415, that GPT-2 uses; baselines.md 1) */
#ifndef PHA__GELU_H
#define PHA__GELU_H

#include "ops/op.h"

#endif
