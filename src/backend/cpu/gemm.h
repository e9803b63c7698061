/* gemm.h -- the matrix product of the instruction set being compiled: C (m, n) = A (m, k) B (k, n), or C += A B
 *
 * A(i, p) is element i * a_row + p * a_col of a, likewise B(p, j); one of the two strides of each is 1. fp32
 * arithmetic; a, b and c may be stored as bf16 (accumulation over k is fp32 throughout). b may be a weight in any other
 * format too, (n, k) with b_row = 1 and b_col = k, if a_col is 1. The work is cut into tasks by the shape and the
 * format alone, and the order of the sum over k depends on k alone: an element of C has the same bits whatever the
 * number of threads, the rows beside it and the format, as long as the numbers are the same.
 */
#ifndef PHA__GEMM_H
#define PHA__GEMM_H

#include "backend/cpu/kernel.h"

typedef struct pha__gemm {
    int64_t m, n, k;
    const void *a, *b;
    void *c;
    int64_t a_row, a_col, b_row, b_col, c_row; /* strides in elements; columns of c are contiguous */
    pha__dtype a_type, b_type, c_type;
    bool add; /* C += A B */
    const float *bias; /* n numbers that are added to every row, at the end; NULL: none */
    int64_t sequence;  /* k runs over the tokens of sequences of so many; 0: it does not. Needs a C of fp32 */
    const int32_t *ends; /* instead: where in k each sequence, or piece of one, ends (at most PHA__GEMM_PIECE) */
} pha__gemm;

/* A sum over sequences begins with what C holds (add), or with nothing, and takes the sums of pieces of one sequence,
 * each from zero, one after the other. How a sequence is cut follows from its length: so it does not matter in how many
 * products the sequences come. */
enum { PHA__GEMM_PIECE = 640 };
static inline int64_t pha__gemm_piece(int64_t sequence)
{
    int64_t pieces = (sequence + PHA__GEMM_PIECE - 1) / PHA__GEMM_PIECE;
    return pieces ? (sequence + pieces - 1) / pieces : 0;
}

#define pha__gemm_tasks PHA__ISA_NAME(pha__gemm_tasks)
#define pha__gemm_scratch PHA__ISA_NAME(pha__gemm_scratch)
#define pha__gemm_run PHA__ISA_NAME(pha__gemm_run)

int64_t pha__gemm_tasks(const pha__gemm *g);
/* Bytes of scratch per thread, enough for every gemm with at most these m, n, k and any strides and types. */
size_t pha__gemm_scratch(int64_t m, int64_t n, int64_t k);
void pha__gemm_run(const pha__gemm *g, int64_t begin, int64_t end, void *scratch);

#endif
