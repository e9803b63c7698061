// library.cu -- where libraries of NVIDIA lie
#include "backend/cuda/library.h"

#include <dlfcn.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

static void *load(const char *name) { return dlopen(name, RTLD_NOW | RTLD_LOCAL); }

static void *search(const char *const *names, const char *const *places) {
#ifdef PHA__EMULATE
    return NULL; // what tests call, they name
#endif
    for (; *names; names++)
        if (void *library = load(*names)) return library;
    for (; *places; places++) {
        glob_t found;
        void *library = NULL;
        if (glob(*places, 0, NULL, &found)) continue;
        for (size_t i = found.gl_pathc; i-- > 0 && !library;) library = load(found.gl_pathv[i]); // the newest first
        globfree(&found);
        if (library) return library;
    }
    return NULL;
}

void *pha__cuda_library(const char *variable, const char *const *names, const char *const *places, char *why,
                        size_t size) {
    const char *own = getenv(variable);
    void *library = own && *own ? load(own) : search(names, places);
    if (library) return library;
    const char *reason = own && *own ? dlerror() : "neither the loader nor the usual folders have it";
    snprintf(why, size, "%s", reason ? reason : "it can't be loaded");
    return NULL;
}
