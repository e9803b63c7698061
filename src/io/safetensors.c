/* safetensors.c -- reading */
#include "io/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/print.h"

#define MAX_HEADER ((uint64_t)100 << 20)
#define MAX_TENSORS ((size_t)1 << 20)
#define BAD(st, name, ...) bad(st, name, pha__fail(PHA_BAD_INPUT, __VA_ARGS__))

struct pha__safetensors {
    pha__map map;
    json_t *header;
    pha__tensor *tensors; /* sorted by name */
    size_t n;
    const unsigned char *data;
    uint64_t data_size;
    char *index; /* of a file in parts: its path; the tensors are theirs */
    pha__safetensors **parts;
    size_t n_parts;
};

/* "FILE: tensor 'NAME': message" */
static pha_status bad(const pha__safetensors *st, const char *name, pha_status status)
{
    return pha__fail_in(status, "%s: tensor '%.200s'", st->map.path, name);
}

static pha_status read_header(pha__safetensors *st)
{
    const char *path = st->map.path;
    uint64_t size = 0;
    if (st->map.size < 8) FAIL(BAD_INPUT, "%s: %zu bytes are too few for a safetensors file", path, st->map.size);
    for (int i = 7; i >= 0; i--) size = size << 8 | st->map.data[i];
    if (size > MAX_HEADER || size > st->map.size - 8)
        FAIL(BAD_INPUT, "%s: the header would be %" PRIu64 " bytes long; the file is truncated or no safetensors file",
             path, size);
    st->data = st->map.data + 8 + size;
    st->data_size = st->map.size - 8 - size;
    pha_status status = pha__json_parse(&st->header, (const char *)st->map.data + 8, (size_t)size, "header");
    if (status != PHA_OK) return pha__fail_in(status, "%s", path);
    if (!json_is_object(st->header)) FAIL(BAD_INPUT, "%s: the header is not a JSON object", path);
    return PHA_OK;
}

static pha_status check_metadata(const pha__safetensors *st)
{
    const char *key;
    json_t *value, *all = json_object_get(st->header, "__metadata__");
    if (!all) return PHA_OK;
    if (!json_is_object(all)) FAIL(BAD_INPUT, "%s: __metadata__ is not a JSON object", st->map.path);
    json_object_foreach(all, key, value)
        if (!json_is_string(value)) FAIL(BAD_INPUT, "%s: __metadata__: '%s' is not a string", st->map.path, key);
    return PHA_OK;
}

const char *const pha__safetensors_dtypes[PHA__BUILT_IN] = {
    [PHA__F32] = "F32", [PHA__BF16] = "BF16", [PHA__F16] = "F16", [PHA__F64] = "F64",
    [PHA__Q8_PANEL] = "U8", [PHA__Q4_PANEL] = "U8"}; /* the first counts in reading */

static pha_status read_dtype(pha__dtype *out, const pha__safetensors *st, const char *name, const json_t *entry)
{
    const char *text = json_string_value(json_object_get(entry, "dtype"));
    if (!text) return BAD(st, name, "has no dtype");
    for (int i = 0; i < PHA__BUILT_IN; i++)
        if (pha__safetensors_dtypes[i] && strcmp(text, pha__safetensors_dtypes[i]) == 0)
            return *out = (pha__dtype)i, PHA_OK;
    return BAD(st, name, "its dtype is %.20s; only F32, BF16, F16, F64 and U8 are read, convert the file", text);
}

/* The shape, and the number of bytes it needs. */
static pha_status read_shape(pha__tensor *t, uint64_t *bytes, const pha__safetensors *st, const json_t *entry)
{
    const json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape)) return BAD(st, t->name, "has no shape");
    if (json_array_size(shape) > PHA__MAX_RANK)
        return BAD(st, t->name, "has %zu dimensions, more than %d", json_array_size(shape), PHA__MAX_RANK);
    t->rank = (int)json_array_size(shape);
    *bytes = pha__dtype_size(t->dtype);
    for (int i = 0; i < t->rank; i++) {
        const json_t *side = json_array_get(shape, (size_t)i);
        if (!json_is_integer(side) || json_integer_value(side) < 0)
            return BAD(st, t->name, "dimension %d is not a whole number >= 0", i);
        t->shape[i] = json_integer_value(side);
        if (__builtin_mul_overflow(*bytes, (uint64_t)t->shape[i], bytes))
            return BAD(st, t->name, "its shape overflows");
    }
    return PHA_OK;
}

