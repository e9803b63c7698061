/* prefix_disk_room.c -- the folder of pages: names, how much lies there, what goes first */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/print.h"
#include "runtime/infer/prefix_disk.h"

void pha__key_name(char name[33], pha__key key)
{
    pha__print(name, 33, "%016llx%016llx", (unsigned long long)key.high, (unsigned long long)key.low);
}

static bool read_half(uint64_t *out, const char *digits)
{
    *out = 0;
    for (int i = 0; i < 16; i++) {
        const char *all = "0123456789abcdef", *at = digits[i] ? strchr(all, digits[i]) : NULL;
        if (!at) return false;
        *out = *out << 4 | (uint64_t)(at - all);
    }
    return true;
}

bool pha__key_of_name(pha__key *key, const char *name)
{
    return strlen(name) == 32 && read_half(&key->high, name) && read_half(&key->low, name + 16);
}

/* ---- walking: what is done with each file of each model's folder ------------------------------------------ */

typedef struct walk {
    void (*file)(struct walk *w, const char *path, const char *name);
    struct file *found;
    size_t n, capacity;
    uint64_t bytes;
} walk;

static void walk_folder(walk *w, const char *folder)
{
    char **names, *path;
    size_t n;
    if (pha__list_dir(&names, &n, folder)) return;
    for (size_t i = 0; i < n; i++) {
        if ((path = pha__path_join(folder, names[i]))) w->file(w, path, names[i]);
        pha__free(path);
    }
    pha__free_list(names, n);
}

static void walk_all(walk *w, const char *folder)
{
    char **names, *path;
    size_t n;
    pha__key key;
    pha__message first = pha__message_keep();
    if (pha__list_dir(&names, &n, folder) == PHA_OK) {
        for (size_t i = 0; i < n; i++) {
            if (!pha__key_of_name(&key, names[i]) || !(path = pha__path_join(folder, names[i]))) continue;
            if (pha__is_own_dir(path)) walk_folder(w, path);
            pha__free(path);
        }
        pha__free_list(names, n);
    }
    pha__message_restore(&first);
}

/* ---- room ------------------------------------------------------------------------------------------------- */

typedef struct file {
    char *path;
    struct timespec used;
    uint64_t size;
} file;

static void add_file(walk *w, const char *path, const char *name)
{
    pha__key key;
    struct stat info;
    if (!pha__key_of_name(&key, name) || lstat(path, &info) || !S_ISREG(info.st_mode)) return;
    w->bytes += (uint64_t)info.st_size;
    if (w->n == w->capacity) {
        size_t capacity = w->capacity ? 2 * w->capacity : 256;
        file *grown = pha__realloc(w->found, capacity, sizeof *grown);
        if (!grown) return; /* it can't be removed now */
        w->found = grown, w->capacity = capacity;
    }
    char *copy = pha__strdup(path);
    if (copy) w->found[w->n++] = (file){copy, info.st_mtim, (uint64_t)info.st_size};
}

static int by_use(const void *a, const void *b)
{
    const file *x = a, *y = b;
    if (x->used.tv_sec != y->used.tv_sec) return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    if (x->used.tv_nsec != y->used.tv_nsec) return x->used.tv_nsec < y->used.tv_nsec ? -1 : 1;
    return strcmp(x->path, y->path);
}

uint64_t pha__disk_trim(const char *folder, uint64_t most)
{
    walk w = {.file = add_file};
    walk_all(&w, folder);
    if (w.bytes > most && w.n) qsort(w.found, w.n, sizeof *w.found, by_use);
    for (size_t i = 0; i < w.n; i++) {
        if (w.bytes > most && (pha__sys_remove(w.found[i].path) == 0 || errno == ENOENT)) w.bytes -= w.found[i].size;
        pha__free(w.found[i].path);
    }
    pha__free(w.found);
    return w.bytes;
}

/* A file that is being written is locked by who writes it. */
static void sweep_file(walk *w, const char *path, const char *name)
{
    char whole[256];
    pha__key key;
    int fd;
    (void)w;
    pha__whole_name(whole, name);
    if (!strcmp(whole, name) || !pha__key_of_name(&key, whole) || pha__open_locked(&fd, path)) return;
    pha__sys_remove(path);
    close(fd);
}

void pha__disk_sweep(const char *folder)
{
    walk w = {.file = sweep_file};
    walk_all(&w, folder);
}
