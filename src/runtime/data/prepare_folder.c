/* prepare_folder.c -- the folder that prepare makes: beside its final place, and never over something else */
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/place.h"
#include "base/str.h"
#include "runtime/data/prepare_impl.h"

static bool is_part(const char *name)
{
    size_t n = strlen(name);
    return !strcmp(name, "data.json") || !strcmp(name, "tokenizer.json") ||
           !strcmp(name, PHA__TOKENIZER_CONFIG) || (n > 4 && !strcmp(name + n - 4, ".tok"));
}

static const pha__kind data_kind = {"a data folder", (const char *const[]){"data.json", NULL}, is_part};

/* ".NAME.partial" and ".NAME.lock" beside `out` */
static pha_status name_beside(char **path, const char *out, const char *suffix)
{
    size_t end = strlen(out);
    while (end > 1 && out[end - 1] == '/') end--;
    size_t base = end;
    while (base > 0 && out[base - 1] != '/') base--;
    if (base == end || (end - base <= 2 && strncmp(out + base, "..", end - base) == 0))
        FAIL(USAGE, "'%s': the output folder needs a name of its own", out);
    pha__str name = {0};
    pha__str_printf(&name, "%.*s.%.*s.%s", (int)base, out, (int)(end - base), out + base, suffix);
    *path = name.failed ? NULL : pha__strdup(name.data);
    pha__str_free(&name);
    if (!*path) FAIL(NO_MEMORY, "%s: out of memory", out);
    return PHA_OK;
}

static pha_status lock_out(pha__lock *lock, const char *out)
{
    char *path, *slash;
    TRY(name_beside(&path, out, "lock"));
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
    TRY(pha__may_replace(out, &data_kind, false));
    TRY(name_beside(partial, out, "partial"));
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
    if (place->partial) pha__remove_tree(place->partial);
    pha__free(place->partial);
    pha__lock_close(&place->lock);
    *place = (pha__prepare_place){0};
}
