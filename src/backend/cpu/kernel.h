/* kernel.h -- an op's kernel on the processor: <op>_cpu.c defines one with PHA__KERNEL(<op>) per instruction set
 *
 * A kernel is serial over the range of tasks it is given; the device (device.c) owns the threads. An op may have
 * several phases with a barrier between (main work, then the sum of partial results, say). The tasks of a phase are cut
 * by the data and never by the number of threads, and partial sums are added in index order, so that results do not
 * depend on the number of threads.
 */
#ifndef PHA__CPU_KERNEL_H
#define PHA__CPU_KERNEL_H

#include "ops/op.h"

typedef struct pha__kernel {
    /* Number of tasks of a phase; 0: there is no such phase (phases count from 0 without gaps). NULL function: there
     * is no such pass. */
    int64_t (*tasks)(const pha__args *a, pha__pass pass, int phase);
    void (*forward)(const pha__args *a, int phase, int64_t begin, int64_t end, void *scratch);
    void (*backward)(const pha__args *a, int phase, int64_t begin, int64_t end, void *scratch);
    /* Bytes, as an upper bound for any B, T up to those of a; data pointers are not set. NULL: 0. */
    size_t (*work)(const pha__args *a, pha__pass pass);     /* shared by the tasks of a step */
    size_t (*scratch)(const pha__args *a, pha__pass pass);  /* per thread, uninitialised, 64-byte aligned */
} pha__kernel;

#define PHA__CAT2(a, b) a##b
#define PHA__CAT(a, b) PHA__CAT2(a, b)
/* The name of a function or object of the instruction set being compiled: PHA__ISA_NAME(gemm_run) = gemm_run_avx2. */
#define PHA__ISA_NAME(name) PHA__CAT(name##_, PHA__ISA)
#define PHA__KERNEL(name) const pha__kernel PHA__ISA_NAME(pha__##name)

#endif
