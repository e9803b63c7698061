/* map.c -- read-only maps of whole files, and a table of them that a signal handler may read */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"

/* A row is taken and left under the lock; `begin`, which says that it is in use, is written last and cleared first. */
static struct row {
    _Atomic uintptr_t begin; /* 0: free */
    _Atomic size_t size;
    _Atomic(const char *) path;
} rows[512]; /* maps beyond that have no name in the message, nothing else */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

enum { ROWS = sizeof rows / sizeof *rows };

static void enter(const pha__map *map)
{
    pthread_mutex_lock(&lock);
    for (int i = 0; i < ROWS; i++) {
        if (rows[i].begin) continue;
        rows[i].size = map->size;
        rows[i].path = map->path;
        rows[i].begin = (uintptr_t)map->data;
        break;
    }
    pthread_mutex_unlock(&lock);
}

static void leave(const pha__map *map)
{
    pthread_mutex_lock(&lock);
    for (int i = 0; i < ROWS; i++)
        if (rows[i].begin == (uintptr_t)map->data) rows[i].begin = 0;
    pthread_mutex_unlock(&lock);
}

PHA_API const char *pha_mapped_file(const void *address)
{
    uintptr_t at = (uintptr_t)address;
    for (int i = 0; i < ROWS; i++) {
        uintptr_t begin = rows[i].begin;
        size_t size = (rows[i].size + 4095) & ~(size_t)4095;
        if (begin && at >= begin && at - begin < size) return rows[i].path;
    }
    return NULL;
}

pha_status pha__map_open(pha__map *map, const char *path)
{
    int fd = -1;
    struct stat info;
    *map = (pha__map){0};
    TRY(pha__open_read(&fd, &info, path));
    pha_status status = PHA_OK;
    void *data = (void *)"";
    if (!S_ISREG(info.st_mode)) status = pha__fail(PHA_IO, "%s: not a regular file", path);
    else if (info.st_size > 0) data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) status = pha__fail(PHA_IO, "%s: cannot map: %s", path, strerror(errno));
    close(fd);
    if (status != PHA_OK) return status;
    *map = (pha__map){data, (size_t)info.st_size, pha__strdup(path)};
    if (map->path) return map->size ? enter(map), PHA_OK : PHA_OK;
    if (map->size) munmap(data, map->size);
    *map = (pha__map){0};
    return PHA_NO_MEMORY;
}

void pha__map_close(pha__map *map)
{
    if (map->size > 0) {
        leave(map);
        munmap((void *)(uintptr_t)map->data, map->size);
    }
    pha__free(map->path);
    *map = (pha__map){0};
}
