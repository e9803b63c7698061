/* runs.c -- the files of runs, read behind descriptors of their folders so that no name leads elsewhere */
#include "serve/runs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- folders and files ------------------------------------------------------------------------------------ */

/* A plain file, -1: there is none. A pipe would keep whoever opens it. */
static int file_in(int folder, const char *name, struct stat *info)
{
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return -1;
    if (fstat(fd, info) == 0 && S_ISREG(info->st_mode)) return fd;
    close(fd);
    return -1;
}

static bool has(int folder, const char *name)
{
    struct stat info;
    return fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(info.st_mode);
}

static bool is_run(int folder) { return has(folder, "log.jsonl") || has(folder, "run.json"); }

static int folder_at(int folder, const char *name, int more)
{
    return openat(folder, name, O_RDONLY | O_CLOEXEC | O_DIRECTORY | more);
}

/* What the folder is called that is a run itself. */
static void own_name(const char *folder, char name[RUN_NAME])
{
    char *path = realpath(folder, NULL);
    const char *slash = path ? strrchr(path, '/') : NULL;
    snprintf(name, RUN_NAME, "%.120s", slash && slash[1] ? slash + 1 : "run");
    free(path);
}

/* A name that may be asked for; its text is that of a segment of a path. */
static bool fit(const char *name)
{
    return *name && *name != '.' && strlen(name) < RUN_NAME && !strchr(name, '/');
}

static int open_run(const char *folder, const char *name)
{
    char own[RUN_NAME];
    int all = folder_at(AT_FDCWD, folder, 0);
    if (all < 0) return -1;
    if (is_run(all)) {
        own_name(folder, own);
        if (strcmp(own, name) == 0) return all;
        close(all);
        return -1;
    }
    int run = fit(name) ? folder_at(all, name, O_NOFOLLOW) : -1;
    close(all);
    if (run >= 0 && is_run(run)) return run;
    if (run >= 0) close(run);
    return -1;
}

bool runs_check(const char *folder, char *why)
{
    int fd = folder_at(AT_FDCWD, folder, 0);
    if (fd < 0) snprintf(why, 300, "%.200s: %s", folder, strerror(errno));
    else close(fd);
    return fd >= 0;
}

/* ---- the list --------------------------------------------------------------------------------------------- */

static void look(int run, const char *name, Run *out)
{
    struct stat info = {0};
    if (fstatat(run, "log.jsonl", &info, AT_SYMLINK_NOFOLLOW) || !S_ISREG(info.st_mode)) {
        fstat(run, &info);
        info.st_size = 0;
    }
    *out = (Run){.size = info.st_size, .changed = (double)info.st_mtim.tv_sec + 1e-9 * (double)info.st_mtim.tv_nsec};
    snprintf(out->name, sizeof out->name, "%s", name);
}

/* Into the list, newest first; of those that have no more room the oldest goes. */
static size_t insert(Run *list, size_t n, const Run *run)
{
    size_t at = n;
    while (at > 0 && (list[at - 1].changed < run->changed ||
                      (list[at - 1].changed == run->changed && strcmp(list[at - 1].name, run->name) > 0))) at--;
    if (at == RUNS_MOST) return n;
    if (n == RUNS_MOST) n--;
    memmove(list + at + 1, list + at, (n - at) * sizeof *list);
    list[at] = *run;
    return n + 1;
}

size_t runs_list(const char *folder, Run *list)
{
    Run run;
    size_t n = 0, seen = 0;
    int all = folder_at(AT_FDCWD, folder, 0);
    if (all < 0) return 0;
    if (is_run(all)) {
        char name[RUN_NAME];
        own_name(folder, name);
        look(all, name, &list[0]);
        close(all);
        return 1;
    }
    DIR *dir = fdopendir(all); /* which closes it */
    if (!dir) close(all);
    for (const struct dirent *e; dir && seen++ < RUNS_SEEN && (e = readdir(dir));) {
        int fd = fit(e->d_name) ? folder_at(dirfd(dir), e->d_name, O_NOFOLLOW) : -1;
        if (fd < 0) continue;
        if (is_run(fd)) look(fd, e->d_name, &run), n = insert(list, n, &run);
        close(fd);
    }
    if (dir) closedir(dir);
    return n;
}

