/* detect.h -- which instruction set the kernels run on
 *
 * Each instruction set that was compiled in has one table of kernels (table.c). The best set that the processor and the
 * operating system support is taken once per process; PHA_ISA=generic|avx2|avx512|neon overrides it.
 */
#ifndef PHA__DETECT_H
#define PHA__DETECT_H

#include "backend/cpu/kernel.h"

typedef struct pha__cpu_row {
    const pha__op *op;
    const pha__kernel *kernel;
} pha__cpu_row;

/* Runs chains of fused multiply-adds (peak.c) and returns their number of operations. seed: two factors to start from,
 * of magnitude below 1, and a place for the sum. */
typedef double pha__peak_run(int64_t rounds, float seed[3]);

/* pha__weigh of backend.h (weigh.c). */
typedef float pha__weigh_run(const float *x, int64_t n, double scale, double *sums);

typedef struct pha__cpu_table_info {
    const char *isa;
    const pha__cpu_row *rows; /* ended by {NULL, NULL} */
    pha__peak_run *peak;
    pha__weigh_run *weigh;
    bool supported;           /* this machine can run it */
} pha__cpu_table_info;

/* Makes the choice; later calls repeat the first answer. Fails if PHA_ISA names no set or one that can't run here. */
pha_status pha__cpu_select(void);

/* The set of a name that this machine can run, or the chosen one for "" (if the choice failed: the best). NULL: there
 * is none of the name. */
const pha__cpu_table_info *pha__cpu_set(const char *isa);
const pha__kernel *pha__cpu_kernel(const pha__cpu_table_info *set, const char *op); /* NULL: op is not in ops.def */

const char *pha__cpu_isa(void); /* name of that set */
pha__peak_run *pha__cpu_peak(void); /* and its peak.c */

/* All sets that were compiled in, from the plainest to the best; returns their number. */
size_t pha__cpu_tables(const pha__cpu_table_info **out);

#endif
