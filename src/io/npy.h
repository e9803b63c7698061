/* npy.h -- NumPy's .npy files: token ids in, logits out */
#ifndef PHA__NPY_H
#define PHA__NPY_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Reads a (B, T) or (T) array of int32, int64 or uint16, little-endian, C order. pha__free the result, B * T ids. */
pha_status pha__npy_read_ids(int32_t **ids, int64_t *B, int64_t *T, const char *path);

/* Writes a float32 array of rank 1 to 4 in pieces, in row-major order. */
typedef struct pha__npy pha__npy;
pha_status pha__npy_open(pha__npy **out, const char *path, const int64_t *shape, int rank);
pha_status pha__npy_write(pha__npy *w, const float *values, size_t n);
pha_status pha__npy_commit(pha__npy *w); /* frees; fails unless the whole array was written */
void pha__npy_abort(pha__npy *w);        /* NULL is allowed */

#endif