/* ---- one -------------------------------------------------------------------------------------------------- */

static bool no_run(Fault *fault, const char *name)
{
    return fault_set(fault, 404, "run", "there is no run %.100s here; /train lists those that can be watched", name);
}

/* At most `most` bytes from `from` on; *text is to be freed. */
static bool read_part(int fd, int64_t from, size_t most, char **text, size_t *n, Fault *fault)
{
    *n = 0;
    *text = malloc(most);
    if (!*text) return fault_set(fault, 503, NULL, "no memory for the log");
    while (*n < most) {
        ssize_t k = pread(fd, *text + *n, most - *n, from + (int64_t)*n);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return fault_set(fault, 500, NULL, "the run can't be read: %s", strerror(errno));
        if (k == 0) break;
        *n += (size_t)k;
    }
    return true;
}

/* What was written while it was read is a torn object, so none. */
static json_t *read_about(int run)
{
    struct stat info;
    Fault fault;
    char *text = NULL;
    size_t n = 0;
    json_t *about = NULL;
    int fd = file_in(run, "run.json", &info);
    if (fd < 0) return NULL;
    if (info.st_size <= RUN_ABOUT && read_part(fd, 0, RUN_ABOUT, &text, &n, &fault))
        about = json_loadb(text, n, JSON_ALLOW_NUL, NULL);
    free(text);
    close(fd);
    return about;
}

bool runs_get(const char *folder, const char *name, Run *out, json_t **about, Fault *fault)
{
    int run = open_run(folder, name);
    *about = NULL;
    if (run < 0) return no_run(fault, name);
    look(run, name, out);
    *about = read_about(run);
    close(run);
    return true;
}

/* An object, as every line that a run writes; what a crash left of one is not. */
static bool is_object(const char *line, size_t n)
{
    json_t *v = json_loadb(line, n, JSON_ALLOW_NUL, NULL);
    bool yes = json_is_object(v);
    json_decref(v);
    return yes;
}

static void take_lines(RunLog *l, const char *text, size_t n)
{
    const char *end;
    for (size_t at = 0; at < n && (end = memchr(text + at, '\n', n - at)); at = (size_t)(end - text) + 1) {
        size_t size = (size_t)(end - text) - at;
        l->next = l->from + (int64_t)(end - text) + 1;
        if (size == 0) continue;
        if (!is_object(text + at, size)) {
            l->unreadable++;
            continue;
        }
        if (l->n++) text_put(&l->lines, ",");
        text_add(&l->lines, text + at, size);
    }
    if (l->next == l->from && n == RUN_PIECE) l->next += RUN_PIECE, l->unreadable++; /* longer than any line is */
}

bool runs_log(const char *folder, const char *name, int64_t from, RunLog *l, Fault *fault)
{
    struct stat info;
    char *text = NULL;
    size_t n = 0;
    int run = open_run(folder, name);
    *l = (RunLog){.from = from, .next = from};
    if (run < 0) return no_run(fault, name);
    int fd = file_in(run, "log.jsonl", &info);
    close(run);
    if (fd < 0) return l->next = 0, true; /* it has not begun */
    snprintf(l->file, sizeof l->file, "%llx-%llx", (unsigned long long)info.st_dev, (unsigned long long)info.st_ino);
    l->size = info.st_size;
    bool good = true;
    if (from > l->size) l->next = 0; /* another log than the one that was read so far */
    else if ((good = read_part(fd, from, RUN_PIECE, &text, &n, fault))) take_lines(l, text, n);
    if (good && from + (int64_t)n > l->size) l->size = from + (int64_t)n; /* it has grown meanwhile */
    free(text);
    close(fd);
    return good;
}
