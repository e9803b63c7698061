/* optimizer.h -- the weights of a model in training: one block each of weights, gradients and two moments
 *
 * The blocks are laid out by the program (stacked projections lie together); constants have no gradient.
 */
#ifndef PHA__OPTIMIZER_H
#define PHA__OPTIMIZER_H

#include "base/threads.h"
#include "program/program.h"

typedef struct pha__optimizer {
    const pha__program *program; /* names and places of the parameters */
    pha__pool *pool;
    float *weights, *grads, *m, *v;
    uint16_t *half;              /* bf16 copies of the matrices; NULL in fp32 */
    void **weight_at, **grad_at, **half_at; /* one address per parameter */
    double *norms;               /* gradient norm per parameter, of the last pha__gradient_norm */
    double *partial;             /* workspace */
    uint64_t updates;            /* AdamW steps made: t of the bias correction */
} pha__optimizer;

typedef struct pha__adam {
    double lr, beta1, beta2, eps, decay;
    bool decay_all;
} pha__adam;

pha_status pha__optimizer_open(pha__optimizer *o, const pha__program *program, pha__pool *pool, bool half);
void pha__optimizer_close(pha__optimizer *o); /* a zeroed one is allowed */
void pha__optimizer_refresh_half(pha__optimizer *o); /* after weights were set from outside */
/* Global 2-norm, summed in double in index order; not finite if any gradient is not. */
double pha__gradient_norm(pha__optimizer *o);
/* One AdamW step with all gradients multiplied by `scale` (pha.md 6). Allocates nothing. */
void pha__adam_step(pha__optimizer *o, const pha__adam *a, double scale);

#endif
