/* bench_ops.c -- timing of single ops inside a training step, and of the machine: multiply-adds, matrix
 * product, copy of memory */
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/detect.h"
#include "runtime/look/bench.h"
#include "runtime/train/optimizer.h"
#include "runtime/stop.h"

/* ---- the machine -------------------------------------------------------------------------------------- */

typedef struct product {
    const pha__kernel *kernel;
    const pha__args *args;
    char *scratch;
    size_t scratch_size;
    int phase;
} product;

static void product_tasks(void *context, int64_t begin, int64_t end, int worker)
{
    const product *j = context;
    j->kernel->forward(j->args, j->phase, begin, end, j->scratch + (size_t)worker * j->scratch_size);
}

#define RUNS 7
#define PEAK_TASKS 64 /* of a millisecond or two */

static void peak_tasks(void *context, int64_t begin, int64_t end, int worker)
{
    double *flops = context;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        float seed[3] = {0.5f, 0.25f, 0};
        flops[i] = pha__cpu_peak()(200000, seed);
    }
}

/* Fused multiply-adds on all threads: the best of a few runs. */
static void time_peak(pha__bench *b)
{
    double flops[PEAK_TASKS];
    for (int run = 0; run < RUNS; run++) {
        double begin = pha__seconds(), sum = 0;
        pha__pool_run(b->pool, PEAK_TASKS, peak_tasks, flops);
        double seconds = pha__seconds() - begin;
        for (int i = 0; i < PEAK_TASKS; i++) sum += flops[i];
        b->peak = sum / seconds > b->peak ? sum / seconds : b->peak;
    }
}

#define EDGE 1024

/* y (1024, 1024) = x (1024, 1024) W^T through the matmul op, on all threads: the best of a few runs. */
static pha_status time_product(pha__bench *b)
{
    size_t n = (size_t)EDGE * EDGE;
    float *data = pha__alloc(3 * n, sizeof *data);
    pha__args a = {.B = 1, .T = EDGE, .n_in = 2};
    product j = {.kernel = pha__cpu_kernel(&pha__op_matmul), .args = &a};
    if (!data) return PHA_NO_MEMORY;
    for (size_t i = 0; i < 3 * n; i++) data[i] = (float)(i % 251) * 0.01f - 1.25f;
    a.in[0] = (pha__view){data, EDGE, 0, EDGE, PHA__F32};
    a.in[1] = (pha__view){data + n, EDGE, EDGE, EDGE, PHA__F32};
    a.out = (pha__view){data + 2 * n, EDGE, 0, EDGE, PHA__F32};
    j.scratch_size = j.kernel->scratch ? (j.kernel->scratch(&a, PHA__FORWARD) + 63) / 64 * 64 : 0;
    j.scratch = pha__alloc((size_t)pha__pool_threads(b->pool), j.scratch_size + 64);
    size_t work = j.kernel->work ? j.kernel->work(&a, PHA__FORWARD) : 0;
    a.work = pha__alloc(work + 1, 1);
    double best = 0;
    for (int run = 0; run < RUNS && j.scratch && a.work; run++) {
        double begin = pha__seconds();
        for (j.phase = 0;; j.phase++) {
            int64_t tasks = j.kernel->tasks(&a, PHA__FORWARD, j.phase);
            if (!tasks) break;
            pha__pool_run(b->pool, tasks, product_tasks, &j);
        }
        double rate = 2.0 * EDGE * EDGE * EDGE / (pha__seconds() - begin);
        best = rate > best ? rate : best;
    }
    bool ok = j.scratch && a.work;
    pha__free(data);
    pha__free(j.scratch);
    pha__free(a.work);
    b->product = best;
    return ok ? PHA_OK : PHA_NO_MEMORY;
}

typedef struct copying {
    char *to, *from;
    size_t piece;
} copying;

static void copy_tasks(void *context, int64_t begin, int64_t end, int worker)
{
    const copying *c = context;
    (void)worker;
    memcpy(c->to + (size_t)begin * c->piece, c->from + (size_t)begin * c->piece, (size_t)(end - begin) * c->piece);
}

static pha_status time_copy(pha__bench *b)
{
    enum { PIECES = 128 };
    copying c = {.piece = (size_t)1 << 20};
    c.to = pha__alloc_zero(PIECES, c.piece), c.from = pha__alloc_zero(PIECES, c.piece);
    for (int run = 0; run < RUNS && c.to && c.from; run++) {
        double begin = pha__seconds();
        pha__pool_run(b->pool, PIECES, copy_tasks, &c);
        double rate = 2.0 * PIECES * (double)c.piece / (pha__seconds() - begin);
        b->copy = rate > b->copy ? rate : b->copy;
    }
    bool ok = c.to && c.from;
    pha__free(c.to);
    pha__free(c.from);
    return ok ? PHA_OK : PHA_NO_MEMORY;
}

pha_status pha__bench_machine(pha__bench *b)
{
    time_peak(b);
    pha_status status = time_product(b);
    if (!status) status = time_copy(b);
    if (status) return pha__fail(status, "no memory to measure the machine with");
    return PHA_OK;
}

/* ---- ops ---------------------------------------------------------------------------------------------- */

static pha__bench_op *row_of(pha__bench *b, const char *op, const char *pass)
{
    for (int i = 0; i < b->n_op; i++)
        if (!strcmp(b->op[i].op, op) && !strcmp(b->op[i].pass, pass)) return &b->op[i];
    if (b->n_op == PHA__BENCH_OPS) return &b->op[PHA__BENCH_OPS - 1];
    b->op[b->n_op] = (pha__bench_op){.op = op, .pass = pass};
    return &b->op[b->n_op++];
}

