/* detect.c -- asks the processor once; the only file with CPU tests
 *
 * __builtin_cpu_supports also asks whether the operating system saves the wide registers.
 */
#include "backend/cpu/detect.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#if PHA__HAVE_avx2
#include <cpuid.h>
#endif

#include "backend/backend.h"
#include "base/print.h"

#define TABLE(isa)                                    \
    extern const pha__cpu_row pha__cpu_table_##isa[]; \
    extern pha__peak_run pha__peak_##isa;             \
    extern pha__weigh_run pha__weigh_##isa
TABLE(generic);

static bool always(void)
{
    return true;
}

#if PHA__HAVE_neon
TABLE(neon); /* part of every 64-bit Arm processor */
#endif

#if PHA__HAVE_avx2
TABLE(avx2);

/* Halves: not a name that every compiler's __builtin_cpu_supports knows. */
static bool has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && c & bit_F16C;
}

static bool has_avx2(void)
{
    return has_f16c() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi2");
}
#endif

#if PHA__HAVE_avx512
TABLE(avx512);

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
#endif

static pha__cpu_table_info tables[] = {
    /* from the plainest to the best */
    {"generic", pha__cpu_table_generic, pha__peak_generic, pha__weigh_generic, false},
#if PHA__HAVE_neon
    {"neon", pha__cpu_table_neon, pha__peak_neon, pha__weigh_neon, false},
#endif
#if PHA__HAVE_avx2
    {"avx2", pha__cpu_table_avx2, pha__peak_avx2, pha__weigh_avx2, false},
#endif
#if PHA__HAVE_avx512
    {"avx512", pha__cpu_table_avx512, pha__peak_avx512, pha__weigh_avx512, false},
#endif
};

static bool (*const supported[])(void) = {
    always,
#if PHA__HAVE_neon
    always,
#endif
#if PHA__HAVE_avx2
    has_avx2,
#endif
#if PHA__HAVE_avx512
    has_avx512,
#endif
};

enum { N = sizeof tables / sizeof tables[0] };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const pha__cpu_table_info *chosen;
static char problem[256]; /* "": none */

static void list_names(char *out, size_t size, bool only_supported)
{
    size_t used = 0;
    out[0] = 0;
    for (int i = 0; i < N; i++) {
        if (only_supported && !tables[i].supported) continue;
        int n = pha__print(out + used, size - used, "%s%s", used ? ", " : "", tables[i].isa);
        if (n < 0 || (size_t)n >= size - used) return;
        used += (size_t)n;
    }
}

static void choose(void)
{
    for (int i = 0; i < N; i++) {
        tables[i].supported = supported[i]();
        if (tables[i].supported) chosen = &tables[i];
    }
    const char *name = getenv("PHA_ISA");
    if (!name || !*name) return;

    char names[100];
    for (int i = 0; i < N; i++) {
        if (strcmp(name, tables[i].isa) != 0) continue;
        if (tables[i].supported) {
            chosen = &tables[i];
            return;
        }
        list_names(names, sizeof names, true);
        pha__print(problem, sizeof problem, "PHA_ISA=%s: this machine does not support it; it can run: %s", name,
                   names);
        return;
    }
    list_names(names, sizeof names, false);
    pha__print(problem, sizeof problem, "PHA_ISA=%.60s: no such instruction set in this build; it has: %s", name,
               names);
}

pha_status pha__cpu_select(void)
{
    pthread_once(&once, choose);
    if (problem[0]) FAIL(USAGE, "%s", problem);
    return PHA_OK;
}

const pha__cpu_table_info *pha__cpu_set(const char *isa)
{
    pthread_once(&once, choose);
    if (!*isa) return chosen;
    for (int i = 0; i < N; i++)
        if (tables[i].supported && strcmp(isa, tables[i].isa) == 0) return &tables[i];
    return NULL;
}

const pha__kernel *pha__cpu_kernel(const pha__cpu_table_info *set, const char *op)
{
    for (const pha__cpu_row *row = set->rows; row->op; row++)
        if (!strcmp(row->op->name, op)) return row->kernel;
    return NULL;
}

const char *pha__cpu_isa(void)
{
    pthread_once(&once, choose);
    return chosen->isa;
}

pha__peak_run *pha__cpu_peak(void)
{
    pthread_once(&once, choose);
    return chosen->peak;
}

float pha__weigh(const float *x, int64_t n, double scale, double *sums)
{
    pthread_once(&once, choose);
    return chosen->weigh(x, n, scale, sums);
}

size_t pha__cpu_tables(const pha__cpu_table_info **out)
{
    pthread_once(&once, choose);
    *out = tables;
    return N;
}
