/* muon_test.c -- three steps against doubles, matrices of either shape, the bf16 copy, zeros */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/simd.h"
#include "ops/harness.h"
#include "ops/muon/muon.h"

/* o (rows, width) = u, orthogonal: the definition as it stands, in double. Used by the trainer's tests too. */
void pha__muon_reference(double *o, const double *u, int rows, int width);
void pha__muon_reference(double *o, const double *u, int rows, int width)
{
    int turned = rows > width, m = turned ? width : rows, n = turned ? rows : width;
    size_t size = (size_t)m * (size_t)n, square = (size_t)m * (size_t)m;
    double *x = calloc(2 * size + 2 * square, sizeof *x), *y = x + size, *g = y + size, *gg = g + square, norm = 0;
    for (size_t i = 0; i < size; i++) norm += u[i] * u[i];
    norm = sqrt(norm);
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) x[i * n + j] = norm > 0 ? (turned ? u[j * m + i] : u[i * n + j]) / norm : 0;
    for (int round = 0; round < 5; round++) {
        memset(g, 0, 2 * square * sizeof *g);
        for (int i = 0; i < m; i++)
            for (int j = 0; j < m; j++)
                for (int k = 0; k < n; k++) g[i * m + j] += x[i * n + k] * x[j * n + k];
        for (int i = 0; i < m; i++)
            for (int k = 0; k < m; k++)
                for (int j = 0; j < m; j++) gg[i * m + j] += g[i * m + k] * g[k * m + j];
        for (int i = 0; i < m; i++)
            for (int j = 0; j < n; j++) {
                double sum = 3.4445 * x[i * n + j];
                for (int k = 0; k < m; k++) sum += (-4.7750 * g[i * m + k] + 2.0315 * gg[i * m + k]) * x[k * n + j];
                y[i * n + j] = sum;
            }
        memcpy(x, y, size * sizeof *x);
    }
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) o[turned ? j * m + i : i * n + j] = x[i * n + j];
    free(x);
}

typedef struct matrix {
    int rows, width;
    float *p, *g, *m;
    uint16_t *copy;
    double *rp, *rm, *u, *o; /* of the reference */
} matrix;

static int64_t size(const matrix *x) { return (int64_t)x->rows * x->width; }

static void open_matrix(matrix *x, int rows, int width)
{
    *x = (matrix){.rows = rows, .width = width};
    size_t n = (size_t)size(x) + 16; /* the last 16 must not be touched */
    pha__random r = 3;
    x->p = calloc(3 * n, sizeof *x->p), x->g = x->p + n, x->m = x->g + n;
    x->rp = calloc(4 * n, sizeof *x->rp), x->rm = x->rp + n, x->u = x->rm + n, x->o = x->u + n;
    x->copy = calloc(n, sizeof *x->copy);
    for (int64_t i = 0; i < size(x); i++) x->rp[i] = x->p[i] = 0.02f * pha__random_normal(&r);
}

static void close_matrix(matrix *x)
{
    free(x->p), free(x->rp), free(x->copy);
}

static void step(const pha__kernel *kernel, matrix *x, const pha__muon_attr *attr, const pha__run *run,
                 pha__order order, bool copy)
{
    pha__view v = {.ld = x->width, .rows = x->rows, .width = x->width, .dtype = PHA__F32};
    pha__args a = {.B = 1, .T = 1, .n_in = 3, .in = {v, v, v}, .out = v, .attr = attr, .run = run};
    a.in[0].data = x->p, a.in[1].data = x->g, a.in[2].data = x->m;
    a.out.dtype = PHA__BF16, a.out.data = copy ? x->copy : NULL;
    pha__run_kernel(kernel, &a, NULL, PHA__FORWARD, order);
}

static void reference(matrix *x, const pha__muon_attr *t, const pha__run *run)
{
    double lr = run->update.lr, rate = lr * 0.2 * sqrt(x->rows > x->width ? x->rows : x->width);
    for (int64_t i = 0; i < size(x); i++) {
        double g = (double)run->update.scale * x->g[i];
        x->rm[i] = t->momentum * x->rm[i] + g;
        x->u[i] = g + t->momentum * x->rm[i];
    }
    pha__muon_reference(x->o, x->u, x->rows, x->width);
    for (int64_t i = 0; i < size(x); i++) x->rp[i] += -lr * t->decay * x->rp[i] - rate * x->o[i];
}

