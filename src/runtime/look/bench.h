/* bench.h -- what the parts of pha_bench share: the machine's speed, the model that is timed, results */
#ifndef PHA__BENCH_H
#define PHA__BENCH_H

#include "base/clock.h"
#include "runtime/look/cost.h"
#include "runtime/train/optimizer.h"

#define PHA__BENCH_CONTEXTS 32
#define PHA__BENCH_CELLS (3 * PHA__BENCH_CONTEXTS)

typedef struct pha__bench_cell { /* one line of the table */
    const char *what;      /* train, prefill, decode */
    int32_t context;
    int runs;
    double seconds;        /* median of a run */
    double tokens, flops;  /* of a run; flops of the cost model */
    double bytes;          /* weights and state that a run moves; 0: not counted (train, prefill) */
    pha__memory memory;
    char skipped[160];     /* why there is no number, or "" */
} pha__bench_cell;

typedef struct pha__bench_op { /* one op and pass of a training step */
    const char *op, *pass;
    int steps;
    double seconds, flops, bytes;
    double expected; /* seconds at the rate of this step's products or at that of a copy, whichever takes longer */
} pha__bench_op;

#define PHA__BENCH_OPS 64

typedef struct pha__bench {
    pha_bench_options o;   /* defaults resolved */
    bool ops, train, prefill, decode;
    int32_t contexts[PHA__BENCH_CONTEXTS];
    pha__config config;
    pha__program *names;
    pha__device *device;
    pha__weights weights;  /* random ones for streaming; training has its own */
    int32_t *ids;          /* random tokens, batch * longest context + 1 */
    double peak;           /* FLOP/s of multiply-adds that stay in registers, all threads */
    double product, copy;  /* FLOP/s of our matrix product, bytes/s of a copy (read and write counted) */
    pha__bench_cell cells[PHA__BENCH_CELLS];
    int n_cells;
    pha__bench_op op[PHA__BENCH_OPS];
    int n_op;
    bool usual;            /* the contexts are not the caller's */
    int32_t op_context;
    double op_step;        /* seconds of the whole step whose ops are listed */
} pha__bench;

/* Shared by all (bench_shared.c). */
double pha__bench_median(double *x, int n); /* sorts x */
void pha__bench_say(const pha__bench *b, const char *what, int32_t context, int done);

/* Random weights, their gradients and moments, and the executor of a training program over them. */
typedef struct pha__bench_training {
    pha__store *store;
    pha__optimizer optimizer;
    pha__exec *exec;
} pha__bench_training;
pha_status pha__bench_open_training(const pha__bench *b, pha__program *p, pha__bench_training *t);
void pha__bench_close_training(pha__bench_training *t);
/* A training step: forward, backward, global norm, AdamW. */
pha_status pha__bench_train(pha__bench *b, int32_t context);
/* Reading a prompt of `context` tokens, then single tokens behind it, as far as they are asked for. */
pha_status pha__bench_stream(pha__bench *b, int32_t context);
/* Every op of a training step. */
pha_status pha__bench_ops(pha__bench *b);
/* b->peak, b->product and b->copy. */
pha_status pha__bench_machine(pha__bench *b);

#endif
