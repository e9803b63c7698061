/* plugin.h -- a backend in a shared library of its own, loaded when its device is asked for (plugin.c) */
#ifndef PHA__PLUGIN_H
#define PHA__PLUGIN_H

#include "backend/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PHA__BACKEND_ABI 6 /* raised with every change of backend.h or of an op's attributes */

typedef struct pha__host { /* what a plugin may ask of the library; sizes: of the structs that both know */
    uint32_t abi, args_size, run_size;
    pha_status (*fail)(pha_status code, const char *format, ...) __attribute__((format(printf, 2, 3)));
    void (*note)(const char *format, ...) __attribute__((format(printf, 1, 2))); /* for a person */
} pha__host;

/* The one function of libpha-cuda.so. NULL: made for another build of the library. */
const pha__backend *pha_cuda_backend(const pha__host *host);

#ifdef __cplusplus
}
#endif
#endif
