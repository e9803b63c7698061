/* product.h -- out = a * b, element by element: in[0] a, in[1] b, out (B, T, W) (the gates of baselines.md 4 and 6) */
#ifndef PHA__PRODUCT_H
#define PHA__PRODUCT_H

#include "ops/op.h"

#endif
