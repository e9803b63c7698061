/* safetensors_write.c -- writing */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "io/safetensors.h"

#define PADDING 64 /* the data begins at a multiple: aligned for every dtype and for whole cache lines */

/* Wider numbers first: then every tensor is aligned without holes. */
static int by_width_and_name(const void *a, const void *b)
{
    const pha__tensor *s = a, *t = b;
    size_t p = pha__dtype_size(s->dtype), q = pha__dtype_size(t->dtype);
    if (p != q) return p > q ? -1 : 1;
    return strcmp(s->name, t->name);
}

static pha_status tensor_size(pha__tensor *t, const char *path)
{
    if (t->rank < 0 || t->rank > PHA__MAX_RANK) FAIL(FAILED, "%s: tensor '%s': rank %d", path, t->name, t->rank);
    if (!pha__utf8_valid(t->name, strlen(t->name)))
        FAIL(FAILED, "%s: the tensor's name '%s' is not UTF-8", path, t->name);
    if (strcmp(t->name, "__metadata__") == 0) FAIL(FAILED, "%s: no tensor can be called __metadata__", path);
    t->size = pha__dtype_size(t->dtype);
    for (int i = 0; i < t->rank; i++)
        if (t->shape[i] < 0 || __builtin_mul_overflow(t->size, (size_t)t->shape[i], &t->size))
            FAIL(FAILED, "%s: tensor '%s': bad shape", path, t->name);
    return PHA_OK;
}

static json_t *entry(const pha__tensor *t, uint64_t begin)
{
    json_t *o = pha__json_object(), *shape = pha__json_list(), *offsets = pha__json_list();
    for (int i = 0; i < t->rank; i++) pha__json_add(&shape, pha__json_number(t->shape[i]));
    pha__json_add(&offsets, pha__json_number((int64_t)begin));
    pha__json_add(&offsets, pha__json_number((int64_t)(begin + t->size)));
    pha__json_set(&o, "dtype", pha__json_text(pha__safetensors_dtypes[t->dtype]));
    pha__json_set(&o, "shape", shape);
    pha__json_set(&o, "data_offsets", offsets);
    return o;
}

/* Of the data as the file will have it; NULL: no memory. */
static json_t *checksum(const pha__tensor *tensors, size_t n)
{
    pha__hasher *h = pha__hasher_open();
    if (!h) return NULL;
    for (size_t i = 0; i < n; i++) pha__hasher_add(h, tensors[i].data, tensors[i].size);
    json_t *sum = pha__json_hex(pha__hasher_value(h));
    pha__hasher_close(h);
    return sum;
}

/* Adds all entries; sizes are computed and the tensors sorted by the caller. */
static pha_status fill_header(json_t **header, const pha__tensor *tensors, size_t n, const char *const *metadata,
                              const char *path)
{
    uint64_t begin = 0;
    json_t *all = pha__json_object();
    for (; metadata && metadata[0]; metadata += 2) pha__json_set(&all, metadata[0], pha__json_text(metadata[1]));
    pha__json_set(&all, PHA__TENSORS_SUM, checksum(tensors, n));
    pha__json_set(header, "__metadata__", all);
    for (size_t i = 0; i < n; i++) {
        if (json_object_get(*header, tensors[i].name)) FAIL(FAILED, "%s: two tensors '%s'", path, tensors[i].name);
        pha__json_set(header, tensors[i].name, entry(&tensors[i], begin));
        begin += tensors[i].size;
    }
    return PHA_OK;
}

static pha_status write_header(pha__writer *w, const char *text)
{
    size_t size = strlen(text), padded = (size + 8 + PADDING - 1) / PADDING * PADDING - 8;
    unsigned char length[8];
    char spaces[PADDING];
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)padded >> 8 * i);
    memset(spaces, ' ', sizeof spaces);
    TRY(pha__writer_write(w, length, 8));
    TRY(pha__writer_write(w, text, size));
    return pha__writer_write(w, spaces, padded - size);
}

static pha_status write_file(const char *path, const char *text, const pha__tensor *tensors, size_t n)
{
    pha__writer *w;
    TRY(pha__writer_open(&w, path));
    write_header(w, text); /* failures stick in the writer */
    for (size_t i = 0; i < n; i++) pha__writer_write(w, tensors[i].data, tensors[i].size);
    return pha__writer_commit(w);
}

static pha_status write_sorted(const char *path, pha__tensor *tensors, size_t n, const char *const *metadata)
{
    for (size_t i = 0; i < n; i++) TRY(tensor_size(&tensors[i], path));
    if (n) qsort(tensors, n, sizeof *tensors, by_width_and_name);
    json_t *header = pha__json_object();
    pha_status status = fill_header(&header, tensors, n, metadata, path);
    pha__str text = {0};
    pha__json_print(&text, header, JSON_COMPACT);
    json_decref(header);
    if (status == PHA_OK && text.failed) status = pha__fail(PHA_NO_MEMORY, "%s: no memory for the header", path);
    if (status == PHA_OK) status = write_file(path, text.data, tensors, n);
    pha__str_free(&text);
    return status;
}

pha_status pha__safetensors_write(const char *path, const pha__tensor *tensors, size_t n, const char *const *metadata)
{
    pha__tensor *sorted = pha__alloc(n + 1, sizeof *sorted);
    if (!sorted) return PHA_NO_MEMORY;
    if (n) memcpy(sorted, tensors, n * sizeof *sorted);
    pha_status status = write_sorted(path, sorted, n, metadata);
    pha__free(sorted);
    return status;
}
