/* sum_squares.h -- sum of squares of one gradient, for the global norm (algorithms.md 8)
 *
 * in[0] g (rows, width) fp32 with ld = width. Blocks of 4096 elements are summed in fp32 lanes, the blocks in double in
 * index order; the result is a double at `saved` (8 bytes, 8-byte aligned). A non-finite element makes it non-finite.
 * Run by the trainer: B = T = 1, forward only; work holds one double per block; phase 1 adds them. */
#ifndef PHA__SUM_SQUARES_H
#define PHA__SUM_SQUARES_H

#include "ops/op.h"

#endif
