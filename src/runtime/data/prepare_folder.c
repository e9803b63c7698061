/* prepare_folder.c -- the folder that prepare makes: beside its final place, and never over something else */
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/place.h"
#include "runtime/data/prepare_impl.h"

/* In a folder that is not finished: says that it is ours. */
static const char marker[] = "prepare.partial";

/* SPLIT-00000.tok and on */
static bool is_shard(const char *name)
{
    for (int i = 0; i < PHA__DATA_SPLITS; i++) {
        size_t n = strlen(pha__split_names[i]), digits;
        if (strncmp(name, pha__split_names[i], n) != 0 || name[n] != '-') continue;
        digits = strspn(name + n + 1, "0123456789");
        return digits >= 5 && !strcmp(name + n + 1 + digits, ".tok");
    }
    return false;
}

static bool is_part(const char *name)
{
    return !strcmp(name, "data.json") || !strcmp(name, "tokenizer.json") ||
           !strcmp(name, PHA__TOKENIZER_CONFIG) || is_shard(name);
}

static const pha__kind data_kind = {"a data folder", (const char *const[]){"data.json", NULL}, is_part};

/* A file of an unfinished folder. */
static bool is_part_of_partial(const char *name)
{
    return is_part(name) || pha__inputs_is_spool(name) || !strcmp(name, marker);
}

/* Did pha write this file? What is left of a folder that was being removed has no marker. */
static bool is_written_by_us(const char *folder, const char *name)
{
    static const char shard[] = "PHATOK\x1a\n", tokenizer[] = "{\n  \"added_tokens\": [";
    const char *start = is_shard(name) ? shard : !strcmp(name, "tokenizer.json") ? tokenizer : "";
    size_t n = strlen(start);
    pha__map file = {0};
    char *path = n ? pha__path_join(folder, name) : NULL;
    bool ours = path && !pha__map_open(&file, path) && file.size >= n && memcmp(file.data, start, n) == 0;
    pha__map_close(&file);
    pha__free(path);
    return ours;
}

/* Is all of it what a killed run leaves? */
static bool is_left_over(const char *folder, char *const *names, size_t n)
{
    bool ours = n == 0, parts = true;
    for (size_t i = 0; i < n; i++) {
        char whole[256];
        pha__whole_name(whole, names[i]);
        parts = parts && is_part_of_partial(whole);
        ours = ours || !strcmp(whole, marker) || !strcmp(names[i], "data.json") || is_written_by_us(folder, names[i]);
    }
    return ours && parts;
}

static pha_status with_file(const char *folder, const char *name, pha_status (*fn)(const char *path))
{
    char *path = pha__path_join(folder, name);
    pha_status status = path ? fn(path) : pha__fail(PHA_NO_MEMORY, "%s: out of memory", folder);
    pha__free(path);
    return status;
}

/* Removes what is in the folder but the marker, or only the copies of streams. */
static pha_status empty(const char *folder, bool only_spools)
{
    char **names;
    size_t n;
    TRY(pha__list_dir(&names, &n, folder));
    pha_status status = PHA_OK;
    for (size_t i = 0; i < n && !status; i++)
        if (only_spools ? pha__inputs_is_spool(names[i]) : strcmp(names[i], marker) != 0)
            status = with_file(folder, names[i], pha__remove_tree);
    pha__free_list(names, n);
    return status;
}

/* The marker goes last: a folder that is half removed is still known. */
static pha_status remove_partial(const char *folder)
{
    empty(folder, false); /* if that fails, the rest is removed all the same */
    return pha__remove_tree(folder);
}

/* Removes what a killed run left, and nothing else. */
static pha_status sweep(const char *partial)
{
    char **names;
    size_t n;
    bool ours = false;
    if (!pha__exists(partial)) return PHA_OK;
    if (pha__is_own_dir(partial)) {
        TRY(pha__list_dir(&names, &n, partial));
        ours = is_left_over(partial, names, n);
        pha__free_list(names, n);
    }
    if (!ours)
        FAIL(USAGE, "%s: is in the way, and not what a pha prepare that was killed leaves; move it or remove it",
             partial);
    return remove_partial(partial);
}

static pha_status write_marker(const char *path)
{
    static const char text[] = "pha prepare is writing this folder, or was killed while it did.\n";
    return pha__write_file(path, text, sizeof text - 1);
}

static pha_status make_folder(char **partial, const char *out)
{
    char *path;
    TRY(pha__place_settle(out, &data_kind));
    TRY(pha__may_replace(out, &data_kind, false));
    TRY(pha__beside(&path, out, "partial"));
    pha_status status = sweep(path);
    if (status) pha__free(path);
    else *partial = path;
    if (!status) status = pha__mkdirs(path);
    return status ? status : with_file(path, marker, write_marker);
}

pha_status pha__prepare_place_commit(pha__prepare_place *place, const char *out)
{
    TRY(empty(place->partial, true));
    TRY(with_file(place->partial, marker, pha__remove_tree));
    return pha__replace_dir(place->partial, out);
}

pha_status pha__prepare_place_open(pha__prepare_place *place, const char *out)
{
    *place = (pha__prepare_place){0};
    TRY(pha__place_lock(&place->lock, out, "another pha prepare"));
    return make_folder(&place->partial, out);
}

void pha__prepare_place_close(pha__prepare_place *place)
{
    pha__message first = pha__message_keep();
    if (place->partial && pha__is_own_dir(place->partial)) remove_partial(place->partial);
    pha__message_restore(&first);
    pha__free(place->partial);
    pha__lock_close(&place->lock);
    *place = (pha__prepare_place){0};
}
