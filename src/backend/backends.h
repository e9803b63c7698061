/* backends.h -- the backends of this build (device.c) */
#ifndef PHA__BACKENDS_H
#define PHA__BACKENDS_H

#include "backend/backend.h"

extern const pha__backend pha__cpu_backend; /* cpu/device.c */
extern const pha__backend pha__far_backend; /* far.c: for tests */
extern const pha__backend pha__cuda_stub;   /* plugin.c: opens what is in the plugin; nothing else of it is called */

#endif
