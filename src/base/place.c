/* place.c -- what may be replaced */
#include "base/place.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

static bool holds(char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(names[i], name)) return true;
    return false;
}

/* A file, or what can't be looked at. */
static pha_status in_the_way(const char *folder)
{
    pha_status status = pha__need_dir(folder, "choose another folder or remove it");
    if (pha__file_size(folder) < 0) return status;
    FAIL(USAGE, "%s: a file is in the way; choose another folder or remove it", folder);
}

/* A part is a file: what a folder of its name holds is somebody's. */
static pha_status check_file(const char *folder, const char *name)
{
    char *path = pha__path_join(folder, name);
    if (!path) FAIL(NO_MEMORY, "no memory for the name of a file");
    bool is_folder = pha__is_own_dir(path);
    pha__free(path);
    if (is_folder) FAIL(USAGE, "%s: '%s' in it is a folder; choose another folder or remove it", folder, name);
    return PHA_OK;
}

static pha_status look(const char *folder, const pha__kind *kind, bool unfinished, char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char whole[256];
        pha__whole_name(whole, names[i]);
        if (!kind->part(unfinished ? whole : names[i]))
            FAIL(USAGE, "%s: holds '%s', which is no part of %s; choose another folder or remove it", folder, names[i],
                 kind->what);
        TRY(check_file(folder, names[i]));
    }
    for (size_t i = 0; n > 0 && !unfinished && kind->needed[i]; i++)
        if (!holds(names, n, kind->needed[i]))
            FAIL(USAGE, "%s: exists and is not %s; choose another folder or remove it", folder, kind->what);
    return PHA_OK;
}

pha_status pha__may_replace(const char *folder, const pha__kind *kind, bool unfinished)
{
    char **names;
    size_t n;
    if (!pha__exists(folder)) return PHA_OK;
    if (unfinished && !pha__is_own_dir(folder)) FAIL(USAGE, "%s: is in the way and no folder; remove it", folder);
    if (!pha__is_dir(folder)) return in_the_way(folder);
    TRY(pha__list_dir(&names, &n, folder));
    pha_status status = look(folder, kind, unfinished, names, n);
    pha__free_list(names, n);
    return status;
}

static bool is_swept(const char *folder, const pha__kind *kind)
{
    pha__message first = pha__message_keep();
    bool yes = pha__is_own_dir(folder) && !pha__may_replace(folder, kind, true);
    pha__message_restore(&first);
    return yes;
}

void pha__sweep(const char *folder, const pha__kind *kind)
{
    if (is_swept(folder, kind)) pha__discard(folder);
}

static pha_status make_parent(char *path)
{
    char *slash = strrchr(path, '/');
    if (!slash || slash == path) return PHA_OK;
    *slash = 0;
    pha_status status = pha__mkdirs(path);
    *slash = '/';
    return status;
}

pha_status pha__place_lock(pha__lock *lock, const char *place, const char *who)
{
    char *name;
    TRY(pha__beside(&name, place, "lock"));
    pha_status status = make_parent(name);
    if (!status) status = pha__lock_open(lock, name);
    pha__free(name);
    if (status == PHA_USAGE) FAIL(USAGE, "%s: %s is writing it", place, who);
    return status;
}

/* ---- claims ---------------------------------------------------------------------------------------------- */

pha_status pha__place_settle(const char *place, const pha__kind *kind)
{
    char *aside, *removed = NULL;
    TRY(pha__settle(place, true));
    TRY(pha__beside(&aside, place, "replaced"));
    pha_status status = pha__beside(&removed, place, "removed");
    if (!status) {
        pha__sweep(removed, kind);
        if (is_swept(aside, kind)) pha__remove_aside(aside, place);
    }
    pha__free(removed);
    pha__free(aside);
    return status;
}

static pha_status open_claim(pha__claim *c, const char *folder, const pha__kind *kind)
{
    pha__str beside = {0};
    TRY(pha__resolve(&c->to, folder));
    pha__str_printf(&beside, "%s.writing", c->to);
    c->beside = beside.data;
    if (beside.failed) FAIL(NO_MEMORY, "no memory for the name of a folder");
    TRY(pha__place_lock(&c->lock, c->to, "another process"));
    TRY(pha__place_settle(c->to, kind));
    TRY(pha__may_replace(c->to, kind, false));
    TRY(pha__may_replace(c->beside, kind, true));
    return pha__remove_tree(c->beside); /* what a killed process left */
}

pha_status pha__claim_open(pha__claim *c, const char *folder, const pha__kind *kind)
{
    *c = (pha__claim){0};
    pha_status status = open_claim(c, folder, kind);
    if (!status) return PHA_OK;
    pha__lock_close(&c->lock);
    pha__free(c->to);
    pha__free(c->beside);
    *c = (pha__claim){0};
    return status;
}

pha_status pha__claim_commit(pha__claim *c) { return pha__replace_dir(c->beside, c->to); }

void pha__claim_close(pha__claim *c)
{
    if (c->beside) pha__discard(c->beside);
    pha__lock_close(&c->lock);
    pha__free(c->to);
    pha__free(c->beside);
    *c = (pha__claim){0};
}
