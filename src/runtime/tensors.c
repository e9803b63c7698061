/* tensors.c -- parameters as tensors of a file */
#include "runtime/tensors.h"

#include <string.h>

#include "base/format.h"
#include "base/mem.h"
#include "base/print.h"

/* Is it in a file at all? Moments and gradients have only learned parameters. */
static bool in_file(const pha__node *v, bool learned) { return learned ? pha__learned(v) : v->kind != PHA__CONSTANT; }

/* ---- writing --------------------------------------------------------------------------------------------- */

typedef struct listing {
    pha__tensor *tensors;
    size_t n;
    float *staging;     /* numbers that the host can't read where they are */
    pha__arena names;
} listing;

static const char *suffix_of(pha__dtype t) { return t == PHA__Q8_PANEL ? ".q8" : t == PHA__Q4_PANEL ? ".q4" : NULL; }

/* Panels, blocks of a panel, bytes of a block. */
static void shape_of_blocks(int64_t shape[3], pha__dtype t, const pha__node *v)
{
    shape[0] = (v->rows + PHA__PANEL - 1) / PHA__PANEL;
    shape[1] = (v->width + PHA__BLOCK - 1) / PHA__BLOCK;
    shape[2] = t == PHA__Q8_PANEL ? PHA__Q8_BYTES : PHA__Q4_BYTES;
}

/* A matrix in blocks. */
static pha_status list_blocks(listing *l, const pha__node *v, pha__place at)
{
    const char *suffix = suffix_of(at.format);
    size_t size = strlen(v->path) + strlen(suffix) + 1;
    char *name = pha__arena_alloc(&l->names, size, 1);
    if (!name) return PHA_NO_MEMORY;
    pha__print(name, size, "%s%s", v->path, suffix);
    pha__tensor t = {.name = name, .dtype = at.format, .rank = 3, .data = at.data};
    shape_of_blocks(t.shape, at.format, v);
    l->tensors[l->n++] = t;
    return PHA_OK;
}

/* Formats that a file has as they are. */
static bool plain(pha__dtype t) { return t == PHA__F32 || t == PHA__BF16 || t == PHA__F16; }

/* Where the host can read a place as a file has it; NULL: it can't. */
static const void *here(const pha__store *s, pha__role role, int i)
{
    pha__place at = pha__store_at(s, role, i);
    bool host = !s->device || s->device->backend->host_memory;
    return host && (plain(at.format) || suffix_of(at.format)) ? at.data : NULL;
}

static pha_status list(listing *l, const pha__store *s, pha__role role, bool flat)
{
    const pha__program *p = s->names;
    for (int i = 0; i < p->n_params; i++) {
        const pha__node *v = p->params[i];
        if (!in_file(v, role != PHA__WEIGHT)) continue;
        pha__place at = pha__store_at(s, role, i);
        const void *data = here(s, role, i);
        if (data && suffix_of(at.format)) {
            TRY(list_blocks(l, v, at));
            continue;
        }
        if (!data) TRY(pha__store_copy_out(s, role, i, l->staging + v->offset));
        bool vector = flat && v->rows == 1 && (v->kind == PHA__VECTOR || v->kind == PHA__DYNAMICS);
        pha__tensor t = {.name = v->path, .dtype = data ? at.format : PHA__F32, .rank = 2,
                         .shape = {v->rows, v->width}};
        if (vector) t.rank = 1, t.shape[0] = v->width;
        t.data = data ? data : l->staging + v->offset;
        l->tensors[l->n++] = t;
    }
    return PHA_OK;
}

pha_status pha__tensors_write(const char *path, const pha__store *s, pha__role role, bool flat,
                              const char *const *metadata)
{
    const pha__program *p = s->names;
    bool all = true;
    for (int i = 0; i < p->n_params; i++)
        all = all && (!in_file(p->params[i], role != PHA__WEIGHT) || here(s, role, i));
    listing l = {.tensors = pha__alloc_zero((size_t)p->n_params + 1, sizeof *l.tensors)};
    l.staging = all ? NULL : pha__alloc((size_t)p->weights, sizeof *l.staging);
    pha_status status = l.tensors && (all || l.staging) ? list(&l, s, role, flat) : PHA_NO_MEMORY;
    if (!status) status = pha__safetensors_write(path, l.tensors, l.n, metadata);
    pha__free(l.tensors);
    pha__free(l.staging);
    pha__arena_free(&l.names);
    return status;
}

size_t pha__tensors_name(const pha__program *names, bool learned, pha__tensor *out)
{
    size_t n = 0;
    for (int i = 0; i < names->n_params; i++) {
        const pha__node *v = names->params[i];
        if (in_file(v, learned))
            out[n++] = (pha__tensor){.name = v->path, .dtype = PHA__F32, .rank = 2, .shape = {v->rows, v->width}};
    }
    return n;
}

/* ---- reading --------------------------------------------------------------------------------------------- */

static pha_status shape_error(const char *path, const pha__tensor *t, const pha__node *v)
{
    FAIL(BAD_INPUT,
         "%s: '%s' is %lld x %lld but the configuration asks for %d x %d; is config.json that of these weights?", path,
         v->path, t->rank > 1 ? (long long)t->shape[0] : 1LL, t->rank ? (long long)t->shape[t->rank - 1] : 1LL, v->rows,
         v->width);
}

static size_t suffix_size(const char *name)
{
    size_t n = strlen(name);
    return n > 3 && (!strcmp(name + n - 3, ".q8") || !strcmp(name + n - 3, ".q4")) ? 3 : 0;
}

