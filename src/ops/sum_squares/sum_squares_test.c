/* sum_squares_test.c -- against sums in double; NaN and infinity anywhere show in their segment and in no other */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/harness.h"
#include "ops/sum_squares/sum_squares.h"

enum { N = 7 };
static const int64_t sizes[N] = {1, 31, 4096, 4097, 182700, 4095, 8192};

static int64_t lay_out(pha__sum_squares_attr *attr, pha__segment *segments)
{
    int64_t at = 0;
    for (int i = 0; i < N; i++) {
        pha__add_segment(attr, segments, at, sizes[i]);
        at += (sizes[i] + 1 + 31) / 32 * 32; /* always a gap */
    }
    return at;
}

static void run(const pha__kernel *kernel, const pha__sum_squares_attr *attr, float *g, int64_t n, double *result,
                pha__order order)
{
    pha__args a = {.B = 1, .T = 1, .n_in = 1, .attr = attr, .saved = (float *)result};
    a.in[0] = (pha__view){.data = g, .ld = 32, .rows = (int32_t)(n / 32), .width = 32, .dtype = PHA__F32};
    for (int i = 0; i < N; i++) result[i] = -1;
    pha__run_kernel(kernel, &a, NULL, PHA__FORWARD, order);
}

static void extra(const pha__kernel *kernel)
{
    pha__segment segments[N];
    pha__sum_squares_attr attr = {0};
    int64_t n = lay_out(&attr, segments);
    float *g = malloc((size_t)n * sizeof *g);
    double sum[N] = {0}, x[N], y[N];
    pha__random r = 17;
    for (int64_t i = 0; i < n; i++) g[i] = NAN; /* gaps are not to be read */
    for (int s = 0; s < N; s++)
        for (int64_t i = 0; i < sizes[s]; i++) {
            float v = g[segments[s].begin + i] = pha__random_normal(&r) * (float)(s + 1);
            sum[s] += (double)v * v;
        }
    run(kernel, &attr, g, n, x, PHA__ONE_BY_ONE);
    for (int s = 0; s < N; s++)
        pha__check(fabs(x[s] - sum[s]) <= 1e-6 * sum[s], "segment %d: %.9g instead of %.9g", s, x[s], sum[s]);
    for (pha__order order = PHA__BACKWARDS; order <= PHA__THREADS; order++) {
        run(kernel, &attr, g, n, y, order);
        pha__check(memcmp(x, y, sizeof x) == 0, "other bits in another order of tasks");
    }
    for (int k = 0; k < 40; k++) {
        int s = k % N;
        int64_t at = k < N ? 0 : k < 2 * N ? sizes[s] - 1 : pha__random_below(&r, (int)sizes[s]);
        float *bad = g + segments[s].begin + at, keep = *bad;
        *bad = k % 2 ? NAN : -INFINITY;
        run(kernel, &attr, g, n, y, PHA__ONE_BY_ONE);
        for (int i = 0; i < N; i++)
            pha__check(isfinite(y[i]) == (i != s), "segment %d shows a bad element %lld of segment %d wrongly", i,
                       (long long)at, s);
        *bad = keep;
    }
    free(g);
}

const pha__op_test pha__test_sum_squares = {.op = &pha__op_sum_squares, .extra = extra};
