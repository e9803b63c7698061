/* text_list.c -- the files behind a list of files and folders, in a fixed order */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/text.h"

enum { MAX_DEPTH = 100 }; /* folders in folders; links to folders are not followed, so there are no loops */

static pha_status push(pha__text_list *list, const char *path, const char *name, const struct stat *st, bool named)
{
    if (list->n == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 64;
        pha__text_file *grown = pha__realloc(list->files, capacity, sizeof *grown);
        if (!grown) FAIL(NO_MEMORY, "%s: out of memory for the list of files", path);
        list->files = grown, list->capacity = capacity;
    }
    pha__text_file *file = &list->files[list->n];
    *file = (pha__text_file){pha__strdup(path),         pha__strdup(name), (uint64_t)st->st_size, (uint64_t)st->st_dev,
                             (uint64_t)st->st_ino, named, false};
    if (!file->path || !file->name) {
        pha__free(file->path);
        pha__free(file->name);
        FAIL(NO_MEMORY, "%s: out of memory for the list of files", name);
    }
    list->n++;
    list->bytes += file->size;
    return PHA_OK;
}

static pha_status add_folder(pha__text_list *list, const char *path, const struct stat *exclude, int depth);

static pha_status add_entry(pha__text_list *list, const char *path, const struct stat *exclude, int depth)
{
    struct stat st;
    if (lstat(path, &st) != 0) FAIL(IO, "%s: %s", path, strerror(errno));
    bool link = S_ISLNK(st.st_mode);
    if (link && stat(path, &st) != 0) st.st_mode = 0; /* a link to nothing is left out like a socket */
    if (S_ISDIR(st.st_mode) && !link) return add_folder(list, path, exclude, depth + 1);
    if (S_ISREG(st.st_mode)) return push(list, path, path, &st, false);
    pha__log(PHA__LOG_NOTE, "%s: left out (%s)", path, link ? "a link, not to a file" : "not a regular file");
    list->skipped++;
    return PHA_OK;
}

static bool ends_with(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    return n >= m && !strcmp(name + n - m, suffix);
}

/* What the datasets library writes about its Arrow files. */
static bool is_about_data(const char *name, bool arrow)
{
    return !strcmp(name, "dataset_dict.json") ||
           (arrow && (!strcmp(name, "dataset_info.json") || !strcmp(name, "state.json")));
}

static pha_status add_folder(pha__text_list *list, const char *path, const struct stat *exclude, int depth)
{
    struct stat st;
    if (exclude && stat(path, &st) == 0 && st.st_dev == exclude->st_dev && st.st_ino == exclude->st_ino) return PHA_OK;
    if (depth > MAX_DEPTH) FAIL(BAD_INPUT, "%s: more than %d folders inside each other", path, MAX_DEPTH);
    char **names = NULL;
    size_t n = 0;
    TRY(pha__list_dir(&names, &n, path));
    pha_status status = PHA_OK;
    bool arrow = false;
    for (size_t i = 0; i < n; i++) arrow = arrow || ends_with(names[i], ".arrow");
    for (size_t i = 0; i < n && status == PHA_OK; i++) {
        if (names[i][0] == '.' || is_about_data(names[i], arrow)) continue;
        char *entry = pha__path_join(path, names[i]);
        status = entry ? add_entry(list, entry, exclude, depth) : pha__fail(PHA_NO_MEMORY, "%s: out of memory", path);
        pha__free(entry);
    }
    pha__free_list(names, n);
    return status;
}

pha_status pha__text_list_add(pha__text_list *list, const char *path, const char *exclude)
{
    struct stat st, out;
    if (stat(path, &st) != 0) {
        if (errno == ENOENT) FAIL(IO, "%s: no such file or folder", path);
        FAIL(IO, "%s: %s", path, strerror(errno));
    }
    bool have_out = exclude && stat(exclude, &out) == 0;
    if (S_ISDIR(st.st_mode)) return add_folder(list, path, have_out ? &out : NULL, 0);
    if (!S_ISREG(st.st_mode)) FAIL(BAD_INPUT, "%s: neither a regular file nor a folder", path);
    return push(list, path, path, &st, true);
}

pha_status pha__text_list_add_as(pha__text_list *list, const char *path, const char *name)
{
    struct stat st;
    if (stat(path, &st) != 0) FAIL(IO, "%s: %s", path, strerror(errno));
    return push(list, path, name, &st, true);
}

static void free_file(pha__text_file *file)
{
    pha__free(file->path);
    pha__free(file->name);
}

void pha__text_list_drop(pha__text_list *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->n; i++) {
        pha__text_file *file = &list->files[i];
        if (file->drop) {
            list->bytes -= file->size;
            free_file(file);
        } else {
            list->files[kept++] = *file;
        }
    }
    list->n = kept;
}

void pha__text_list_free(pha__text_list *list)
{
    for (size_t i = 0; i < list->n; i++) free_file(&list->files[i]);
    pha__free(list->files);
    *list = (pha__text_list){ 0 };
}
