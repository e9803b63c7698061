/* safetensors_index.c -- a model in several files: model.safetensors.index.json and the parts that it names */
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "io/safetensors.h"

#define MAX_INDEX ((size_t)256 << 20)

typedef struct reader {
    const char *path; /* of the index */
    char *folder;
    const json_t *map;  /* from tensor to file */
    const char **names; /* of the parts */
    pha__safetensors **parts;
    size_t n;
} reader;

/* A part lies beside the index: its name leads nowhere else. */
static pha_status check_name(const reader *r, const char *tensor, const char *name)
{
    if (!name) FAIL(BAD_INPUT, "%s: the file of tensor '%.200s' is no text", r->path, tensor);
    if (!*name || strchr(name, '/') || name[0] == '.' || strlen(name) > 255)
        FAIL(BAD_INPUT, "%s: the file '%.200s' of tensor '%.200s' must be a plain name in the same folder", r->path,
             name, tensor);
    return PHA_OK;
}

static size_t find_part(const reader *r, const char *name)
{
    size_t i = 0;
    while (i < r->n && strcmp(r->names[i], name) != 0) i++;
    return i;
}

static pha_status open_part(reader *r, const char *name)
{
    if (r->n == PHA__MAX_PARTS) FAIL(BAD_INPUT, "%s: names more than %d files", r->path, PHA__MAX_PARTS);
    char *path = pha__path_join(r->folder, name);
    if (!path) return PHA_NO_MEMORY;
    pha_status status = pha__exists(path) ? pha__safetensors_open(&r->parts[r->n], path)
                                          : pha__fail(PHA_BAD_INPUT,
                                                      "%s: the file '%s' that it names is missing; put it "
                                                      "into the same folder",
                                                      r->path, name);
    pha__free(path);
    if (!status) r->names[r->n++] = name;
    return status;
}

/* Opens the part of every tensor, which must be in it. */
static pha_status open_all(reader *r)
{
    const char *tensor;
    json_t *value;
    size_t part = 0;
    json_object_foreach((json_t *)(uintptr_t)r->map, tensor, value)
    {
        const char *name = json_string_value(value);
        TRY(check_name(r, tensor, name));
        if (part >= r->n || strcmp(r->names[part], name) != 0) part = find_part(r, name);
        if (part == r->n) TRY(open_part(r, name));
        if (!pha__safetensors_find(r->parts[part], tensor))
            FAIL(BAD_INPUT, "%s: the tensor '%.200s' is missing in %s", r->path, tensor, name);
    }
    return PHA_OK;
}

/* Nothing in the parts that the index doesn't know. */
static pha_status check_known(const reader *r)
{
    for (size_t p = 0; p < r->n; p++)
        for (size_t i = 0; i < pha__safetensors_count(r->parts[p]); i++) {
            const char *name = pha__safetensors_at(r->parts[p], i)->name;
            if (!json_object_get(r->map, name))
                FAIL(BAD_INPUT, "%s: %s holds the tensor '%.200s', which isn't in the index", r->path, r->names[p],
                     name);
        }
    return PHA_OK;
}

static pha_status read_index(pha__safetensors **out, reader *r, const json_t *index)
{
    r->map = json_object_get(index, "weight_map");
    if (!json_is_object(r->map) || json_object_size(r->map) == 0)
        FAIL(BAD_INPUT, "%s: 'weight_map' is missing or no object from tensors to files", r->path);
    const char *slash = strrchr(r->path, '/');
    r->folder = pha__strdup(slash ? r->path : ".");
    r->names = pha__alloc_zero(PHA__MAX_PARTS, sizeof *r->names);
    r->parts = pha__alloc_zero(PHA__MAX_PARTS, sizeof *r->parts);
    if (!r->folder || !r->names || !r->parts) return PHA_NO_MEMORY;
    if (slash) r->folder[slash - r->path + (slash == r->path)] = 0;
    TRY(open_all(r));
    TRY(check_known(r));
    TRY(pha__safetensors_join(out, r->parts, r->n, r->path));
    r->n = 0; /* they are its own now */
    return PHA_OK;
}

pha_status pha__safetensors_open_index(pha__safetensors **out, const char *path)
{
    reader r = {.path = path};
    json_t *index;
    *out = NULL;
    TRY(pha__json_load(&index, path, MAX_INDEX));
    pha_status status = read_index(out, &r, index);
    for (size_t i = 0; i < r.n; i++) pha__safetensors_close(r.parts[i]);
    pha__free(r.folder);
    pha__free(r.names);
    pha__free(r.parts);
    json_decref(index);
    return status;
}
