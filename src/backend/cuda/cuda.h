/* cuda.h -- what a kernel of an NVIDIA GPU is: <op>.cu defines pha__cuda_<op>
 *
 * C++17, compiled by nvcc for cards, and by the C++ compiler of the host for tests (PHA__EMULATE; each.cuh). A launcher
 * runs on the host: it may look at the sizes and attributes in its arguments, never through their addresses.
 */
#ifndef PHA__CUDA_H
#define PHA__CUDA_H

#include "ops/op.h"

#ifdef PHA__EMULATE
typedef void *pha__cuda_stream;
#else
#include <cuda_runtime.h>
typedef cudaStream_t pha__cuda_stream;
#endif

enum { PHA__PRODUCT_FAILED = 100000 }; /* above all of CUDA's errors: a product, and the status of its library */

typedef struct pha__cuda { /* what launches go to */
    pha__cuda_stream stream;
    struct pha__products *products; /* NULL: plain kernels do them (products.h) */
    int error; /* the first launch that failed; 0: none */
} pha__cuda;

/* Whether an op's plain kernel is wanted where there is a fast one: PHA_CUDA_PLAIN=op,op or all. The answer stays the
 * same while a program is planned and run. */
bool pha__cuda_plain(const char *op);

enum { PHA__CUDA_WHY = 120 }; /* bytes of a reason */

typedef struct pha__cuda_kernel {
    /* Whether this step cannot run here; writes why. NULL: it always can. */
    bool (*refuse)(const pha__args *a, pha__pass pass, char why[PHA__CUDA_WHY]);
    size_t (*work)(const pha__args *a, pha__pass pass); /* bytes, as an upper bound for smaller B, T too; NULL: 0 */
    void (*run)(pha__cuda *c, const pha__args *a, pha__pass pass); /* enqueues all launches of a pass */
} pha__cuda_kernel;

typedef struct pha__cuda_row {
    const char *op;
    const pha__cuda_kernel *kernel;
} pha__cuda_row;

extern "C" const pha__cuda_row *pha__cuda_rows(void); /* table.cu; ended by {NULL, NULL} */

#endif
