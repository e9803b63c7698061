/* inside.c -- by device and number of a folder, which every name of it has in common */
#include "base/inside.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_same(const char *path, const struct stat *other)
{
    struct stat mine;
    return stat(path, &mine) == 0 && mine.st_dev == other->st_dev && mine.st_ino == other->st_ino;
}

bool pha__is_inside(const char *path, const char *folder)
{
    char at[PATH_MAX];
    struct stat place;
    if (stat(folder, &place) != 0 || !S_ISDIR(place.st_mode) || !realpath(path, at)) return false;
    while (!is_same(at, &place)) {
        char *slash = strrchr(at, '/');
        if (slash == at) return is_same("/", &place);
        *slash = 0;
    }
    return true;
}
