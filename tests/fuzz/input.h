/* input.h -- the input of a fuzz target as a file, and silence */
#ifndef PHA__FUZZ_INPUT_H
#define PHA__FUZZ_INPUT_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void fuzz_ignore(void *context, pha__log_level level, const char *message)
{
    (void)context, (void)level, (void)message;
}

/* The path of a file in memory with this content; valid until the next call. */
static inline const char *fuzz_file(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[64];
    if (fd < 0) {
        fd = memfd_create("input", 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        pha__log_to(fuzz_ignore, NULL);
    }
    if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size) abort();
    return path;
}

#endif
