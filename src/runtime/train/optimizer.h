/* optimizer.h -- AdamW, Muon and the gradient norm over the parameters of a store: a few launches on its device
 *
 * The store lays parameters out by kind (program/store.h), so that all matrices are one range, all
 * vectors another, and those that say how a state moves a third. Muon is for the matrices that products read, one by
 * one; tables that are looked up (embedding, positions), vectors and how a state moves stay with AdamW.
 *
 * Of several ranks each updates a part of the numbers (shard.h) and keeps the moments of these alone, and of matrices
 * with bf16 copies the fp32 numbers. Muon wants whole matrices: there every rank updates all.
 */
#ifndef PHA__OPTIMIZER_H
#define PHA__OPTIMIZER_H

#include "ops/adamw/adamw.h"
#include "ops/muon/muon.h"
#include "ops/sum_squares/sum_squares.h"
#include "program/run_block.h"
#include "program/store.h"
#include "dist/reduction.h"
#include "dist/wire.h"
#include "runtime/train/adder.h"
#include "runtime/train/shard.h"

typedef struct pha__adam {
    double lr, beta1, beta2, eps, decay;
    bool decay_all;
} pha__adam;

typedef struct pha__optimizer_options {
    bool half;       /* bf16 working copies of the matrices */
    bool muon;       /* the matrices are Muon's. Its momentum is the first of the moments; the second stays zero. */
    pha__comm *comm; /* NULL: one rank */
} pha__optimizer_options;

typedef struct pha__optimizer {
    pha__store *store;           /* has weights, gradients, both moments; working copies of the matrices in bf16 */
    pha__segment *segments;      /* one per learned parameter, in index order */
    pha__sum_squares_attr sums_attr;
    pha__args sums;
    void *sums_scratch;
    pha__run_block run;
    double *squares;             /* of the host: what sums gives */
    double *norms;               /* gradient norm per parameter, of the last pha__gradient_norm */
    uint64_t updates;            /* steps made: t of the bias correction of AdamW */
    bool muon;
    void *muon_work, *muon_scratch;

    pha__shard shard;   /* the part of the numbers that this rank updates */
    pha__wire wire;     /* between the devices of the ranks */
    pha__adder adder;   /* of what comes by it */
} pha__optimizer;

/* Adds to the store, which has no roles yet, all that training needs. */
pha_status pha__optimizer_open(pha__optimizer *o, pha__store *store, const pha__optimizer_options *options);
/* By all ranks together, once each has opened its own: the way between their devices. */
pha_status pha__optimizer_join(pha__optimizer *o);
bool pha__is_table(const pha__program *p, const pha__node *v); /* a matrix that an op looks rows up in */
void pha__optimizer_close(pha__optimizer *o); /* a zeroed one is allowed */
/* Renews the working copies, after weights were set from outside. */
pha_status pha__optimizer_refresh(pha__optimizer *o);
/* Of several ranks: their sum of gradients, which leaves it in the part that this rank updates and loses the rest. */
pha_status pha__optimizer_reduction(pha__optimizer *o, int most, pha__reduction **out);
/* Behind it: what an optimizer of whole matrices needs of the other parts. */
pha_status pha__gradient_gather(pha__optimizer *o);
/* Global 2-norm, summed in double in index order; not finite if any gradient is not. */
pha_status pha__gradient_norm(pha__optimizer *o, double *norm);
/* One step with all gradients multiplied by `scale` (pha.md 6, 10). Allocates nothing. */
pha_status pha__adam_step(pha__optimizer *o, const pha__adam *a, double scale);

/* For files, by all ranks together; the gradients are lost. collect makes all numbers of a role (weights, moments)
 * whole on every rank and says in which role they lie then, until the next step or call of these. spread does the
 * reverse with those that the leading rank has put there, and renews the working copies. */
pha_status pha__optimizer_collect(pha__optimizer *o, pha__role role, pha__role *whole);
pha_status pha__optimizer_spread(pha__optimizer *o, pha__role role);
/* Where element `at` of the layout lies in a role (fp32), of those that this rank has. */
void *pha__optimizer_place(const pha__optimizer *o, pha__role role, int64_t at);
/* Where each rank has put its part of the role itself (the leading one also what is frozen): makes whole what is whole
 * on every rank, and renews the working copies. */
pha_status pha__optimizer_share(pha__optimizer *o, pha__role role);
/* Where rank 0 puts what is spread. */
pha__role pha__optimizer_whole(const pha__optimizer *o, pha__role role);

#endif
