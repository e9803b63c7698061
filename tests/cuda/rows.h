/* rows.h -- the kernels of a GPU for the op harness (rows.cu) */
#ifndef ROWS_H
#define ROWS_H

#include "backend/cpu/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

/* NULL: the op has none. */
const pha__kernel *pha__rows_kernel(const char *op);

/* Called where a launch fails, or is refused for that reason (not NULL); main.c records it. */
void pha__rows_failed(const char *refused, int error);

#ifdef __cplusplus
}
#endif
#endif
