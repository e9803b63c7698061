/* device.c -- the processor as a backend: a pool of threads over the kernels of an instruction set, the one in use or
 * one by its name ("cpu:generic") */
#include <string.h>

#include "backend/backends.h"
#include "backend/cpu/detect.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/threads.h"

typedef struct cpu {
    pha__device device;
    pha__pool *pool;
    const pha__cpu_table_info *set;
    double marks[PHA__MARKS];
} cpu;

static size_t round_up(size_t n) { return (n + PHA__ALIGN - 1) / PHA__ALIGN * PHA__ALIGN; }

static void cpu_close(pha__device *d)
{
    pha__pool_close(((cpu *)d)->pool);
    pha__free(d);
}

static pha_status cpu_open(pha__device **out, const char *which, int threads)
{
    TRY(pha__cpu_select());
    const pha__cpu_table_info *set = pha__cpu_set(which);
    if (!set)
        FAIL(NO_DEVICE, "cpu:%.60s: the processor is one device, cpu; behind a colon may stand an instruction set "
                        "that it has, as in cpu:generic", which);
    cpu *c = pha__alloc_zero(1, sizeof *c);
    if (!c) return PHA_NO_MEMORY;
    c->set = set;
    c->device.backend = &pha__cpu_backend;
    pha_status status = pha__pool_open(&c->pool, threads);
    if (status) pha__free(c);
    else *out = &c->device;
    return status;
}

static void cpu_info(pha__device *d, pha__device_info *out)
{
    *out = (pha__device_info){.name = "cpu", .units = pha__pool_threads(((cpu *)d)->pool)};
    strncpy(out->version, ((cpu *)d)->set->isa, sizeof out->version - 1);
}

/* ---- memory ---------------------------------------------------------------------------------------------- */

static void *cpu_alloc(pha__device *d, size_t size)
{
    (void)d;
    return pha__alloc(size < SIZE_MAX ? size + 1 : size, 1); /* of nothing, too, an address */
}

static void cpu_free(pha__device *d, void *p)
{
    (void)d;
    pha__free(p);
}

static pha_status cpu_copy(pha__device *d, void *to, const void *from, size_t size)
{
    (void)d;
    memcpy(to, from, size);
    return PHA_OK;
}

static pha_status cpu_fill(pha__device *d, void *to, int byte, size_t size)
{
    (void)d;
    memset(to, byte, size);
    return PHA_OK;
}

/* ---- steps ----------------------------------------------------------------------------------------------- */

static const void *cpu_kernel(pha__device *d, const char *op)
{
    return pha__cpu_kernel(((cpu *)d)->set, op);
}

static size_t scratch_of_thread(const pha__kernel *k, const pha__args *a, pha__pass pass)
{
    size_t size = k->scratch ? k->scratch(a, pass) : 0;
    return size > SIZE_MAX / 4 ? SIZE_MAX / 4 : round_up(size);
}

static pha_status cpu_needs(pha__device *d, const void *kernel, const pha__args *a, pha__pass pass, pha__needs *out)
{
    const pha__kernel *k = kernel;
    size_t threads = (size_t)pha__pool_threads(((cpu *)d)->pool);
    out->work = k->work ? k->work(a, pass) : 0;
    if (__builtin_mul_overflow(scratch_of_thread(k, a, pass), threads, &out->scratch)) out->scratch = SIZE_MAX;
    return PHA_OK;
}

typedef struct job {
    const pha__args *args;
    void (*kernel)(const pha__args *, int, int64_t, int64_t, void *);
    int phase;
    char *scratch;
    size_t scratch_size; /* of one thread */
} job;

static void run_tasks(void *context, int64_t begin, int64_t end, int worker)
{
    const job *j = context;
    j->kernel(j->args, j->phase, begin, end, j->scratch + (size_t)worker * j->scratch_size);
}

