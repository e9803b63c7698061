/* formulas.h -- what an architecture must be, told without asking the program: its equations and its parameters
 *
 * One line per architecture in the table of formulas.c: the block in plain double loops, and the parameters of a layer.
 */
#ifndef PHA__FORMULAS_H
#define PHA__FORMULAS_H

#include "models/lab.h"

enum { FORMULA_T = 33 }; /* tokens of a sequence */

/* Logits (FORMULA_T, 256) of a model of the lab's sizes; fails for an architecture that is not in the table. */
void formula_logits(float *out, const lab *l, const pha__config *c, const int32_t *tokens);

/* Learned numbers of a model (pha.md 3, baselines.md 2). */
uint64_t formula_parameters(const pha__config *c);

#endif
