/* reference.h -- any model in double: a finished, unfused program interpreted with the references of its ops
 *
 * The ops' tests hold forward and gradient as plain double loops (src/ops/<op>/<op>_test.c). Applied to the nodes of a
 * program one after the other they give the value and the gradient of the whole model, so a model that is written from
 * ops has a reference without a line of its own.
 */
#ifndef PHA__REFERENCE_H
#define PHA__REFERENCE_H

#include "program/program.h"

typedef struct pha__reference pha__reference;

/* The program must be finished, unfused, and outlive the reference; `run` is read at every call. Parameters start as
 * zeros. NULL: no memory. */
pha__reference *pha__reference_open(const pha__program *p, int B, int T, const pha__run *run);
void pha__reference_close(pha__reference *r);

double *pha__reference_param(pha__reference *r, int index);      /* (rows, width), to be filled */
const double *pha__reference_grad(const pha__reference *r, int index);

/* Values of all nodes from node `first` on; 0: all. */
void pha__reference_forward(pha__reference *r, int first);
/* The first node that reads a parameter: nothing before it depends on it. */
int pha__reference_first_use(const pha__reference *r, int index);
/* Gradients of the scaled loss. Call forward before. */
void pha__reference_backward(pha__reference *r);

/* run->loss_scale * sum nll of a program with a loss; *size: that of the terms' magnitudes. */
double pha__reference_loss(const pha__reference *r, double *size);
/* An output by name: (B, T, width), packed. */
const double *pha__reference_output(const pha__reference *r, const char *name);

#endif
