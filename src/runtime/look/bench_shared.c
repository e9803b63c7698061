/* bench_shared.c -- what all benchmarks need: medians, progress, a training program to run */
#include <stdlib.h>

#include "base/print.h"

#include "runtime/look/bench.h"

static int ascending(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return a < b ? -1 : a > b ? 1 : 0;
}

double pha__bench_median(double *x, int n)
{
    if (n < 1) return 0;
    qsort(x, (size_t)n, sizeof *x, ascending);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

void pha__bench_say(const pha__bench *b, const char *what, int32_t context, int done)
{
    if (!b->o.progress) return;
    char line[80];
    pha__print(line, sizeof line, "%s, context %d: run %d of %d", what, context, done, b->o.repeats);
    pha_progress p = {"bench", "runs", line, done, b->o.repeats, 0, -1};
    b->o.progress(b->o.user, &p);
}

pha_status pha__bench_open_training(const pha__bench *b, pha__program *p, pha__bench_training *t)
{
    TRY(pha__store_open(&t->store, p, b->device));
    TRY(pha__optimizer_open(&t->optimizer, t->store, &(pha__optimizer_options){.half = b->o.precision == PHA_BF16}));
    TRY(pha__init_weights(t->store, 1));
    TRY(pha__optimizer_refresh(&t->optimizer));
    return pha__exec_open(&t->exec, p, t->store, b->device);
}

void pha__bench_close_training(pha__bench_training *t)
{
    pha__exec_close(t->exec);
    pha__optimizer_close(&t->optimizer);
    pha__store_close(t->store);
}