static pha_status cpu_run(pha__device *d, const void *kernel, const pha__args *a, pha__pass pass, void *scratch)
{
    const pha__kernel *k = kernel;
    job j = {a, pass == PHA__FORWARD ? k->forward : k->backward, 0, scratch, scratch_of_thread(k, a, pass)};
    for (;; j.phase++) {
        int64_t n = k->tasks(a, pass, j.phase);
        if (n == 0) return PHA_OK;
        pha__pool_run(((cpu *)d)->pool, n, run_tasks, &j);
    }
}

static pha_status cpu_mark(pha__device *d, int mark)
{
    ((cpu *)d)->marks[mark] = pha__seconds();
    return PHA_OK;
}

static pha_status cpu_between(pha__device *d, int a, int b, double *seconds)
{
    *seconds = ((cpu *)d)->marks[b] - ((cpu *)d)->marks[a];
    return PHA_OK;
}

/* ---- what it can do -------------------------------------------------------------------------------------- */

enum { RUNS = 7, PEAK_TASKS = 64 /* of a millisecond or two */, COPY_TASKS = 128, PIECE = 1 << 20 };

static void peak_tasks(void *context, int64_t begin, int64_t end, int worker)
{
    double *flops = context;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        float seed[3] = {0.5f, 0.25f, 0};
        flops[i] = pha__cpu_peak()(200000, seed);
    }
}

static void copy_tasks(void *context, int64_t begin, int64_t end, int worker)
{
    char *const *c = context;
    (void)worker;
    memcpy(c[0] + begin * PIECE, c[1] + begin * PIECE, (size_t)(end - begin) * PIECE);
}

/* The best of a few runs on all threads. */
static pha_status cpu_ceiling(pha__device *d, pha__ceiling *out)
{
    pha__pool *pool = ((cpu *)d)->pool;
    double flops[PEAK_TASKS];
    *out = (pha__ceiling){0};
    for (int run = 0; run < RUNS; run++) {
        double begin = pha__seconds(), sum = 0;
        pha__pool_run(pool, PEAK_TASKS, peak_tasks, flops);
        double seconds = pha__seconds() - begin;
        for (int i = 0; i < PEAK_TASKS; i++) sum += flops[i];
        out->flops = sum / seconds > out->flops ? sum / seconds : out->flops;
    }
    char *memory[2] = {pha__alloc_zero(COPY_TASKS, PIECE), pha__alloc_zero(COPY_TASKS, PIECE)};
    bool ok = memory[0] && memory[1];
    for (int run = 0; run < RUNS && ok; run++) {
        double begin = pha__seconds();
        pha__pool_run(pool, COPY_TASKS, copy_tasks, memory);
        double rate = 2.0 * COPY_TASKS * PIECE / (pha__seconds() - begin);
        out->bytes = rate > out->bytes ? rate : out->bytes;
    }
    pha__free(memory[0]);
    pha__free(memory[1]);
    return ok ? PHA_OK : PHA_NO_MEMORY;
}

const pha__backend pha__cpu_backend = {
    .name = "cpu",
    .host_memory = true,
    .by_sequence = true,
    .align = PHA__ALIGN,
    .matrices = PHA__F32_PANEL,
    .open = cpu_open,
    .close = cpu_close,
    .info = cpu_info,
    .ceiling = cpu_ceiling,
    .alloc = cpu_alloc,
    .free = cpu_free,
    .upload = cpu_copy,
    .download = cpu_copy,
    .copy = cpu_copy,
    .fill = cpu_fill,
    .kernel = cpu_kernel,
    .needs = cpu_needs,
    .run = cpu_run,
    .mark = cpu_mark,
    .between = cpu_between,
};

const char *pha__host_isa(void) { return pha__cpu_isa(); }

const char *pha__host_isa_at(size_t i)
{
    const pha__cpu_table_info *sets;
    size_t n = pha__cpu_tables(&sets);
    for (size_t k = 0; k < n; k++)
        if (sets[k].supported && i-- == 0) return sets[k].isa;
    return NULL;
}
