/* plugin.c -- the device "cuda": finds libpha-cuda.so, asks whether it was made for this build, opens its device
 *
 * Looked for: the file that PHA_CUDA_PLUGIN names, or else libpha-cuda.so beside the executable, then where the loader
 * looks.
 */
#include "backend/plugin.h"

#include <pthread.h>
#include <stdarg.h>

#include "backend/backends.h"
#include "base/library.h"
#include "base/log.h"
#include "base/print.h"

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

static pha_status load(const pha__backend **out)
{
    const pha__backend *(*backend)(const pha__host *);
    TRY(pha__library_function(&backend, sizeof backend, "libpha-cuda.so", "PHA_CUDA_PLUGIN", "pha_cuda_backend",
                              "cuda: the plugin", "build pha where nvcc is, or set PHA_CUDA_PLUGIN"));
    *out = backend(&host);
    if (!*out) FAIL(NO_DEVICE, "cuda: the plugin that was found is no plugin of this build of pha");
    return PHA_OK;
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
