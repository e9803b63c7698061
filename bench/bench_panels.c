/* bench_panels.c -- the matrix product over weights in rows and in panels of every format, on the shapes of PHA-125M
 *
 *   bench_panels [threads [megabytes [repeats [rows]]]]     defaults: 1, 256, 5, and 1, 2, 16, 256 rows
 *
 * A model reads each of its weights once per token, so a weight is cold when its turn comes: for few rows as many
 * copies of it as fill `megabytes` take turns. Runs of the formats alternate; medians. For few rows GB/s of the weights
 * as they are stored, which is what limits them; else GFLOP/s. PHA_ISA chooses the instruction set.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/detect.h"
#include "base/clock.h"
#include "base/format.h"
#include "base/threads.h"
#include "ops/matmul/matmul.h"

static pha__pool *pool;
static const pha__kernel *kernel;
static char *scratch;
static size_t scratch_size; /* of one thread */

static void run_tasks(void *args, int64_t begin, int64_t end, int worker)
{
    kernel->forward(args, 0, begin, end, scratch + (size_t)worker * scratch_size);
}

static void run(pha__args *a) { pha__pool_run(pool, kernel->tasks(a, PHA__FORWARD, 0), run_tasks, a); }

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static float *floats(size_t n)
{
    float *x = aligned_alloc(64, (n * 4 + 63) / 64 * 64);
    if (!x) exit(fprintf(stderr, "bench_panels: no memory\n"));
    for (size_t i = 0; i < n; i++) x[i] = (float)((i * 2654435761u >> 8 & 0xffff)) / 65536.0f - 0.5f;
    return x;
}

typedef struct side {
    pha__args args;
    float *weights; /* copies of the weight, one after the other */
    size_t size;    /* floats of one */
    double seconds[101];
} side;

static void side_open(side *s, pha__dtype format, int m, int n, int k, size_t copies)
{
    *s = (side){.args = {.B = m, .T = 1, .n_in = 2}, .size = pha__format_bytes(format, n, k) / 4};
    s->weights = floats(s->size * copies);
    s->args.in[0] = (pha__view){floats((size_t)m * (size_t)k), k, 0, k, PHA__F32};
    s->args.in[1] = (pha__view){s->weights, k, n, k, format};
    s->args.out = (pha__view){floats((size_t)m * (size_t)n), n, 0, n, PHA__F32};
}

static void side_time(side *s, int turn, size_t copies)
{
    double begin = pha__seconds();
    for (size_t i = 0; i < copies; i++) {
        s->args.in[1].data = s->weights + i * s->size;
        run(&s->args);
    }
    s->seconds[turn] = (pha__seconds() - begin) / (double)copies;
}

static void side_close(side *s)
{
    free(s->weights);
    free(s->args.in[0].data);
    free(s->args.out.data);
}

static const pha__dtype formats[] = {PHA__F32,       PHA__F32_PANEL, PHA__BF16_PANEL,
                                     PHA__F16_PANEL, PHA__Q8_PANEL,  PHA__Q4_PANEL};
enum { SIDES = sizeof formats / sizeof *formats, FEW = 16 };

static void compare(int m, int n, int k, size_t megabytes, int repeats)
{
    static side sides[SIDES];
    size_t copies[SIDES];
    for (int i = 0; i < SIDES; i++) {
        copies[i] = m > FEW ? 1 : megabytes * 1000000 / pha__format_bytes(formats[i], n, k) + 1;
        side_open(&sides[i], formats[i], m, n, k, copies[i]);
    }
    scratch_size = (kernel->scratch(&sides[0].args, PHA__FORWARD) + 63) / 64 * 64;
    scratch = aligned_alloc(64, scratch_size * (size_t)pha__pool_threads(pool));
    for (int turn = -1; turn < repeats; turn++)
        for (int i = 0; i < SIDES; i++) side_time(&sides[i], turn < 0 ? 0 : turn, copies[i]);
    printf("%5d %7d x %5d", m, n, k);
    for (int i = 0; i < SIDES; i++) {
        qsort(sides[i].seconds, (size_t)repeats, sizeof(double), by_value);
        double amount = m > FEW ? 2.0 * m * n * k : (double)pha__format_bytes(formats[i], n, k);
        printf(" %9.1f", amount / sides[i].seconds[repeats / 2] * 1e-9);
        side_close(&sides[i]);
    }
    printf(" %s\n", m > FEW ? "GF/s" : "GB/s");
    fflush(stdout);
    free(scratch);
}

int main(int argc, char **argv)
{
    static const int shapes[][2] = {{6640, 608}, {608, 608},  {608, 416},  {608, 1632},
                                    {2432, 608}, {608, 1216}, {50257, 608}};
    static const int rows[] = {1, 2, 16, 256};
    int threads = argc > 1 ? atoi(argv[1]) : 1, megabytes = argc > 2 ? atoi(argv[2]) : 256;
    int repeats = argc > 3 ? atoi(argv[3]) : 5;
    int only = argc > 4 ? atoi(argv[4]) : 0;
    if (threads < 1 || megabytes < 0 || repeats < 1 || repeats > 101 || only < 0)
        return fprintf(stderr, "bench_panels: bad number\n"), 2;
    if (pha__cpu_select() != PHA_OK || pha__pool_open(&pool, threads) != PHA_OK)
        return fprintf(stderr, "bench_panels: %s\n", pha_errmsg()), 2;
    kernel = pha__cpu_kernel(pha__cpu_set(""), "matmul");
    printf("%s, %d threads\n%5s %7s   %5s", pha__cpu_isa(), threads, "m", "n", "k");
    for (int i = 0; i < SIDES; i++) printf(" %9.9s", pha__format_of(formats[i])->name);
    printf("\n");
    for (size_t i = 0; i < (only ? 1 : sizeof rows / sizeof *rows); i++)
        for (size_t j = 0; j < sizeof shapes / sizeof *shapes; j++)
            compare(only ? only : rows[i], shapes[j][0], shapes[j][1], (size_t)megabytes, repeats);
    pha__pool_close(pool);
    return 0;
}