static pha_status read_tensor(pha__tensor *t, const pha__safetensors *st, const char *name, const json_t *entry)
{
    uint64_t bytes = 0;
    *t = (pha__tensor){ .name = name };
    if (!json_is_object(entry)) return BAD(st, name, "its entry is not a JSON object");
    TRY(read_dtype(&t->dtype, st, name, entry));
    TRY(read_shape(t, &bytes, st, entry));
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last))
        return BAD(st, name, "data_offsets is not a pair of whole numbers");
    int64_t begin = json_integer_value(first), end = json_integer_value(last);
    if (begin < 0 || end < begin || (uint64_t)end > st->data_size)
        return BAD(st, name, "its data [%" PRId64 ", %" PRId64 ") lies outside the file's %" PRIu64
                   " bytes of data; the file is truncated or damaged", begin, end, st->data_size);
    if ((uint64_t)(end - begin) != bytes)
        return BAD(st, name, "its shape needs %" PRIu64 " bytes but it has %" PRId64, bytes, end - begin);
    t->data = st->data + begin;
    t->size = (size_t)bytes;
    if (bytes && (uintptr_t)t->data % pha__dtype_size(t->dtype))
        return BAD(st, name, "its data is not aligned to %zu bytes; write the file again with a padded header",
                   pha__dtype_size(t->dtype));
    return PHA_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const pha__tensor *)a)->name, ((const pha__tensor *)b)->name);
}

static int by_place(const void *a, const void *b)
{
    const pha__tensor *s = a, *t = b;
    uintptr_t p = (uintptr_t)s->data, q = (uintptr_t)t->data;
    if (p != q) return p < q ? -1 : 1;
    return s->size < t->size ? -1 : s->size > t->size; /* empty ones first */
}

static pha_status check_cover(pha__safetensors *st)
{
    const unsigned char *at = st->data;
    if (st->n) qsort(st->tensors, st->n, sizeof *st->tensors, by_place);
    for (size_t i = 0; i < st->n; i++) {
        const pha__tensor *t = &st->tensors[i];
        const unsigned char *begin = t->data;
        if (begin < at) return BAD(st, t->name, "overlaps with '%.200s'", st->tensors[i - 1].name);
        if (begin > at) return BAD(st, t->name, "%zu bytes before it belong to no tensor", (size_t)(begin - at));
        at = begin + t->size;
    }
    if (at != st->data + st->data_size)
        FAIL(BAD_INPUT, "%s: %zu bytes at the end belong to no tensor", st->map.path,
             (size_t)(st->data + st->data_size - at));
    if (st->n) qsort(st->tensors, st->n, sizeof *st->tensors, by_name);
    return PHA_OK;
}

static pha_status read_all(pha__safetensors *st, const char *path)
{
    const char *name;
    json_t *entry;
    TRY(pha__map_open(&st->map, path));
    TRY(read_header(st));
    TRY(check_metadata(st));
    size_t n = json_object_size(st->header);
    if (n > MAX_TENSORS) FAIL(BAD_INPUT, "%s: %zu tensors are more than %zu", path, n, MAX_TENSORS);
    st->tensors = pha__alloc(n + 1, sizeof *st->tensors);
    if (!st->tensors) return PHA_NO_MEMORY;
    json_object_foreach(st->header, name, entry) {
        if (strcmp(name, "__metadata__") == 0) continue;
        TRY(read_tensor(&st->tensors[st->n], st, name, entry));
        st->n++;
    }
    return check_cover(st);
}

pha_status pha__safetensors_open(pha__safetensors **out, const char *path)
{
    *out = NULL;
    pha__safetensors *st = pha__alloc_zero(1, sizeof *st);
    if (!st) return PHA_NO_MEMORY;
    pha_status status = read_all(st, path);
    if (status == PHA_OK) *out = st;
    else pha__safetensors_close(st);
    return status;
}

