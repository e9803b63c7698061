/* device.c -- which device a name means */
#include <stdlib.h>
#include <string.h>

#include "backend/backends.h"

static const pha__backend *const backends[] = {&pha__cpu_backend, &pha__cuda_stub, &pha__far_backend};
enum { N = sizeof backends / sizeof *backends };

static pha_status open_named(pha__device **out, const char *name, int threads, const char *source)
{
    const char *colon = strchr(name, ':');
    size_t length = colon ? (size_t)(colon - name) : strlen(name);
    for (int i = 0; i < N; i++)
        if (strlen(backends[i]->name) == length && !strncmp(backends[i]->name, name, length))
            return backends[i]->open(out, colon ? colon + 1 : "", threads);
    FAIL(NO_DEVICE, "%s%.60s: there is no such device in this build; it has: cpu, cuda", source, name);
}

pha_status pha__device_open(pha__device **out, const char *name, int threads)
{
    *out = NULL;
    if (name) return open_named(out, name, threads, "device ");
    const char *chosen = getenv("PHA_DEVICE");
    return chosen && *chosen ? open_named(out, chosen, threads, "PHA_DEVICE=") : open_named(out, "cpu", threads, "");
}

void pha__device_close(pha__device *d)
{
    if (d) d->backend->close(d);
}
