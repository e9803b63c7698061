/* sum_squares_test.c -- against a sum in double; NaN and infinity anywhere show */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/harness.h"
#include "ops/sum_squares/sum_squares.h"

static double run(const pha__kernel *kernel, float *g, int rows, int width, pha__order order)
{
    double result = -1;
    pha__args a = {.B = 1, .T = 1, .n_in = 1, .saved = (float *)&result};
    a.in[0] = (pha__view){.data = g, .ld = width, .rows = rows, .width = width, .dtype = PHA__F32};
    pha__run_kernel(kernel, &a, NULL, PHA__FORWARD, order);
    return result;
}

static void check_size(const pha__kernel *kernel, int rows, int width)
{
    int64_t n = (int64_t)rows * width;
    float *g = malloc((size_t)(n + 16) * sizeof *g);
    double sum = 0;
    pha__random r = (pha__random)n;
    for (int64_t i = 0; i < n; i++) g[i] = pha__random_normal(&r), sum += (double)g[i] * g[i];
    for (int64_t i = n; i < n + 16; i++) g[i] = NAN; /* not to be read */

    double x = run(kernel, g, rows, width, PHA__ONE_BY_ONE);
    pha__check(fabs(x - sum) <= 1e-6 * sum, "%d x %d: %.9g instead of %.9g", rows, width, x, sum);
    for (pha__order order = PHA__BACKWARDS; order <= PHA__THREADS; order++) {
        double y = run(kernel, g, rows, width, order);
        pha__check(memcmp(&x, &y, sizeof x) == 0, "%d x %d: other bits in another order of tasks", rows, width);
    }
    for (int k = 0; k < 20; k++) {
        int64_t at = k == 0 ? 0 : k == 1 ? n - 1 : pha__random_below(&r, (int)n);
        float keep = g[at];
        g[at] = k % 2 ? NAN : -INFINITY;
        pha__check(!isfinite(run(kernel, g, rows, width, PHA__ONE_BY_ONE)), "%d x %d: a bad element %lld is not seen",
                   rows, width, (long long)at);
        g[at] = keep;
    }
    free(g);
}

static void extra(const pha__kernel *kernel)
{
    check_size(kernel, 1, 1);
    check_size(kernel, 1, 31);
    check_size(kernel, 64, 64);
    check_size(kernel, 17, 241); /* 4097 elements */
    check_size(kernel, 300, 609);
}

const pha__op_test pha__test_sum_squares = {.op = &pha__op_sum_squares, .extra = extra};