void pha__safetensors_close(pha__safetensors *st)
{
    if (!st) return;
    for (size_t i = 0; i < st->n_parts; i++) pha__safetensors_close(st->parts[i]);
    pha__free(st->parts);
    pha__free(st->index);
    json_decref(st->header);
    pha__free(st->tensors);
    pha__map_close(&st->map);
    pha__free(st);
}

size_t pha__safetensors_count(const pha__safetensors *st) { return st->n; }
const pha__tensor *pha__safetensors_at(const pha__safetensors *st, size_t i) { return &st->tensors[i]; }
const char *pha__safetensors_path(const pha__safetensors *st) { return st->index ? st->index : st->map.path; }

uint64_t pha__safetensors_bytes(const pha__safetensors *st)
{
    uint64_t bytes = st->map.size;
    for (size_t i = 0; i < st->n_parts; i++) bytes += st->parts[i]->map.size;
    return bytes;
}

void pha__safetensors_head(const pha__safetensors *st, pha__file_head *head)
{
    head->size = (uint64_t)(st->data - st->map.data);
    head->hash = pha__hash(st->map.data, (size_t)head->size, 0);
}

uint64_t pha__safetensors_data(const pha__safetensors *st, const unsigned char **data)
{
    *data = st->data;
    return st->data_size;
}

uint64_t pha__safetensors_offset(const pha__safetensors *st, const pha__tensor *t)
{
    return (uint64_t)((const unsigned char *)t->data - st->data);
}

const pha__tensor *pha__safetensors_find(const pha__safetensors *st, const char *name)
{
    pha__tensor key = { .name = name };
    return st->n ? bsearch(&key, st->tensors, st->n, sizeof key, by_name) : NULL;
}

const char *pha__safetensors_metadata(const pha__safetensors *st, const char *key)
{
    const char *value = json_string_value(json_object_get(json_object_get(st->header, "__metadata__"), key));
    for (size_t i = 0; i < st->n_parts && !value; i++) value = pha__safetensors_metadata(st->parts[i], key);
    return value;
}

pha_status pha__safetensors_join(pha__safetensors **out, pha__safetensors **parts, size_t n_parts, const char *path)
{
    size_t n = 0;
    for (size_t i = 0; i < n_parts; i++) n += parts[i]->n;
    pha__safetensors *st = pha__alloc_zero(1, sizeof *st);
    if (st) {
        st->index = pha__strdup(path);
        st->parts = pha__alloc(n_parts + 1, sizeof *parts);
        st->tensors = pha__alloc(n + 1, sizeof *st->tensors);
    }
    if (!st || !st->index || !st->parts || !st->tensors) {
        pha__safetensors_close(st);
        return PHA_NO_MEMORY;
    }
    for (size_t i = 0; i < n_parts; i++) {
        memcpy(st->tensors + st->n, parts[i]->tensors, parts[i]->n * sizeof *st->tensors);
        st->n += parts[i]->n;
    }
    qsort(st->tensors, n, sizeof *st->tensors, by_name);
    for (size_t i = 1; i < n; i++) {
        if (strcmp(st->tensors[i - 1].name, st->tensors[i].name) != 0) continue;
        pha_status status =
            pha__fail(PHA_BAD_INPUT, "%s: the tensor '%.200s' is in two parts", path, st->tensors[i].name);
        pha__safetensors_close(st);
        return status;
    }
    memcpy(st->parts, parts, n_parts * sizeof *parts);
    st->n_parts = n_parts;
    *out = st;
    return PHA_OK;
}

pha_status pha__safetensors_verify(const pha__safetensors *st)
{
    for (size_t i = 0; i < st->n_parts; i++) TRY(pha__safetensors_verify(st->parts[i]));
    const char *wanted = st->n_parts ? NULL : pha__safetensors_metadata(st, PHA__TENSORS_SUM);
    char found[20];
    if (!wanted) return PHA_OK;
    pha__print(found, sizeof found, "%016" PRIx64, pha__hash(st->data, st->data_size, 0));
    if (strcmp(wanted, found))
        FAIL(BAD_INPUT,
             "%s: its numbers are not those that were written (checksum %s, not %.20s): the file is damaged; take a "
             "copy that is whole",
             st->map.path, found, wanted);
    return PHA_OK;
}
