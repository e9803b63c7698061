/* place.c -- what may be replaced */
#include "base/place.h"

#include <string.h>

#include "base/fs.h"

static bool holds(char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(names[i], name)) return true;
    return false;
}

static pha_status look(const char *folder, const pha__kind *kind, bool unfinished, char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *end = strrchr(names[i], '.');
        bool half = unfinished && end && !strcmp(end, ".tmp");
        if (!half && !kind->part(names[i]))
            FAIL(USAGE, "%s: holds '%s', which is no part of %s; choose another folder or remove it", folder, names[i],
                 kind->what);
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
    if (!pha__is_dir(folder)) FAIL(USAGE, "%s: a file is in the way; choose another folder or remove it", folder);
    TRY(pha__list_dir(&names, &n, folder));
    pha_status status = look(folder, kind, unfinished, names, n);
    pha__free_list(names, n);
    return status;
}
