/* bench_gemm.c -- the matrix product beside oneDNN's on the shapes of the models
 *
 *   bench_gemm [threads [shapes [repeats]]]     shapes: train, decode, loss or all (default); repeats: default 7
 *
 * For each shape the three products of a linear map Y = X W^T: forward, dX = dY W, dW = dY^T X. Runs of the two sides
 * alternate, so that a machine that changes its speed changes it for both; medians. Both run on the same OpenMP
 * threads: set OMP_PROC_BIND=true. PHA_ISA chooses our side's instruction set.
 */
#include <dnnl.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/cpu/detect.h"
#undef PHA__ISA
#define PHA__ISA generic
#include "backend/cpu/gemm.h"

typedef struct side {
    const char *isa;
    int64_t (*tasks)(const pha__gemm *);
    size_t (*scratch)(int64_t, int64_t, int64_t);
    void (*run)(const pha__gemm *, int64_t, int64_t, void *);
} side;

#define SIDE(isa)                                                             \
    extern int64_t pha__gemm_tasks_##isa(const pha__gemm *);                  \
    extern size_t pha__gemm_scratch_##isa(int64_t, int64_t, int64_t);         \
    extern void pha__gemm_run_##isa(const pha__gemm *, int64_t, int64_t, void *); \
    static const side side_##isa = {#isa, pha__gemm_tasks_##isa, pha__gemm_scratch_##isa, pha__gemm_run_##isa};
SIDE(generic)
#if PHA__HAVE_avx2
SIDE(avx2)
#endif
#if PHA__HAVE_avx512
SIDE(avx512)
#endif
static const side *const sides[] = {
    &side_generic,
#if PHA__HAVE_avx2
    &side_avx2,
#endif
#if PHA__HAVE_avx512
    &side_avx512,
#endif
};

