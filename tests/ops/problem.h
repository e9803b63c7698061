/* problem.h -- one case of an op as numbers: its inputs, and what the reference makes of them */
#ifndef PHA__PROBLEM_H
#define PHA__PROBLEM_H

#include "harness.h"

typedef struct pha__problem {
    const pha__op_test *test;
    const pha__op_case *c;
    pha__dtype dtype; /* inputs are rounded to this format (where it applies) before the reference sees them */
    pha__run run;     /* owns tokens, targets and order */
    pha__op_reference ref;     /* owns its arrays */
} pha__problem;

void pha__problem_open(pha__problem *p, const pha__op_test *test, const pha__op_case *c, pha__dtype dtype);
/* Sequences [b, b+B) and tokens [t, t+T) of another problem; out and d_in are not filled. Whole sequences keep their
 * dropout masks. */
void pha__problem_slice(pha__problem *p, const pha__problem *of, int b, int B, int t, int T);
void pha__problem_sort(pha__problem *p);  /* run.order, which backward may want */
void pha__problem_solve(pha__problem *p); /* the same; out and d_in by the reference */
void pha__problem_close(pha__problem *p);

void pha__check_differences(pha__problem *p); /* the reference's gradient against central differences */

pha__dtype pha__input_dtype(const pha__problem *p, int i);
bool pha__has_gradient(const pha__problem *p, int i);
uint32_t pha__inputs(const pha__problem *p); /* which are there */
pha__dtype pha__result_dtype(const pha__problem *p);
int64_t pha__input_rows(const pha__problem *p, int i);
/* The shape of the problem as the op's functions want it, its width filled in. */
pha__shape pha__problem_shape(const pha__problem *p);

#endif
