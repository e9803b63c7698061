/* plugin.c -- the device "cuda": finds libpha-cuda.so, asks whether it was made for this build, opens its device
 *
 * Looked for: the file that PHA_CUDA_PLUGIN names, or else libpha-cuda.so beside the executable, then where the loader
 * looks.
 */
#include "backend/plugin.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/backends.h"
#include "base/log.h"
#include "base/print.h"

static const char library_name[] = "libpha-cuda.so";

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *format, ...)
{
    char text[600];
    va_list list;
    va_start(list, format);
    pha__vprint(text, sizeof text, format, list);
    va_end(list);
    pha__log(PHA__LOG_NOTE, "%s", text);
}

static const pha__host host = {PHA__BACKEND_ABI, sizeof(pha__args), sizeof(pha__run), pha__fail, note};

/* DIR/libpha-cuda.so beside the executable; false: that can't be told. */
static bool beside(char *out, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", out, size - sizeof library_name);
    if (n <= 0 || (size_t)n >= size - sizeof library_name) return false;
    out[n] = 0;
    char *slash = strrchr(out, '/');
    if (!slash) return false;
    memcpy(slash + 1, library_name, sizeof library_name);
    return access(out, R_OK) == 0;
}

static pha_status load(const pha__backend **out)
{
    char path[4096];
    const char *name = getenv("PHA_CUDA_PLUGIN");
    if (!name || !*name) name = beside(path, sizeof path) ? path : library_name;
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        FAIL(NO_DEVICE, "cuda: the plugin can't be loaded: %s; build pha where nvcc is, or set PHA_CUDA_PLUGIN",
             dlerror());
    void *symbol = dlsym(library, "pha_cuda_backend");
    const pha__backend *(*backend)(const pha__host *);
    memcpy(&backend, &symbol, sizeof backend); /* a pointer to a function by way of one to data */
    *out = symbol ? backend(&host) : NULL;
    if (*out) return PHA_OK;
    dlclose(library);
    FAIL(NO_DEVICE, "cuda: %s is no plugin of this build of pha", name);
}

static pha_status cuda_open(pha__device **out, const char *which, int threads)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static const pha__backend *loaded; /* stays, once it is there */
    pthread_mutex_lock(&mutex);
    pha_status status = loaded ? PHA_OK : load(&loaded);
    pthread_mutex_unlock(&mutex);
    return status ? status : loaded->open(out, which, threads);
}

const pha__backend pha__cuda_stub = {.name = "cuda", .open = cuda_open};