#define DNN(call)                                                  \
    do {                                                           \
        dnnl_status_t status = (call);                             \
        if (status != dnnl_success) {                              \
            fprintf(stderr, "%s: oneDNN status %d\n", #call, status); \
            exit(1);                                               \
        }                                                          \
    } while (0)

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static const side *ours;
static int n_threads = 1, repeats = 7;
static char *scratch;
static size_t scratch_size;
static dnnl_engine_t engine;
static dnnl_stream_t stream;

static void run_ours(const pha__gemm *g)
{
    int64_t n = ours->tasks(g);
#pragma omp parallel for schedule(dynamic, 1) num_threads(n_threads)
    for (int64_t t = 0; t < n; t++) ours->run(g, t, t + 1, scratch + (size_t)omp_get_thread_num() * scratch_size);
}

typedef struct peer {
    dnnl_primitive_t primitive;
    dnnl_memory_t memory[3];
} peer;

static peer peer_open(const pha__gemm *g)
{
    peer p;
    dnnl_memory_desc_t d[3];
    DNN(dnnl_memory_desc_init_by_strides(&d[0], 2, (dnnl_dims_t){g->m, g->k}, dnnl_f32,
                                         (dnnl_dims_t){g->a_row, g->a_col}));
    DNN(dnnl_memory_desc_init_by_strides(&d[1], 2, (dnnl_dims_t){g->k, g->n}, dnnl_f32,
                                         (dnnl_dims_t){g->b_row, g->b_col}));
    DNN(dnnl_memory_desc_init_by_strides(&d[2], 2, (dnnl_dims_t){g->m, g->n}, dnnl_f32, (dnnl_dims_t){g->c_row, 1}));
    dnnl_matmul_desc_t desc;
    DNN(dnnl_matmul_desc_init(&desc, &d[0], &d[1], NULL, &d[2]));
    dnnl_primitive_desc_t pd;
    DNN(dnnl_primitive_desc_create(&pd, &desc, NULL, engine, NULL));
    DNN(dnnl_primitive_create(&p.primitive, pd));
    dnnl_primitive_desc_destroy(pd);
    void *data[3] = {(void *)g->a, (void *)g->b, g->c};
    for (int i = 0; i < 3; i++) DNN(dnnl_memory_create(&p.memory[i], &d[i], engine, data[i]));
    return p;
}

static void run_peer(const peer *p)
{
    dnnl_exec_arg_t args[3] = {
        {DNNL_ARG_SRC, p->memory[0]}, {DNNL_ARG_WEIGHTS, p->memory[1]}, {DNNL_ARG_DST, p->memory[2]}};
    DNN(dnnl_primitive_execute(p->primitive, stream, 3, args));
    DNN(dnnl_stream_wait(stream));
}

static void peer_close(peer *p)
{
    for (int i = 0; i < 3; i++) dnnl_memory_destroy(p->memory[i]);
    dnnl_primitive_destroy(p->primitive);
}

static double log_sum;
static int log_n;

static void compare(const char *what, const pha__gemm *g)
{
    peer p = peer_open(g);
    scratch_size = (ours->scratch(g->m, g->n, g->k) + 63) / 64 * 64;
    scratch = aligned_alloc(64, scratch_size * (size_t)n_threads);
    double flops = 2.0 * (double)g->m * (double)g->n * (double)g->k, a[101], b[101];
    int inner = flops > 1e8 ? 1 : (int)(1e8 / flops) + 1;
    run_ours(g);
    run_peer(&p);
    for (int r = 0; r < repeats; r++) {
        double t = now();
        for (int i = 0; i < inner; i++) run_ours(g);
        a[r] = now() - t;
        t = now();
        for (int i = 0; i < inner; i++) run_peer(&p);
        b[r] = now() - t;
    }
    qsort(a, (size_t)repeats, sizeof *a, by_value);
    qsort(b, (size_t)repeats, sizeof *b, by_value);
    double x = flops * inner / a[repeats / 2] * 1e-9, y = flops * inner / b[repeats / 2] * 1e-9;
    printf("%-7s %6ld x %6ld x %6ld %9.1f %9.1f %8.2f\n", what, (long)g->m, (long)g->n, (long)g->k, x, y, x / y);
    fflush(stdout);
    log_sum += __builtin_log(x / y);
    log_n++;
    free(scratch);
    peer_close(&p);
}

/* M tokens, N out, K in. */
static void linear(int64_t m, int64_t n, int64_t k, bool backward)
{
    size_t size[3] = {(size_t)(m * k), (size_t)(n * k), (size_t)(m * n)};
    float *f[3];
    for (int i = 0; i < 3; i++) {
        f[i] = aligned_alloc(64, (size[i] * 4 + 63) / 64 * 64);
        for (size_t j = 0; j < size[i]; j++) f[i][j] = (float)((j * 2654435761u >> 8 & 0xffff)) / 65536.0f - 0.5f;
    }
    compare("forward", &(pha__gemm){m, n, k, f[0], f[1], f[2], k, 1, 1, k, n, 0, 0, 0, false});
    if (backward) {
        compare("dX", &(pha__gemm){m, k, n, f[2], f[1], f[0], n, 1, k, 1, k, 0, 0, 0, false});
        compare("dW", &(pha__gemm){n, k, m, f[2], f[0], f[1], 1, n, k, 1, k, 0, 0, 0, false});
    }
    for (int i = 0; i < 3; i++) free(f[i]);
}

int main(int argc, char **argv)
{
    n_threads = argc > 1 ? atoi(argv[1]) : 1;
    const char *set = argc > 2 ? argv[2] : "all";
    repeats = argc > 3 ? atoi(argv[3]) : 7;
    if (n_threads < 1 || repeats < 1 || repeats > 101) return fprintf(stderr, "bench_gemm: bad number\n"), 2;
    if (pha__cpu_select() != PHA_OK) return fprintf(stderr, "bench_gemm: %s\n", pha_errmsg()), 2;
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++)
        if (!strcmp(sides[i]->isa, pha__cpu_isa())) ours = sides[i];
    if (!ours) return fprintf(stderr, "bench_gemm: no kernel for %s\n", pha__cpu_isa()), 1;
    omp_set_num_threads(n_threads);
    DNN(dnnl_engine_create(&engine, dnnl_cpu, 0));
    DNN(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags));

    bool all = !strcmp(set, "all");
    printf("%s, %d threads, fp32\n%-7s %6s   %6s   %6s %9s %9s %8s\n", ours->isa, n_threads, "", "m", "n", "k",
           "pha GF/s", "dnnl GF/s", "ratio");
    if (all || !strcmp(set, "train")) {
        static const int64_t shapes[][3] = {{1024, 608, 608},  {1024, 1216, 608}, {1024, 608, 1216},
                                            {1024, 1536, 768}, {1024, 768, 1920}, {4096, 1216, 608}};
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            linear(shapes[i][0], shapes[i][1], shapes[i][2], true);
    }
    if (all || !strcmp(set, "decode"))
        for (int64_t m = 1; m <= 64; m *= 2) linear(m, 1216, 608, false);
    if (all || !strcmp(set, "loss")) linear(1024, 50257, 608, true);
    printf("geometric mean of the ratios %.3f\n", __builtin_exp(log_sum / log_n));
    dnnl_stream_destroy(stream);
    dnnl_engine_destroy(engine);
    return 0;
}
