/* safetensors_write.c -- writing */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/print.h"
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

/* Adds all entries; sizes are computed and the tensors sorted by the caller. Releases `sum`. */
static pha_status fill_header(json_t **header, const pha__tensor *tensors, size_t n, const char *const *metadata,
                              json_t *sum, const char *path)
{
    uint64_t begin = 0;
    json_t *all = pha__json_object();
    for (; metadata && metadata[0]; metadata += 2) pha__json_set(&all, metadata[0], pha__json_text(metadata[1]));
    pha__json_set(&all, PHA__TENSORS_SUM, sum);
    pha__json_set(header, "__metadata__", all);
    for (size_t i = 0; i < n; i++) {
        if (json_object_get(*header, tensors[i].name)) FAIL(FAILED, "%s: two tensors '%s'", path, tensors[i].name);
        pha__json_set(header, tensors[i].name, entry(&tensors[i], begin));
        begin += tensors[i].size;
    }
    return PHA_OK;
}

/* What stands before the data: the length of the header, the header, spaces. */
static pha_status print_head(pha__str *out, const pha__tensor *tensors, size_t n, const char *const *metadata,
                             json_t *sum, const char *path)
{
    json_t *header = pha__json_object();
    pha__str text = {0};
    pha_status status = fill_header(&header, tensors, n, metadata, sum, path);
    pha__json_print(&text, header, JSON_COMPACT);
    json_decref(header);
    size_t padded = (text.size + 8 + PADDING - 1) / PADDING * PADDING - 8;
    unsigned char length[8];
    char spaces[PADDING];
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)padded >> 8 * i);
    memset(spaces, ' ', sizeof spaces);
    pha__str_add(out, length, 8);
    pha__str_add(out, text.data, text.size);
    pha__str_add(out, spaces, padded - text.size);
    bool failed = text.failed || out->failed;
    if (!status && failed) status = pha__fail(PHA_NO_MEMORY, "%s: no memory for the header", path);
    pha__str_free(&text);
    return status;
}

static pha_status write_file(const char *path, const pha__str *head, const pha__tensor *tensors, size_t n)
{
    pha__writer *w;
    TRY(pha__writer_open(&w, path));
    pha__writer_write(w, head->data, head->size); /* failures stick in the writer */
    for (size_t i = 0; i < n; i++) pha__writer_write(w, tensors[i].data, tensors[i].size);
    return pha__writer_commit(w);
}

pha_status pha__safetensors_order(pha__tensor *tensors, size_t n, const char *path)
{
    for (size_t i = 0; i < n; i++) TRY(tensor_size(&tensors[i], path));
    if (n) qsort(tensors, n, sizeof *tensors, by_width_and_name);
    return PHA_OK;
}

