/* replace.c -- a folder put in the place of another
 *
 * Where the file system can swap two names at once, the place is never empty. Where it cannot (NFS, FUSE), the old
 * folder is moved to .NAME.replaced first; a process that is killed before the new one is in the place leaves nothing
 * there, and whoever opens the place next puts the old one back. Once the new one is there all is well, so that nothing
 * fails that has to do with removing the old one: what is left of it is swept by the next who writes the place.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"

/* ---- names ----------------------------------------------------------------------------------------------- */

static size_t without_slashes(const char *path)
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/') end--;
    return end;
}

/* Of a path without slashes at its end. */
static size_t folder_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

static pha_status take(char **out, pha__str *s)
{
    *out = s->failed ? NULL : pha__strdup(s->data);
    pha__str_free(s);
    if (!*out) FAIL(NO_MEMORY, "no memory for the name of a file");
    return PHA_OK;
}

pha_status pha__resolve(char **out, const char *path)
{
    pha__str name = {0};
    struct stat info;
    pha__str_add(&name, path, without_slashes(path));
    TRY(take(out, &name));
    for (int links = 0; lstat(*out, &info) == 0 && S_ISLNK(info.st_mode); links++) {
        char target[PATH_MAX], *before = *out;
        ssize_t n = readlink(before, target, sizeof target - 1);
        *out = NULL;
        if (n > 0 && links < 40) {
            target[n] = 0;
            pha__str_add(&name, before, target[0] == '/' ? 0 : folder_part(before));
            pha__str_add(&name, target, without_slashes(target));
        }
        pha__free(before);
        if (!name.size) FAIL(IO, "%s: a link that leads nowhere", path);
        TRY(take(out, &name));
    }
    return PHA_OK;
}

pha_status pha__beside(char **out, const char *path, const char *suffix)
{
    pha__str name = {0};
    size_t end = without_slashes(path), base = end;
    while (base > 0 && path[base - 1] != '/') base--;
    if (base == end || (end - base <= 2 && strncmp(path + base, "..", end - base) == 0))
        FAIL(USAGE, "'%s': what is to be written needs a name of its own", path);
    pha__str_printf(&name, "%.*s.%.*s.%s", (int)base, path, (int)(end - base), path + base, suffix);
    return take(out, &name);
}

/* ---- replacing ------------------------------------------------------------------------------------------- */

static pha_status cannot(const char *from, const char *to)
{
    FAIL(IO, "%s: cannot be renamed to %s: %s", from, to, pha__error_text(errno));
}

/* By a third name: half of it under the second would be put back as the whole. */
void pha__remove_aside(const char *aside, const char *place)
{
    char *name;
    pha__message first = pha__message_keep();
    if (pha__beside(&name, place, "removed") == PHA_OK && pha__sys_rename(aside, name) == 0) pha__remove_tree(name);
    pha__message_restore(&first);
    pha__free(name);
}

static pha_status by_two_renames(const char *from, const char *to, const char *aside)
{
    if (pha__sys_rename(to, aside) != 0) return cannot(to, aside);
    if (pha__sys_rename(from, to) != 0) {
        pha_status status = cannot(from, to);
        pha__sys_rename(aside, to);
        return status;
    }
    TRY(pha__sync_parent(to));
    pha__remove_aside(aside, to);
    return PHA_OK;
}

static pha_status replace(const char *from, const char *to)
{
    if (pha__sys_rename(from, to) == 0) return pha__sync_parent(to);
    if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR) return cannot(from, to);
    if (pha__sys_exchange(from, to) == 0) {
        TRY(pha__sync_parent(to));
        pha__discard(from);
        return PHA_OK;
    }
    if (errno != ENOSYS && errno != EINVAL && errno != ENOTSUP) return cannot(from, to);
    char *aside;
    TRY(pha__beside(&aside, to, "replaced"));
    pha_status status = by_two_renames(from, to, aside);
    pha__free(aside);
    return status;
}

pha_status pha__replace_dir(const char *from, const char *to)
{
    char *inner = pha__path_join(from, "."), *place;
    if (!inner) return PHA_NO_MEMORY;
    pha_status status = pha__sync_parent(inner); /* the names inside `from` */
    pha__free(inner);
    TRY(status);
    TRY(pha__resolve(&place, to));
    status = replace(from, place);
    pha__free(place);
    return status;
}

/* ---- what was broken off --------------------------------------------------------------------------------- */

static pha_status put_back(const char *place, const char *aside)
{
    if (pha__exists(place)) return PHA_OK;
    if (pha__sys_rename(aside, place) != 0)
        FAIL(IO, "%s: was being replaced when that was broken off, and cannot be put back from %s: %s", place, aside,
             pha__error_text(errno));
    return pha__sync_parent(place);
}

/* Only under the lock of those who write the place: one of them may be between the two renames just now. */
static pha_status put_back_locked(const char *place, const char *aside)
{
    char *name;
    pha__lock lock;
    TRY(pha__beside(&name, place, "lock"));
    pha_status status = pha__lock_open(&lock, name);
    pha__free(name);
    if (status == PHA_USAGE) FAIL(USAGE, "%s: another process is writing it", place);
    TRY(status);
    status = put_back(place, aside);
    pha__lock_close(&lock);
    return status;
}

pha_status pha__settle(const char *path, bool locked)
{
    char *place, *aside = NULL;
    TRY(pha__resolve(&place, path));
    const char *name = place + folder_part(place);
    bool named = *name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0; /* others are never replaced */
    pha_status status = named && !pha__exists(place) ? pha__beside(&aside, place, "replaced") : PHA_OK;
    if (aside && pha__is_own_dir(aside)) status = locked ? put_back(place, aside) : put_back_locked(place, aside);
    pha__free(aside);
    pha__free(place);
    return status;
}