pha__dtype pha__tensor_format(const pha__tensor *t)
{
    if (t->dtype != PHA__Q8_PANEL || !suffix_size(t->name)) return t->dtype;
    return t->name[strlen(t->name) - 1] == '8' ? PHA__Q8_PANEL : PHA__Q4_PANEL;
}

/* The tensor of a parameter: under its path, or a matrix in blocks; NULL: there is none. */
static const pha__tensor *find(const pha__safetensors *file, const pha__node *v, bool learned)
{
    const pha__tensor *t = pha__safetensors_find(file, v->path);
    for (int q = PHA__Q8_PANEL; q <= PHA__Q4_PANEL && !t && !learned && v->kind == PHA__MATRIX; q++) {
        char name[256];
        int n = pha__print(name, sizeof name, "%s%s", v->path, suffix_of((pha__dtype)q));
        t = n > 0 && n < (int)sizeof name ? pha__safetensors_find(file, name) : NULL;
    }
    return t;
}

/* The parameter of a tensor's name; NULL: there is none. */
static const pha__node *param_of(const pha__program *names, const char *name)
{
    char path[256];
    size_t n = strlen(name) - suffix_size(name);
    const pha__node *v = pha__find_param(names, name);
    if (v || n >= sizeof path) return v;
    pha__print(path, sizeof path, "%.*s", (int)n, name);
    return pha__find_param(names, path);
}

static pha_status blocks_error(const char *path, const pha__tensor *t, const pha__node *v)
{
    int64_t shape[3];
    if (t->dtype != PHA__Q8_PANEL) FAIL(BAD_INPUT, "%s: '%s' is not U8, as numbers in blocks are", path, t->name);
    if (!suffix_size(t->name))
        FAIL(BAD_INPUT, "%s: '%s' is U8; only matrices in blocks, PATH.q8 or PATH.q4, are", path, t->name);
    shape_of_blocks(shape, pha__tensor_format(t), v);
    FAIL(BAD_INPUT, "%s: '%s' needs the shape %lld x %lld x %lld for the %d x %d numbers of the configuration", path,
         t->name, (long long)shape[0], (long long)shape[1], (long long)shape[2], v->rows, v->width);
}

/* Bytes, or with a name that says so. */
static bool is_blocks(const pha__tensor *t) { return t->dtype == PHA__Q8_PANEL || suffix_size(t->name); }

static bool blocks_fit(const pha__tensor *t, const pha__node *v)
{
    int64_t shape[3];
    shape_of_blocks(shape, pha__tensor_format(t), v);
    return t->dtype == PHA__Q8_PANEL && suffix_size(t->name) && t->rank == 3 &&
           !memcmp(t->shape, shape, sizeof shape);
}

/* A vector may be stored with rank 1 or as one row. */
static bool shape_fits(const pha__tensor *t, const pha__node *v)
{
    if (t->rank == 1) return v->rows == 1 && t->shape[0] == v->width;
    return t->rank == 2 && t->shape[0] == v->rows && t->shape[1] == v->width;
}

pha_status pha__tensors_match(const pha__safetensors *file, const pha__program *names, bool learned,
                              const pha__tensor **out)
{
    const char *path = pha__safetensors_path(file);
    size_t used = 0;
    for (int i = 0; i < names->n_params; i++) {
        const pha__node *v = names->params[i];
        out[i] = NULL;
        if (!in_file(v, learned)) continue;
        out[i] = find(file, v, learned);
        if (!out[i]) FAIL(BAD_INPUT, "%s: the tensor '%s' is missing (config.json asks for it)", path, v->path);
        if (is_blocks(out[i]) && !blocks_fit(out[i], v)) return blocks_error(path, out[i], v);
        if (!is_blocks(out[i]) && !shape_fits(out[i], v)) return shape_error(path, out[i], v);
        used++;
    }
    if (used == pha__safetensors_count(file)) return PHA_OK;
    for (size_t i = 0; i < pha__safetensors_count(file); i++) {
        const char *name = pha__safetensors_at(file, i)->name;
        if (!param_of(names, name))
            FAIL(BAD_INPUT, "%s: the tensor '%s' is not one of this configuration's", path, name);
    }
    FAIL(BAD_INPUT, "%s: holds tensors that are constants or frozen in this configuration, or one twice", path);
}

pha_status pha__tensors_match_fp32(const pha__safetensors *file, const pha__program *names, bool learned,
                                   const pha__tensor **out)
{
    TRY(pha__tensors_match(file, names, learned, out));
    for (int i = 0; i < names->n_params; i++)
        if (out[i] && out[i]->dtype != PHA__F32)
            FAIL(BAD_INPUT, "%s: '%s' is not fp32", pha__safetensors_path(file), out[i]->name);
    return PHA_OK;
}

static pha_status read_all(const pha__safetensors *file, pha__store *s, pha__role role, const pha__tensor **tensor)
{
    TRY(pha__tensors_match_fp32(file, s->names, role != PHA__WEIGHT, tensor));
    for (int i = 0; i < s->names->n_params; i++)
        if (tensor[i]) TRY(pha__store_copy_in(s, role, i, tensor[i]->data));
    return PHA_OK;
}

pha_status pha__tensors_read(const char *path, pha__store *s, pha__role role)
{
    pha__safetensors *file;
    TRY(pha__safetensors_open(&file, path));
    const pha__tensor **tensor = pha__alloc_zero((size_t)s->names->n_params + 1, sizeof *tensor);
    pha_status status = tensor ? read_all(file, s, role, tensor) : PHA_NO_MEMORY;
    pha__free(tensor);
    pha__safetensors_close(file);
    return status;
}