static pha_status write_sorted(const char *path, pha__tensor *tensors, size_t n, const char *const *metadata)
{
    pha__str head = {0};
    TRY(pha__safetensors_order(tensors, n, path));
    pha_status status = print_head(&head, tensors, n, metadata, checksum(tensors, n), path);
    if (!status) status = write_file(path, &head, tensors, n);
    pha__str_free(&head);
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

/* ---- by several ------------------------------------------------------------------------------------------ */

pha_status pha__safetensors_draft(pha__writer **out, pha__str *head, const char *path, const pha__tensor *tensors,
                                  size_t n, const char *mark)
{
    uint64_t size = 0;
    *out = NULL;
    for (size_t i = 0; i < n; i++) size += tensors[i].size;
    TRY(print_head(head, tensors, n, NULL, pha__json_text(mark), path));
    TRY(pha__writer_open(out, path));
    pha__writer_write(*out, head->data, head->size); /* failures stick in the writer */
    pha_status status = pha__writer_extend(*out, head->size + size);
    if (status) pha__writer_abort(*out), *out = NULL;
    return status;
}

pha_status pha__safetensors_seal(pha__writer *w, const pha__str *head, const char *mark, uint64_t checksum)
{
    char digits[20];
    const char *at = strstr(head->data + 8, mark); /* the metadata comes first */
    pha__print(digits, sizeof digits, "%016" PRIx64, checksum);
    pha__writer_patch(w, (uint64_t)(at - head->data), digits, 16); /* a failure sticks */
    return pha__writer_commit(w);
}

/* ---- in parts -------------------------------------------------------------------------------------------- */

static const char whole[] = "model.safetensors", index_name[] = "model.safetensors.index.json";

bool pha__safetensors_is_part(const char *name)
{
    size_t n = 0;
    if (!strcmp(name, index_name)) return true;
    for (const char *form = "model-#####-of-#####.safetensors"; form[n]; n++)
        if (form[n] == '#' ? name[n] < '0' || name[n] > '9' : name[n] != form[n]) return false;
    return !name[n];
}

typedef struct parts {
    const char *folder;
    pha__tensor *tensors; /* sorted as in a file, with sizes */
    size_t n, *ends;      /* behind the last of each part */
    size_t n_parts;
    uint64_t bytes;
} parts;

/* As many in a row as fit; one that is larger than that has a part of its own. */
static void cut(parts *p, uint64_t most)
{
    uint64_t here = 0;
    for (size_t i = 0; i < p->n; i++) {
        if (here > 0 && p->tensors[i].size > most - (here < most ? here : most)) p->ends[p->n_parts++] = i, here = 0;
        here += p->tensors[i].size, p->bytes += p->tensors[i].size;
    }
    p->ends[p->n_parts++] = p->n;
}

static void name_part(char name[64], size_t i, size_t n)
{
    pha__print(name, 64, "model-%05zu-of-%05zu.safetensors", i + 1, n);
}

static pha_status write_index(const parts *p)
{
    char name[64], *path = pha__path_join(p->folder, index_name);
    json_t *o = pha__json_object(), *about = pha__json_object(), *map = pha__json_object();
    pha__json_set(&about, "total_size", pha__json_number((int64_t)p->bytes));
    for (size_t i = 0, part = 0; i < p->n; i++) {
        while (i == p->ends[part]) part++;
        name_part(name, part, p->n_parts);
        pha__json_set(&map, p->tensors[i].name, pha__json_text(name));
    }
    pha__json_set(&o, "metadata", about);
    pha__json_set(&o, "weight_map", map);
    pha_status status = path ? pha__json_save(o, path) : PHA_NO_MEMORY;
    json_decref(o);
    pha__free(path);
    return status;
}

static pha_status write_part(const parts *p, size_t part, const char *const *metadata)
{
    char name[64];
    size_t begin = part ? p->ends[part - 1] : 0;
    name_part(name, part, p->n_parts);
    char *path = pha__path_join(p->folder, p->n_parts > 1 ? name : whole);
    pha_status status = path ? write_sorted(path, p->tensors + begin, p->ends[part] - begin, metadata) : PHA_NO_MEMORY;
    pha__free(path);
    return status;
}

static pha_status write_parts(parts *p, const char *const *metadata, uint64_t most)
{
    TRY(pha__safetensors_order(p->tensors, p->n, p->folder));
    cut(p, most);
    if (p->n_parts > PHA__MAX_PARTS)
        FAIL(FAILED, "%s: the tensors make more than %d files", p->folder, PHA__MAX_PARTS);
    for (size_t i = 0; i < p->n_parts; i++) TRY(write_part(p, i, metadata));
    return p->n_parts > 1 ? write_index(p) : PHA_OK;
}

pha_status pha__safetensors_write_parts(const char *folder, const pha__tensor *tensors, size_t n,
                                        const char *const *metadata, uint64_t most)
{
    parts p = {.folder = folder, .n = n, .tensors = pha__alloc(n + 1, sizeof *p.tensors),
               .ends = pha__alloc(n + 1, sizeof *p.ends)};
    if (n && p.tensors) memcpy(p.tensors, tensors, n * sizeof *p.tensors);
    pha_status status = p.tensors && p.ends ? write_parts(&p, metadata, most) : PHA_NO_MEMORY;
    pha__free(p.tensors);
    pha__free(p.ends);
    return status;
}
