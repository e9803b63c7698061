/* prepare_folder.c -- the folder that prepare makes: beside its final place, and never over something else */
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/place.h"
#include "runtime/data/prepare_impl.h"

static bool is_part(const char *name)
{
    size_t n = strlen(name);
    return !strcmp(name, "data.json") || !strcmp(name, "tokenizer.json") ||
           !strcmp(name, PHA__TOKENIZER_CONFIG) || (n > 4 && !strcmp(name + n - 4, ".tok"));
}

static const pha__kind data_kind = {"a data folder", (const char *const[]){"data.json", NULL}, is_part};

static pha_status lock_out(pha__lock *lock, const char *out)
{
    char *path, *slash;
    TRY(pha__beside(&path, out, "lock"));
    slash = strrchr(path, '/');
    if (slash && slash > path) *slash = 0;
    pha_status status = slash && slash > path ? pha__mkdirs(path) : PHA_OK;
    if (slash) *slash = '/';
    if (!status) status = pha__lock_open(lock, path);
    pha__free(path);
    if (status == PHA_USAGE) FAIL(USAGE, "%s: another pha prepare is writing it", out);
    return status;
}

static pha_status make_folder(char **partial, const char *out)
{
    TRY(pha__place_settle(out, &data_kind));
    TRY(pha__may_replace(out, &data_kind, false));
    TRY(pha__beside(partial, out, "partial"));
    TRY(pha__remove_tree(*partial)); /* what a killed run left */
    return pha__mkdirs(*partial);
}

pha_status pha__prepare_place_open(pha__prepare_place *place, const char *out)
{
    *place = (pha__prepare_place){0};
    TRY(lock_out(&place->lock, out));
    return make_folder(&place->partial, out);
}

void pha__prepare_place_close(pha__prepare_place *place)
{
    if (place->partial) pha__discard(place->partial);
    pha__free(place->partial);
    pha__lock_close(&place->lock);
    *place = (pha__prepare_place){0};
}
