/* config.c -- finds the configurations that come with pha by name */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"

/* Where presets may lie, best first; "@" stands for the program's folder. */
static const char *const folders[] = {
    "configs",
    "@/configs",
    "@/../configs",
    "@/../share/pha/configs",
#ifdef PHA_CONFIG_DIR
    PHA_CONFIG_DIR,
#endif
};
#define FOLDERS (sizeof folders / sizeof folders[0])

static void folder_path(size_t i, char *path, size_t size)
{
    char self[1024];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = 0;
    char *slash = strrchr(self, '/');
    if (slash) *slash = 0;
    if (folders[i][0] == '@') snprintf(path, size, "%s%s", slash ? self : ".", folders[i] + 1);
    else snprintf(path, size, "%s", folders[i]);
}

/* The nearest preset's name into `name`; false if there is none. kind: "" or a folder below, with its slash. */
static bool nearest_preset(const char *kind, const char *wanted, char name[256])
{
    char path[1400], *names[256];
    size_t n = 0;
    for (size_t i = 0; i < FOLDERS; i++) {
        folder_path(i, path, 1200);
        strncat(path, kind, 100);
        DIR *dir = opendir(path);
        for (struct dirent *e; dir && n < 256 && (e = readdir(dir));) {
            size_t length = strlen(e->d_name);
            if (length < 6 || strcmp(e->d_name + length - 5, ".json")) continue;
            char *copy = strndup(e->d_name, length - 5);
            if (copy) names[n++] = copy;
        }
        if (dir) closedir(dir);
    }
    const char *near = nearest(wanted, (const char *const *)names, n);
    if (near) snprintf(name, 256, "%s", near);
    while (n > 0) free(names[--n]);
    return near != NULL;
}

static int find(Call *call, const char *kind, const char *what, const char *name, const char **out)
{
    char path[1500], folder[1200], near[256];
    struct stat st;
    *out = name;
    size_t length = strlen(name);
    bool bare = length && !strchr(name, '/') && !(length > 5 && strcmp(name + length - 5, ".json") == 0);
    if (!bare || stat(name, &st) == 0) return 0; /* the library says what is wrong with a path */
    snprintf(path, sizeof path, ".%.256s.replaced", name);
    if (stat(path, &st) == 0) return 0; /* a folder whose replacement was broken off, which the library puts back */
    for (size_t i = 0; i < FOLDERS; i++) {
        folder_path(i, folder, sizeof folder);
        snprintf(path, sizeof path, "%s/%s%.256s.json", folder, kind, name);
        if (stat(path, &st) == 0) {
            *out = option_copy(call, path, strlen(path));
            return 0;
        }
    }
    if (nearest_preset(kind, name, near)) usage_error(call, "there is no %s %s; did you mean %s?", what, name, near);
    else usage_error(call, "there is no %s %s: neither a file nor one of the names in configs/%s", what, name, kind);
    return PHA_BAD_INPUT;
}

int find_config(Call *call, const char *name, const char **out)
{
    return find(call, "", "configuration", name, out);
}

int find_experiment(Call *call, const char *name, const char **out)
{
    return find(call, "repro/", "experiment", name, out);
}

uint64_t room_for_texts(int64_t megabytes)
{
    long pages = sysconf(_SC_AVPHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    if (megabytes >= 0) return (uint64_t)megabytes * 1000000;
    return pages > 0 && size > 0 ? (uint64_t)pages / 4 * (uint64_t)size : 1000000000;
}
