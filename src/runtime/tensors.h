/* tensors.h -- the parameters of one role of a store as the tensors of a file, and back */
#ifndef PHA__TENSORS_H
#define PHA__TENSORS_H

#include "io/safetensors.h"
#include "program/store.h"

/* Writes all but the constants, and of moments all but the frozen, by path, as they are stored. flat: a vector of one
 * row has rank 1, else every tensor has rank 2. Matrices in blocks are bytes (panels, blocks of a panel, bytes of a
 * block) with .q8 or .q4 behind the path (docs/format.md). metadata: as for pha__safetensors_write. */
pha_status pha__tensors_write(const char *path, const pha__store *s, pha__role role, bool flat,
                              const char *const *metadata);

/* Names and shapes of the same where all are fp32 and not flat, in the order of parameters; `out` has room for
 * n_params. Returns their number. */
size_t pha__tensors_name(const pha__program *names, bool learned, pha__tensor *out);

/* The tensor of each parameter of a program, NULL for constants, and with `learned` for what is frozen; fails if one is
 * missing, has another shape, or is not one of the program's. `out` has room for n_params. */
pha_status pha__tensors_match(const pha__safetensors *file, const pha__program *names, bool learned,
                              const pha__tensor **out);

/* The same of a file whose tensors all are fp32. */
pha_status pha__tensors_match_fp32(const pha__safetensors *file, const pha__program *names, bool learned,
                                   const pha__tensor **out);

/* How the numbers of one of these tensors are stored: of bytes their name tells. */
pha__dtype pha__tensor_format(const pha__tensor *t);

/* Reads what pha__tensors_write writes from a file of fp32 tensors into places of the store. */
pha_status pha__tensors_read(const char *path, pha__store *s, pha__role role);

#endif
