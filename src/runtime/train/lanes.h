/* lanes.h -- the shares of a batch, and sums over them that do not depend on who computes which
 *
 * A batch is cut into 1, 2, 4, 8, ... lanes of as many sequences each. A lane adds up its microbatches in order; lanes
 * are added in a binary tree, ((0 + 1) + (2 + 3)) + ...; ranks have whole lanes that stand side by side, so that the
 * tree of a rank's own is a branch of it and the ranks' (dist/comm.h) is what is left. The number of lanes belongs to a
 * run, that of ranks does not. One lane: all microbatches in order.
 */
#ifndef PHA__LANES_H
#define PHA__LANES_H

#include "dist/comm.h"
#include "program/store.h"
#include "runtime/train/adder.h"

enum { PHA__MOST_LEVELS = 16 };

typedef struct pha__lanes {
    pha__comm *comm;
    pha__store *store;
    int here, first;      /* lanes of this rank; the first of them */
    int32_t sequences;    /* of a lane */
    int losses;           /* sums that each lane brings */
    int levels;           /* log2(here) */
    void *held[PHA__MOST_LEVELS]; /* gradients of 1, 2, 4, ... lanes that wait for as many more; on the device */
    pha__adder adder;
    char *meeting;        /* what ranks tell each other in a step */
} pha__lanes;

/* Of `lanes` lanes and `batch` sequences the share of this rank. losses: numbers that each lane sums. Fails if a number
 * does not divide another. */
pha_status pha__lanes_open(pha__lanes *l, pha__comm *comm, int lanes, int32_t batch, int losses);
/* Memory for the trees, once the store has gradients. */
pha_status pha__lanes_place(pha__lanes *l, pha__store *store);
void pha__lanes_close(pha__lanes *l); /* a zeroed one is allowed */

static inline int32_t pha__lanes_sequences(const pha__lanes *l) { return l->here * l->sequences; }
static inline int64_t pha__lanes_begin(const pha__lanes *l) { return (int64_t)l->first * l->sequences; }

/* The gradients of lane number k of this rank, 0, 1, ..., are in the store, the elements [begin, end) of their layout
 * (multiples of PHA__ADDER_UNIT): adds what can be added. After the last one the store has the sum of all there. */
pha_status pha__lanes_add(pha__lanes *l, int k, int64_t begin, int64_t end);

/* By all ranks, each with its outcome so far: all fail if one does, with its message. */
pha_status pha__lanes_count(pha__lanes *l, pha_status status, int64_t *count); /* the sum of all ranks' counts */
/* sums: of the lanes here, (here, losses), overwritten; total: of all lanes, by the tree. */
pha_status pha__lanes_total(pha__lanes *l, pha_status status, double *sums, double *total);

#endif