/* Adds the steps of a program: numbers, operations and bytes, without times. */
static void list_steps(pha__bench *b, const pha__program *p)
{
    for (int i = 0; i < p->n_steps; i++) {
        const pha__plan_step *s = &p->steps[i];
        pha__bench_op *row = row_of(b, s->node->op->name, s->pass == PHA__FORWARD ? "forward" : "backward");
        pha__shape shape;
        pha__shape_of(p, s->node, &shape);
        double values, weights;
        pha__step_traffic(p, s, &values, &weights);
        row->steps++;
        row->flops += s->node->op->flops ? s->node->op->flops(&shape, s->pass, 0) : 0;
        row->bytes += values + weights;
    }
}

/* The two ops that a trainer runs outside of the program. */
static void list_update(pha__bench *b, const pha__program *p)
{
    double n = (double)p->trainable;
    *row_of(b, "sum_squares", "forward") = (pha__bench_op){"sum_squares", "forward", p->n_params, 0, 2 * n, 4 * n};
    *row_of(b, "adamw", "forward") = (pha__bench_op){"adamw", "forward", p->n_params, 0, 14 * n, 28 * n};
}

typedef struct trial {
    pha__exec *exec;
    pha__optimizer optimizer;
    double *times; /* (rows of the table + 1, repeats) */
} trial;

/* One step; run r of the times, r < 0: not kept. */
static pha_status one_step(pha__bench *b, trial *t, const pha__program *p, int r)
{
    static const pha__adam adam = {.lr = 1e-5, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .decay = 0.1};
    pha__run run = {.tokens = b->ids, .targets = b->ids + 1,
                    .loss_scale = 1.0f / ((float)p->options.B * (float)p->options.T)};
    double sums[PHA__BENCH_OPS] = {0}, begin = pha__seconds();
    pha__exec_profile(t->exec, true);
    TRY(pha__exec_run(t->exec, p->options.B, p->options.T, &run, NULL, false));
    double update = pha__seconds();
    double norm = pha__gradient_norm(&t->optimizer), normed = pha__seconds();
    pha__adam_step(&t->optimizer, &adam, norm > 1 ? 1 / norm : 1);
    double end = pha__seconds();
    const double *times = pha__exec_times(t->exec);
    for (int i = 0; i < p->n_steps; i++) {
        const pha__plan_step *s = &p->steps[i];
        sums[row_of(b, s->node->op->name, s->pass == PHA__FORWARD ? "forward" : "backward") - b->op] += times[i];
    }
    sums[row_of(b, "sum_squares", "forward") - b->op] += normed - update;
    sums[row_of(b, "adamw", "forward") - b->op] += end - normed;
    for (int i = 0; i < b->n_op && r >= 0; i++) t->times[i * b->o.repeats + r] = sums[i];
    if (r >= 0) t->times[b->n_op * b->o.repeats + r] = end - begin;
    return PHA_OK;
}

static pha_status open_trial(trial *t, pha__bench *b, pha__program *p)
{
    TRY(pha__bench_open_training(b, p, &t->optimizer, &t->exec));
    t->times = pha__alloc_zero((size_t)(b->n_op + 1) * (size_t)b->o.repeats, sizeof *t->times);
    return t->times ? PHA_OK : PHA_NO_MEMORY;
}

static int by_time(const void *x, const void *y)
{
    double a = ((const pha__bench_op *)x)->seconds, b = ((const pha__bench_op *)y)->seconds;
    return a < b ? 1 : a > b ? -1 : 0;
}

static pha_status time_steps(pha__bench *b, trial *t, const pha__program *p)
{
    for (int r = -1; r < b->o.repeats; r++) {
        if (pha__stop_requested()) FAIL(STOPPED, "the benchmark was stopped");
        pha__bench_say(b, "ops", b->op_context, r < 0 ? 0 : r);
        TRY(one_step(b, t, p, r));
    }
    for (int i = 0; i < b->n_op; i++) b->op[i].seconds = pha__bench_median(t->times + i * b->o.repeats, b->o.repeats);
    b->op_step = pha__bench_median(t->times + b->n_op * b->o.repeats, b->o.repeats);
    qsort(b->op, (size_t)b->n_op, sizeof *b->op, by_time);
    return PHA_OK;
}

pha_status pha__bench_ops(pha__bench *b)
{
    pha__program_options options = {.B = b->o.batch, .T = b->op_context, .gradients = true,
                                    .dtype = b->o.precision == PHA_BF16 ? PHA__BF16 : PHA__F32};
    pha__program *p;
    TRY(pha__record(&p, &b->config, &options, PHA__HEAD_LOSS));
    trial t = {0};
    pha__memory m;
    pha_status status = pha__memory_of(&m, p, pha__pool_threads(b->pool));
    size_t have = pha__memory_free();
    if (!status && m.total > have)
        status = pha__fail(PHA_NO_MEMORY,
                           "the ops of a step of %d x %d need %.1f GB, %.1f GB are free; a smaller --context "
                           "or --batch needs less",
                           b->o.batch, b->op_context, (double)m.total / 1e9, (double)have / 1e9);
    list_steps(b, p);
    list_update(b, p);
    if (!status) status = open_trial(&t, b, p);
    if (!status) status = time_steps(b, &t, p);
    pha__exec_close(t.exec);
    pha__optimizer_close(&t.optimizer);
    pha__free(t.times);
    pha__program_close(p);
    return status;
}
