/* adamw_test.c -- three steps against doubles, sizes around the blocks and the vectors, the bf16 copy */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/simd.h"
#include "ops/harness.h"
#include "ops/adamw/adamw.h"

typedef struct parameter {
    int rows, width;
    float *p, *g, *m, *v;
    uint16_t *copy;
    double *rp, *rm, *rv, *update; /* the reference; update: what a step adds to p */
} parameter;

static int64_t size(const parameter *x) { return (int64_t)x->rows * x->width; }

static void open_parameter(parameter *x, int rows, int width)
{
    *x = (parameter){.rows = rows, .width = width};
    int64_t n = size(x) + 16; /* the last 16 must not be touched */
    x->p = calloc(4 * n, sizeof(float)), x->g = x->p + n, x->m = x->g + n, x->v = x->m + n;
    x->rp = calloc(4 * n, sizeof(double)), x->rm = x->rp + n, x->rv = x->rm + n, x->update = x->rv + n;
    x->copy = calloc(n, sizeof(uint16_t));
    pha__random r = 3;
    for (int64_t i = 0; i < size(x); i++) x->rp[i] = x->p[i] = pha__random_normal(&r) * 0.02f;
}

static void close_parameter(parameter *x)
{
    free(x->p);
    free(x->rp);
    free(x->copy);
}

static void step(const pha__kernel *kernel, parameter *x, const pha__adamw_attr *attr, const pha__run *run,
                 pha__order order, bool copy)
{
    pha__view v = {.ld = x->width, .rows = x->rows, .width = x->width, .dtype = PHA__F32};
    pha__args a = {.B = 1, .T = 1, .n_in = 4, .in = {v, v, v, v}, .out = v, .attr = attr, .run = run};
    a.in[0].data = x->p, a.in[1].data = x->g, a.in[2].data = x->m, a.in[3].data = x->v;
    a.out.dtype = PHA__BF16, a.out.data = copy ? x->copy : NULL;
    pha__run_kernel(kernel, &a, NULL, PHA__FORWARD, order);
}

static void reference(parameter *x, const pha__adamw_attr *t, const pha__run *run)
{
    double lr = fmin(run->update.lr, t->most);
    for (int64_t i = 0; i < size(x); i++) {
        double g = (double)run->update.scale * x->g[i];
        double before = x->rp[i];
        x->rm[i] = t->beta1 * x->rm[i] + (1 - (double)t->beta1) * g;
        x->rv[i] = t->beta2 * x->rv[i] + (1 - (double)t->beta2) * g * g;
        x->rp[i] -= lr * t->decay * x->rp[i];
        x->rp[i] -= lr * (x->rm[i] / run->update.c1) / (sqrt(x->rv[i] / run->update.c2) + t->eps);
        x->update[i] = x->rp[i] - before;
    }
}

static void check_size(const pha__kernel *kernel, int rows, int width)
{
    parameter x, y; /* y: the same with other orders of the tasks */
    open_parameter(&x, rows, width);
    open_parameter(&y, rows, width);
    static const pha__limits limits = PHA__LIMITS(1e-6, 1e-5, 0, 0);
    pha__random r = 5;
    for (int k = 1; k <= 3; k++) {
        pha__adamw_attr attr = {.beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f, .decay = k == 2 ? 0 : 0.1f,
                                .most = k == 1 ? INFINITY : 3e-2f};
        pha__run now = {.update = {.lr = 5e-2f, .scale = 0.7f, .c1 = (float)(1 - pow(0.9, k)),
                                   .c2 = (float)(1 - pow(0.999, k))}};
        for (int64_t i = 0; i < size(&x); i++) x.g[i] = y.g[i] = i % 7 ? pha__random_normal(&r) : 0;
        reference(&x, &attr, &now);
        float *update = malloc((size_t)size(&x) * sizeof *update); /* minus p before the step, then of the kernel */
        for (int64_t i = 0; i < size(&x); i++) update[i] = -x.p[i];
        step(kernel, &x, &attr, &now, PHA__ONE_BY_ONE, true);
        step(kernel, &y, &attr, &now, k == 1 ? PHA__BACKWARDS : k == 2 ? PHA__RANGES : PHA__THREADS, false);

        double e2, emax;
        for (int64_t i = 0; i < size(&x); i++) update[i] += x.p[i];
        pha__errors(update, x.update, size(&x), &limits, &e2, &emax);
        /* a single element has a gradient of 0 here: its update is hardly larger than the rounding of p */
        pha__check(e2 <= 1e-6 || size(&x) == 1, "%d x %d, step %d: update: E2 %.2e", rows, width, k, e2);
        free(update);
        pha__errors(x.p, x.rp, size(&x), &limits, &e2, &emax);
        pha__check(e2 <= 1e-6 && emax <= 1e-5, "%d x %d, step %d: p: E2 %.2e, Emax %.2e", rows, width, k, e2, emax);
        pha__errors(x.m, x.rm, size(&x), &limits, &e2, &emax);
        pha__check(e2 <= 1e-6, "%d x %d, step %d: m: E2 %.2e", rows, width, k, e2);
        pha__errors(x.v, x.rv, size(&x), &limits, &e2, &emax);
        pha__check(e2 <= 1e-6, "%d x %d, step %d: v: E2 %.2e", rows, width, k, e2);
    }
    size_t all = (size_t)(4 * (size(&x) + 16)) * sizeof(float);
    pha__check(memcmp(x.p, y.p, all) == 0, "%d x %d: other bits with another order of tasks or without a copy", rows,
               width);
    bool copied = true, beyond = true;
    for (int64_t i = 0; i < size(&x); i++) copied &= x.copy[i] == f32_to_bf16(x.p[i]);
    for (int64_t i = size(&x); i < size(&x) + 16; i++) {
        beyond &= x.p[i] == 0 && x.m[i] == 0 && x.v[i] == 0 && x.copy[i] == 0;
    }
    pha__check(copied, "%d x %d: the bf16 copy is not p rounded", rows, width);
    pha__check(beyond, "%d x %d: wrote beyond the end", rows, width);
    close_parameter(&x);
    close_parameter(&y);
}

static void extra(const pha__kernel *kernel)
{
    check_size(kernel, 1, 1);
    check_size(kernel, 1, 15);
    check_size(kernel, 1, 76);
    check_size(kernel, 64, 64);
    check_size(kernel, 17, 241); /* 4097 elements */
    check_size(kernel, 100, 608);
}

const pha__op_test pha__test_adamw = {.op = &pha__op_adamw, .extra = extra};
