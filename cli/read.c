/* read.c -- opening what may be no file at all, and reading files whole */
#include "read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"

#define LIMIT (1u << 30) /* bytes of a file read whole */

FILE *read_open(const char *path, const char **why)
{
    struct stat info;
    bool meant = !strcmp(path, "/dev/stdin") || !strncmp(path, "/dev/fd/", 8) || !strncmp(path, "/proc/self/fd/", 14);
    int fd = open(path, O_RDONLY | O_CLOEXEC | (meant ? 0 : O_NONBLOCK)); /* a FIFO must not block here */
    bool odd = fd >= 0 && !meant && fstat(fd, &info) == 0 && !S_ISREG(info.st_mode);
    FILE *file = fd < 0 || odd ? NULL : fdopen(fd, "rb");
    int error = odd ? EINVAL : errno;
    *why = odd ? S_ISDIR(info.st_mode) ? "is a folder, not a file" : "not a regular file" : strerror(error);
    if (!file && fd >= 0) close(fd);
    errno = error;
    return file;
}

int read_all(const Call *call, const char *path, char **text, size_t *size)
{
    bool standard = strcmp(path, "-") == 0;
    const char *why;
    FILE *file = standard ? stdin : read_open(path, &why);
    size_t capacity = 1 << 16;
    int code = PHA_OK;
    *text = malloc(capacity), *size = 0;
    if (!file) {
        usage_error(call, "%s: %s", path, why);
        free(*text), *text = NULL;
        return PHA_IO;
    }
    for (size_t n = 1; *text && n > 0 && !code;) {
        n = fread(*text + *size, 1, capacity - *size - 1, file);
        *size += n;
        if (*size + 1 < capacity) continue;
        char *more = capacity < LIMIT ? realloc(*text, capacity *= 2) : NULL;
        if (more) *text = more;
        else code = usage_error(call, "%s: longer than 1 GB, or out of memory", path), code = PHA_NO_MEMORY;
    }
    if (!*text) code = PHA_NO_MEMORY;
    if (!code && ferror(file)) usage_error(call, "%s: %s", path, strerror(errno)), code = PHA_IO;
    if (!standard) fclose(file);
    if (code) free(*text), *text = NULL;
    else (*text)[*size] = 0;
    return code;
}
