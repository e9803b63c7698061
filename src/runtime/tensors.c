/* tensors.c -- parameters as tensors of a file */
#include "runtime/tensors.h"

/* Is it in a file at all? Moments and gradients have only learned parameters. */
static bool in_file(const pha__node *v, bool learned) { return learned ? pha__learned(v) : v->kind != PHA__CONSTANT; }

/* ---- writing --------------------------------------------------------------------------------------------- */

/* One tensor per parameter; numbers that the host can't read where they are come to `staging`. */
static pha_status list(pha__tensor *tensors, size_t *n, const pha__store *s, pha__role role, bool flat, float *staging)
{
    const pha__program *p = s->names;
    *n = 0;
    for (int i = 0; i < p->n_params; i++) {
        const pha__node *v = p->params[i];
        if (!in_file(v, role != PHA__WEIGHT)) continue;
        const float *data = pha__store_host(s, role, i);
        if (!data) TRY(pha__store_copy_out(s, role, i, staging + v->offset));
        bool vector = flat && v->rows == 1 && (v->kind == PHA__VECTOR || v->kind == PHA__DYNAMICS);
        pha__tensor t = {.name = v->path, .dtype = PHA__F32, .rank = 2, .shape = {v->rows, v->width}};
        if (vector) t.rank = 1, t.shape[0] = v->width;
        t.data = data ? data : staging + v->offset;
        tensors[(*n)++] = t;
    }
    return PHA_OK;
}

pha_status pha__tensors_write(const char *path, const pha__store *s, pha__role role, bool flat,
                              const char *const *metadata)
{
    const pha__program *p = s->names;
    bool here = true;
    for (int i = 0; i < p->n_params; i++)
        here = here && (!in_file(p->params[i], role != PHA__WEIGHT) || pha__store_host(s, role, i));
    pha__tensor *tensors = pha__alloc_zero((size_t)p->n_params + 1, sizeof *tensors);
    float *staging = here ? NULL : pha__alloc((size_t)p->weights, sizeof *staging);
    size_t n;
    pha_status status = tensors && (here || staging) ? list(tensors, &n, s, role, flat, staging) : PHA_NO_MEMORY;
    if (!status) status = pha__safetensors_write(path, tensors, n, metadata);
    pha__free(tensors);
    pha__free(staging);
    return status;
}

/* ---- reading --------------------------------------------------------------------------------------------- */

static pha_status shape_error(const char *path, const pha__tensor *t, const pha__node *v)
{
    FAIL(BAD_INPUT,
         "%s: '%s' is %lld x %lld but the configuration asks for %d x %d; is config.json that of these weights?", path,
         v->path, t->rank > 1 ? (long long)t->shape[0] : 1LL, t->rank ? (long long)t->shape[t->rank - 1] : 1LL, v->rows,
         v->width);
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
        out[i] = pha__safetensors_find(file, v->path);
        if (!out[i]) FAIL(BAD_INPUT, "%s: the tensor '%s' is missing (config.json asks for it)", path, v->path);
        if (!shape_fits(out[i], v)) return shape_error(path, out[i], v);
        used++;
    }
    if (used == pha__safetensors_count(file)) return PHA_OK;
    for (size_t i = 0; i < pha__safetensors_count(file); i++) {
        const char *name = pha__safetensors_at(file, i)->name;
        if (!pha__find_param(names, name))
            FAIL(BAD_INPUT, "%s: the tensor '%s' is not one of this configuration's", path, name);
    }
    FAIL(BAD_INPUT, "%s: holds tensors that are constants or frozen in this configuration", path);
}

static pha_status read_all(const pha__safetensors *file, pha__store *s, pha__role role, const pha__tensor **tensor)
{
    TRY(pha__tensors_match(file, s->names, role != PHA__WEIGHT, tensor));
    for (int i = 0; i < s->names->n_params; i++) {
        if (!tensor[i]) continue;
        if (tensor[i]->dtype != PHA__F32)
            FAIL(BAD_INPUT, "%s: '%s' is not fp32", pha__safetensors_path(file), tensor[i]->name);
        TRY(pha__store_copy_in(s, role, i, tensor[i]->data));
    }
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
