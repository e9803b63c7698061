/* sum_squares.h -- sum of squares of each of many gradients, for the global norm (algorithms.md 8)
 *
 * in[0] g fp32, dense: the block in which all gradients lie; attr names its segments. Pieces of 4096 elements of a
 * segment are summed in fp32 lanes, the pieces in double in index order; the result is one double per segment at
 * `saved`. A non-finite element makes its sum non-finite; what lies between segments is not read. Run by the optimizer:
 * B = T = 1, forward only; work holds one double per piece; phase 1 adds them. */
#ifndef PHA__SUM_SQUARES_H
#define PHA__SUM_SQUARES_H

#include "ops/op.h"

enum { PHA__SUM_PIECE = 4096 };

typedef struct pha__segment {
    int64_t begin, size; /* elements */
    int64_t piece;       /* number of pieces in the segments before */
} pha__segment;

typedef struct pha__sum_squares_attr {
    int32_t n;
    int64_t pieces;              /* of all segments */
    const pha__segment *segment; /* n, host memory */
} pha__sum_squares_attr;

/* Appends a segment to the n in attr; the caller's array has room. */
static inline void pha__add_segment(pha__sum_squares_attr *attr, pha__segment *segments, int64_t begin, int64_t size)
{
    segments[attr->n++] = (pha__segment){begin, size, attr->pieces};
    attr->pieces += (size + PHA__SUM_PIECE - 1) / PHA__SUM_PIECE;
    attr->segment = segments;
}

#endif
