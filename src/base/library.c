/* library.c -- finding a plugin and a function in it */
#include "base/library.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* DIR/name beside the executable; false: it is not there. */
static bool beside(char *out, size_t size, const char *name)
{
    size_t length = strlen(name) + 1;
    ssize_t n = readlink("/proc/self/exe", out, size - length);
    if (n <= 0 || (size_t)n >= size - length) return false;
    out[n] = 0;
    char *slash = strrchr(out, '/');
    if (!slash) return false;
    memcpy(slash + 1, name, length);
    return access(out, R_OK) == 0;
}

pha_status pha__library_function(void *function, size_t size, const char *name, const char *variable,
                                 const char *symbol, const char *what, const char *help)
{
    char path[4096];
    const char *file = getenv(variable);
    if (!file || !*file) file = beside(path, sizeof path, name) ? path : name;
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!library) FAIL(NO_DEVICE, "%s can't be loaded: %s; %s", what, dlerror(), help);
    void *found = dlsym(library, symbol);
    if (!found) {
        dlclose(library);
        FAIL(NO_DEVICE, "%s can't be used: %s is no plugin of this build of pha; %s", what, file, help);
    }
    memcpy(function, &found, size); /* a pointer to a function by way of one to data */
    return PHA_OK;
}
