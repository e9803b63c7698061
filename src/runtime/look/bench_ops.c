/* bench_ops.c -- timing of single ops inside a training step, and of the machine: multiply-adds, matrix
 * product, copy of memory */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/look/bench.h"
#include "runtime/train/optimizer.h"
#include "runtime/stop.h"

/* ---- the machine -------------------------------------------------------------------------------------- */

enum { RUNS = 7, EDGE = 1024 };

typedef struct product {
    pha__args args;
    void *scratch;
} product;

static pha_status open_product(product *j, pha__device *d, const void *kernel)
{
    size_t n = (size_t)EDGE * EDGE;
    float *numbers = pha__alloc(n, sizeof *numbers);
    if (!numbers) return PHA_NO_MEMORY;
    for (size_t i = 0; i < n; i++) numbers[i] = (float)(i % 251) * 0.01f - 1.25f;
    j->args = (pha__args){.B = 1, .T = EDGE, .n_in = 2};
    pha__view *views[] = {&j->args.in[0], &j->args.in[1], &j->args.out};
    pha_status status = PHA_OK;
    for (int i = 0; i < 3 && !status; i++) {
        *views[i] = (pha__view){pha__device_alloc(d, n * sizeof *numbers), EDGE, i == 1 ? EDGE : 0, EDGE, PHA__F32};
        status = views[i]->data ? pha__upload(d, views[i]->data, numbers, n * sizeof *numbers) : PHA_NO_MEMORY;
    }
    pha__free(numbers);
    TRY(status);
    pha__needs needs;
    TRY(d->backend->needs(d, kernel, &j->args, PHA__FORWARD, &needs));
    j->args.work = pha__device_alloc(d, needs.work);
    j->scratch = pha__device_alloc(d, needs.scratch);
    return j->args.work && j->scratch ? PHA_OK : PHA_NO_MEMORY;
}

static pha_status time_product(const product *j, pha__device *d, const void *kernel, double *best)
{
    for (int run = 0; run < RUNS; run++) {
        double seconds;
        TRY(d->backend->mark(d, 0));
        TRY(d->backend->run(d, kernel, &j->args, PHA__FORWARD, j->scratch));
        TRY(d->backend->mark(d, 1));
        TRY(d->backend->between(d, 0, 1, &seconds));
        double rate = 2.0 * EDGE * EDGE * EDGE / seconds;
        *best = rate > *best ? rate : *best;
    }
    return PHA_OK;
}

/* y (1024, 1024) = x (1024, 1024) W^T through the matmul op: the best of a few runs. */
static pha_status measure_product(pha__bench *b)
{
    product j = {0};
    pha__device *d = b->device;
    const void *kernel = d->backend->kernel(d, "matmul");
    pha_status status = open_product(&j, d, kernel);
    if (!status) status = time_product(&j, d, kernel, &b->product);
    pha__device_free(d, j.args.in[0].data);
    pha__device_free(d, j.args.in[1].data);
    pha__device_free(d, j.args.out.data);
    pha__device_free(d, j.args.work);
    pha__device_free(d, j.scratch);
    return status;
}

pha_status pha__bench_machine(pha__bench *b)
{
    pha__ceiling can;
    pha_status status = b->device->backend->ceiling(b->device, &can);
    if (!status) status = measure_product(b);
    if (status) return pha__fail(status, "no memory to measure the machine with");
    b->peak = can.flops > 0 ? can.flops : NAN, b->copy = can.bytes > 0 ? can.bytes : NAN; /* 0: not known of a card */
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
    *row_of(b, "sum_squares", "forward") = (pha__bench_op){"sum_squares", "forward", 1, 0, 2 * n, 4 * n, 0};
    *row_of(b, "adamw", "forward") = (pha__bench_op){"adamw", "forward", 2, 0, 14 * n, 28 * n, 0};
}

typedef struct trial {
    pha__bench_training of;
    double *times; /* (rows of the table + 1, repeats) */
} trial;

/* One step; run r of the times, r < 0: not kept. */
static pha_status one_step(pha__bench *b, trial *t, const pha__program *p, int r)
{
    static const pha__adam adam = {.lr = 1e-5, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .decay = 0.1};
    pha__run run = {.tokens = b->ids, .targets = b->ids + 1,
                    .loss_scale = 1.0f / ((float)p->options.B * (float)p->options.T)};
    double sums[PHA__BENCH_OPS] = {0}, begin = pha__seconds();
    pha__exec_profile(t->of.exec, true);
    TRY(pha__exec_run(t->of.exec, p->options.B, p->options.T, &run, NULL, false));
    double update = pha__seconds();
    double norm;
    TRY(pha__gradient_norm(&t->of.optimizer, &norm));
    double normed = pha__seconds();
    TRY(pha__adam_step(&t->of.optimizer, &adam, norm > 1 ? 1 / norm : 1));
    double end = pha__seconds();
    const double *times = pha__exec_times(t->of.exec);
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
    TRY(pha__bench_open_training(b, p, &t->of));
    t->times = pha__alloc_zero((size_t)(b->n_op + 1) * (size_t)b->o.repeats, sizeof *t->times);
    return t->times ? PHA_OK : PHA_NO_MEMORY;
}

/* What algorithms.md 10 expects of a step whose products run as fast as they do here. */
static void expect(pha__bench *b)
{
    double flops = 0, seconds = 0;
    for (int i = 0; i < b->n_op; i++)
        if (!strcmp(b->op[i].op, "matmul")) flops += b->op[i].flops, seconds += b->op[i].seconds;
    double rate = seconds > 0 && flops > 0 ? flops / seconds : b->product;
    for (int i = 0; i < b->n_op; i++) {
        pha__bench_op *row = &b->op[i];
        row->expected = fmax(row->flops / rate, row->bytes / b->copy); /* of a card the copy is not known: NaN */
    }
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
    expect(b);
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
    pha_status status = pha__memory_of(&m, p, b->device);
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
    pha__bench_close_training(&t.of);
    pha__free(t.times);
    pha__program_close(p);
    return status;
}