static void check_size(const pha__kernel *kernel, int rows, int width)
{
    static const pha__muon_attr attr = {.momentum = 0.95f, .decay = 0.1f};
    static const pha__limits limits = PHA__LIMITS(1e-6, 1e-5, 0, 0);
    matrix x, y; /* y: the same with other orders of the tasks */
    open_matrix(&x, rows, width);
    open_matrix(&y, rows, width);
    pha__random r = 5;
    double e2, emax;
    for (int k = 1; k <= 3; k++) {
        pha__run now = {.update = {.lr = 3e-2f, .scale = 0.7f}};
        for (int64_t i = 0; i < size(&x); i++) x.g[i] = y.g[i] = i % 7 ? 1e-3f * pha__random_normal(&r) : 0;
        reference(&x, &attr, &now);
        step(kernel, &x, &attr, &now, PHA__ONE_BY_ONE, true);
        step(kernel, &y, &attr, &now, k == 1 ? PHA__BACKWARDS : k == 2 ? PHA__RANGES : PHA__THREADS, false);
        pha__errors(x.p, x.rp, size(&x), &limits, &e2, &emax);
        pha__check(e2 <= 2e-5 && emax <= 2e-4, "%d x %d, step %d: p: E2 %.2e, Emax %.2e", rows, width, k, e2, emax);
        pha__errors(x.m, x.rm, size(&x), &limits, &e2, &emax);
        pha__check(e2 <= 1e-6, "%d x %d, step %d: m: E2 %.2e", rows, width, k, e2);
    }
    size_t all = 3 * ((size_t)size(&x) + 16) * sizeof *x.p;
    pha__check(memcmp(x.p, y.p, all) == 0, "%d x %d: other bits with another order of tasks or without a copy", rows,
               width);
    bool copied = true, beyond = true;
    for (int64_t i = 0; i < size(&x); i++) copied &= x.copy[i] == f32_to_bf16(x.p[i]);
    for (int64_t i = size(&x); i < size(&x) + 16; i++) beyond &= x.p[i] == 0 && x.m[i] == 0 && x.copy[i] == 0;
    pha__check(copied, "%d x %d: the bf16 copy is not p rounded", rows, width);
    pha__check(beyond, "%d x %d: wrote beyond the end", rows, width);
    close_matrix(&x);
    close_matrix(&y);
}

/* The rows of what comes out are about orthonormal: singular values end between 0.68 and 1.13. */
static void check_orthogonal(const pha__kernel *kernel)
{
    enum { ROWS = 24, WIDTH = 100 };
    static const pha__muon_attr attr = {.momentum = 0.95f};
    const pha__run now = {.update = {.lr = 1, .scale = 1}};
    matrix x;
    pha__random r = 9;
    open_matrix(&x, ROWS, WIDTH);
    for (int i = 0; i < ROWS * WIDTH; i++) x.p[i] = 0, x.g[i] = pha__random_normal(&r);
    step(kernel, &x, &attr, &now, PHA__ONE_BY_ONE, false);
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j <= i; j++) {
            double dot = 0;
            for (int k = 0; k < WIDTH; k++) dot += (double)x.p[i * WIDTH + k] * x.p[j * WIDTH + k] / (0.04 * WIDTH);
            pha__check(fabs(dot - (i == j)) < 0.6, "rows %d and %d of an update have the product %g", i, j, dot);
        }
    close_matrix(&x);
}

/* Without a gradient nothing but decay happens; a huge or tiny one is of no consequence. */
static void check_zero(const pha__kernel *kernel)
{
    static const pha__muon_attr attr = {.momentum = 0.95f, .decay = 0.5f};
    const pha__run now = {.update = {.lr = 0.5f, .scale = 1}};
    matrix x, y, z;
    open_matrix(&x, 5, 9);
    open_matrix(&y, 5, 9);
    open_matrix(&z, 5, 9);
    step(kernel, &x, &attr, &now, PHA__ONE_BY_ONE, false);
    for (int i = 0; i < 45; i++) pha__check(x.p[i] == 0.75f * y.p[i], "zero gradient: p is %g", (double)x.p[i]);
    for (int i = 0; i < 45; i++) y.g[i] = ldexpf((float)(i % 7) - 3, 60), z.g[i] = ldexpf((float)(i % 7) - 3, -60);
    step(kernel, &y, &attr, &now, PHA__ONE_BY_ONE, false);
    step(kernel, &z, &attr, &now, PHA__ONE_BY_ONE, false);
    pha__check(memcmp(y.p, z.p, 45 * sizeof *y.p) == 0, "the size of a gradient matters");
    close_matrix(&x), close_matrix(&y), close_matrix(&z);
}

static void extra(const pha__kernel *kernel)
{
    check_size(kernel, 1, 1);
    check_size(kernel, 1, 15);
    check_size(kernel, 7, 1);
    check_size(kernel, 33, 33);
    check_size(kernel, 16, 40);
    check_size(kernel, 70, 17);
    check_size(kernel, 65, 130);
    check_size(kernel, 200, 76);
    check_orthogonal(kernel);
    check_zero(kernel);
}

const pha__op_test pha__test_muon = {.op = &pha__op_muon, .extra = extra};
