// library.h -- libraries of NVIDIA that are looked for at run time
#ifndef PHA__CUDA_LIBRARY_H
#define PHA__CUDA_LIBRARY_H

#include <stddef.h>

// The file that the environment's `variable` names; else the first of `names` that the loader knows; else the newest of
// the files that fit the patterns `places`; both lists end with NULL. NULL: none, and `why` says why.
void *pha__cuda_library(const char *variable, const char *const *names, const char *const *places, char *why,
                        size_t size);

#endif
