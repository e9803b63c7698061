/* silu_mul.h -- out = SiLU(a) * b: in[0] a, in[1] b, out (B, T, W) (pha.md 2.3, 2.4; SwiGLU of Shazeer,
 * arXiv 2002.05202) */
#ifndef PHA__SILU_MUL_H
#define PHA__SILU_MUL_H

#include "ops/op.h"

#endif
