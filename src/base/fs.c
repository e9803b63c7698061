/* fs.c -- whole files, folders (map.c maps, writer.c writes, replace.c puts folders in place of others) */
#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"

#define FAIL_IO(path, what) FAIL(IO, "%s: %s: %s", path, what, strerror(errno))

/* The descriptors of this process under a name: a pipe behind one was meant (`--config <(...)`). */
static bool names_descriptor(const char *path)
{
    return !strcmp(path, "/dev/stdin") || !strncmp(path, "/dev/fd/", 8) || !strncmp(path, "/proc/self/fd/", 14);
}

pha_status pha__open_read(int *out, struct stat *info, const char *path)
{
    bool meant = names_descriptor(path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | (meant ? 0 : O_NONBLOCK)); /* a FIFO must not block here */
    if (fd < 0) FAIL_IO(path, "cannot open");
    pha_status status = PHA_OK;
    if (fstat(fd, info) != 0) status = pha__fail(PHA_IO, "%s: cannot read: %s", path, strerror(errno));
    else if (S_ISDIR(info->st_mode)) status = pha__fail(PHA_IO, "%s: is a folder, not a file", path);
    else if (!S_ISREG(info->st_mode) && !meant) status = pha__fail(PHA_IO, "%s: not a regular file", path);
    if (status != PHA_OK) close(fd);
    else *out = fd;
    return status;
}

/* Reads to the end; works for pipes too, whose size is not known. */
static pha_status read_all(char **text, size_t *size, int fd, size_t hint, const char *path, size_t limit)
{
    size_t capacity = hint + 2, used = 0;
    *text = pha__alloc(capacity, 1);
    if (!*text) return PHA_NO_MEMORY;
    for (;;) {
        ssize_t n = read(fd, *text + used, capacity - used - 1);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) FAIL_IO(path, "cannot read");
        if (n == 0) break;
        used += (size_t)n;
        if (used > limit) FAIL(BAD_INPUT, "%s: larger than %zu bytes", path, limit);
        if (capacity - used > 1) continue;
        char *more = pha__realloc(*text, capacity * 2, 1);
        if (!more) return PHA_NO_MEMORY;
        *text = more;
        capacity *= 2;
    }
    (*text)[used] = 0;
    *size = used;
    return PHA_OK;
}

pha_status pha__read_file(char **out, size_t *size, const char *path, size_t limit)
{
    int fd = -1;
    struct stat info;
    *out = NULL;
    *size = 0;
    TRY(pha__open_read(&fd, &info, path));
    size_t hint = info.st_size > 0 ? (size_t)info.st_size : 4096;
    pha_status status = PHA_OK;
    if (S_ISREG(info.st_mode) && (uint64_t)info.st_size > limit)
        status = pha__fail(PHA_BAD_INPUT, "%s: larger than %zu bytes", path, limit);
    if (status == PHA_OK) status = read_all(out, size, fd, hint < limit ? hint : limit, path, limit);
    close(fd);
    if (status == PHA_OK) return PHA_OK;
    pha__free(*out);
    *out = NULL;
    return status;
}

bool pha__exists(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

bool pha__is_dir(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool pha__is_own_dir(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

pha_status pha__need_dir(const char *path, const char *hint)
{
    struct stat info;
    if (stat(path, &info) != 0) FAIL(IO, "%s: %s; %s", path, strerror(errno), hint);
    if (!S_ISDIR(info.st_mode)) FAIL(IO, "%s: is not a folder; %s", path, hint);
    return PHA_OK;
}

int64_t pha__file_size(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) ? (int64_t)info.st_size : -1;
}

static pha_status make_dir(const char *path)
{
    if (pha__is_dir(path)) return PHA_OK;
    if (pha__sys_mkdir(path) == 0) return pha__sync_parent(path); /* or what is put into it may go with it */
    if (!(errno == EEXIST && pha__is_dir(path))) FAIL_IO(path, "cannot make the folder");
    return PHA_OK;
}

pha_status pha__mkdirs(const char *path)
{
    char *copy = pha__strdup(path);
    if (!copy) return PHA_NO_MEMORY;
    pha_status status = PHA_OK;
    for (char *p = copy; *p && status == PHA_OK; p++) {
        if (*p != '/' || p == copy) continue;
        *p = 0;
        status = make_dir(copy);
        *p = '/';
    }
    if (status == PHA_OK) status = make_dir(copy);
    pha__free(copy);
    return status;
}

/* Makes names in the folder of `path` durable. Some file systems cannot sync a folder; that is no failure. Nothing is
 * allocated: what was renamed before has happened, and NO_MEMORY would say that it has not. */
pha_status pha__sync_parent(const char *path)
{
    char dir[PATH_MAX];
    size_t n = strlen(path);
    if (n >= sizeof dir) FAIL(IO, "%s: cannot sync its folder: the name is too long", path);
    memcpy(dir, path, n + 1);
    while (n > 1 && dir[n - 1] == '/') dir[--n] = 0;
    char *slash = strrchr(dir, '/');
    if (slash) slash[slash == dir] = 0;
    int fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    pha_status status = PHA_OK;
    if (fd >= 0 && pha__sys_sync(fd) != 0 && errno != EINVAL && errno != ENOTSUP)
        status = pha__fail(PHA_IO, "%s: cannot sync its folder: %s", path, strerror(errno));
    if (fd >= 0) close(fd);
    return status;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info, (void)type, (void)walk;
    return pha__sys_remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

pha_status pha__remove_tree(const char *path)
{
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT) return PHA_OK;
    FAIL_IO(path, "cannot remove");
}

void pha__discard(const char *path)
{
    pha__message first = pha__message_keep();
    pha__remove_tree(path);
    pha__message_restore(&first);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static pha_status read_names(char ***names, size_t *n, DIR *dir, const char *path)
{
    size_t capacity = 0;
    for (struct dirent *entry; errno = 0, (entry = readdir(dir)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (*n == capacity) {
            capacity = capacity ? capacity * 2 : 16;
            char **more = pha__realloc(*names, capacity, sizeof *more);
            if (!more) return PHA_NO_MEMORY;
            *names = more;
        }
        (*names)[*n] = pha__strdup(entry->d_name);
        if (!(*names)[*n]) return PHA_NO_MEMORY;
        ++*n;
    }
    if (errno) FAIL_IO(path, "cannot read the folder");
    return PHA_OK;
}

pha_status pha__list_dir(char ***names, size_t *n, const char *path)
{
    *names = NULL;
    *n = 0;
    DIR *dir = opendir(path);
    if (!dir) FAIL_IO(path, "cannot open the folder");
    pha_status status = read_names(names, n, dir, path);
    closedir(dir);
    if (status != PHA_OK) {
        pha__free_list(*names, *n);
        *names = NULL;
        *n = 0;
    } else if (*n) {
        qsort(*names, *n, sizeof **names, by_name);
    }
    return status;
}

void pha__free_list(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++) pha__free(names[i]);
    pha__free(names);
}

char *pha__path_join(const char *dir, const char *name)
{
    size_t n = strlen(dir), m = strlen(name);
    char *path = pha__alloc(n + m + 2, 1);
    if (!path) return NULL;
    memcpy(path, dir, n);
    if (n > 0 && dir[n - 1] != '/') path[n++] = '/';
    memcpy(path + n, name, m + 1);
    return path;
}
