/* carry.c -- see carry.h */
#include "runtime/train/carry.h"

#include <string.h>

#include "io/safetensors.h"
#include "models/models.h"

static const char tensor_name[] = "states";

/* ---- what can be carried --------------------------------------------------------------------------------- */

static bool has_key(const char *arch, const char *name)
{
    const char *const *key = pha__model_keys(arch);
    while (key && *key && strcmp(*key, name)) key++;
    return key && *key;
}

/* Bytes of keys and values that T tokens leave in layers without a window. */
static double growth(const pha__config *c, int32_t T)
{
    double bytes = 0, token = 2.0 * c->n_kv_head * (c->d_model / c->n_head) * sizeof(float);
    for (int i = 0; i < c->n_layer; i++) bytes += c->window[i] ? 0 : token * T;
    return bytes;
}

pha_status pha__carry_context(int64_t *context, const pha__config *c, int32_t T)
{
    *context = 1;
    if (has_key(c->arch, "n_positions"))
        FAIL(BAD_INPUT, "carry: arch %s has learned positions for texts of up to n_positions = %d tokens, and a text "
             "that goes on from window to window is longer; arch pha and seq have rotary ones", c->arch,
             c->n_positions);
    if (has_key(c->arch, "attn_layers"))
        FAIL(BAD_INPUT, "carry: the state spaces of arch %s are trained by convolutions over whole windows, each from "
             "a zero state; arch pha and seq carry theirs", c->arch);
    if (c->attn_dropout > 0)
        FAIL(USAGE, "carry: attn_dropout has no masks for the keys of earlier windows; leave one of the two out");
    if (c->local) FAIL(BAD_INPUT, "carry: attention in chunks (\"local\") is not carried; use \"window\"");
    for (int i = 0; i < c->n_layer && c->branches & PHA__BRANCH_ATTN; i++) {
        if (!c->window[i])
            FAIL(BAD_INPUT, "carry: layer %d has attention without a window, whose keys and values would grow by "
                 "%.1f MB in every step of a sequence (%d tokens, all such layers); set \"window\" in the "
                 "configuration", i, growth(c, T) / 1e6, T);
        *context = c->window[i] > *context ? c->window[i] : *context;
    }
    return PHA_OK;
}

/* ---- memory ---------------------------------------------------------------------------------------------- */

static pha_status open_rows(pha__device *d, size_t bytes, int32_t n, char **block, char ***rows)
{
    size_t all;
    bool fits = !__builtin_mul_overflow(bytes, (size_t)n, &all);
    *block = fits ? pha__device_alloc(d, all) : NULL;
    *rows = pha__alloc((size_t)n, sizeof **rows);
    for (int32_t i = 0; *block && *rows && i < n; i++) (*rows)[i] = *block + (size_t)i * bytes;
    return *block && *rows ? PHA_OK : PHA_NO_MEMORY;
}

static pha_status open_parts(pha__carry *c, const pha__program *p)
{
    TRY(pha__state_measure(&c->layout, p));
    size_t bytes = c->layout.bytes;
    pha_status status = open_rows(c->device, bytes, c->batch, &c->block[0], &c->before);
    if (!status) status = open_rows(c->device, bytes, c->batch, &c->block[1], &c->now);
    if (!status && p->options.recompute) status = open_rows(c->device, bytes, c->micro, &c->again, &c->spare);
    if (status)
        FAIL(NO_MEMORY, "no memory for the carried states of %d sequences, %.1f MB each, twice; narrower windows or a "
             "smaller batch need less", c->batch, (double)bytes / 1e6);
    /* What no token has filled is never looked at, but it is copied. */
    for (int k = 0; k < 2; k++) TRY(pha__fill(c->device, c->block[k], 0, bytes * (size_t)c->batch));
    return PHA_OK;
}

pha_status pha__carry_open(pha__carry *c, const pha__program *p, pha__device *device, int32_t batch, pha__comm *comm)
{
    *c = (pha__carry){.device = device, .comm = comm, .batch = batch, .micro = p->options.B};
    pha_status status = open_parts(c, p);
    if (status) pha__carry_close(c);
    return status;
}

void pha__carry_close(pha__carry *c)
{
    if (!c->device) return;
    for (int k = 0; k < 2; k++) pha__device_free(c->device, c->block[k]);
    pha__device_free(c->device, c->again);
    pha__free(c->now);
    pha__free(c->before);
    pha__free(c->spare);
    pha__carry_drop(c);
    pha__state_free(&c->layout);
    *c = (pha__carry){0};
}

/* ---- steps ----------------------------------------------------------------------------------------------- */

pha_status pha__carry_clear(pha__carry *c)
{
    c->position = 0;
    for (int32_t i = 0; i < c->batch; i++) TRY(pha__state_clear(&c->layout, c->device, c->before[i]));
    return PHA_OK;
}

pha_status pha__carry_begin(pha__carry *c, int32_t i, pha__states *states)
{
    for (int32_t k = 0; k < c->micro; k++) {
        TRY(pha__state_copy(&c->layout, c->device, c->now[i + k], c->before[i + k], c->position));
        if (c->again) TRY(pha__state_copy(&c->layout, c->device, c->spare[k], c->before[i + k], c->position));
    }
    *states = (pha__states){c->now + i, c->before + i, c->spare};
    return PHA_OK;
}

void pha__carry_end(pha__carry *c, int32_t T)
{
    char **other = c->now;
    c->now = c->before, c->before = other;
    c->position += T;
}

/* ---- files ----------------------------------------------------------------------------------------------- */

static size_t used(const pha__carry *c, int64_t position) { return pha__state_used(&c->layout, position); }

static size_t sequences(const pha__carry *c) { return (size_t)c->batch * (size_t)c->comm->size; }

void pha__carry_drop(pha__carry *c)
{
    pha__free(c->all);
    c->all = NULL;
}

/* For `n` sequences from `first` on. */
static pha_status make_room(pha__carry *c, size_t row, int32_t first, size_t n)
{
    pha__carry_drop(c);
    c->all = pha__alloc(row * n + 1, 1);
    c->first = first;
    if (!c->all) FAIL(NO_MEMORY, "no memory for the carried states of %zu sequences", n);
    return PHA_OK;
}

static int32_t first_own(const pha__carry *c) { return c->comm->rank * c->batch; }

/* Sequence i of this rank. */
static char *own(const pha__carry *c, size_t row, int32_t i)
{
    return c->all + (size_t)(first_own(c) - c->first + i) * row;
}

static pha_status download(pha__carry *c, size_t row)
{
    for (int32_t i = 0; i < c->batch; i++)
        TRY(pha__state_download(&c->layout, c->device, own(c, row, i), c->before[i], c->position));
    return PHA_OK;
}

pha_status pha__carry_collect(pha__carry *c)
{
    size_t row = used(c, c->position);
    pha_status status = make_room(c, row, 0, sequences(c));
    TRY(pha__comm_agree(c->comm, status ? status : download(c, row)));
    return pha__comm_all_gather(c->comm, c->all, row * (size_t)c->batch);
}

pha__tensor pha__carry_tensor(const pha__carry *c, int64_t position)
{
    return (pha__tensor){.name = tensor_name, .dtype = PHA__F32, .rank = 2,
                         .shape = {(int64_t)sequences(c), (int64_t)(used(c, position) / sizeof(float))}};
}

pha_status pha__carry_write(const pha__carry *c, const char *path)
{
    pha__tensor t = pha__carry_tensor(c, c->position);
    t.data = c->all;
    return pha__safetensors_write(path, &t, 1, NULL);
}

pha_status pha__carry_check(const pha__carry *c, const pha__safetensors *file, int64_t position)
{
    const pha__tensor *t = pha__safetensors_find(file, tensor_name);
    const char *path = pha__safetensors_path(file);
    size_t row = used(c, position), n = sequences(c);
    if (!t || t->dtype != PHA__F32 || t->rank != 2 || t->shape[0] != (int64_t)n ||
        t->shape[1] != (int64_t)(row / sizeof(float)))
        FAIL(BAD_INPUT, "%s: does not hold the states of %zu sequences after %lld tokens each", path, n,
             (long long)position);
    for (size_t i = 0; i < n; i++)
        TRY(pha__state_check(&c->layout, (const char *)t->data + i * row, position, path));
    return PHA_OK;
}

static pha_status take_all(pha__carry *c, const pha__safetensors *file, int64_t position)
{
    size_t row = used(c, position), n = sequences(c);
    TRY(pha__carry_check(c, file, position));
    TRY(make_room(c, row, 0, n));
    memcpy(c->all, pha__safetensors_find(file, tensor_name)->data, n * row);
    return PHA_OK;
}

pha_status pha__carry_read(pha__carry *c, const char *path, int64_t position)
{
    pha__safetensors *file;
    TRY(pha__safetensors_open(&file, path));
    pha_status status = take_all(c, file, position);
    pha__safetensors_close(file);
    return status;
}

static pha_status upload(pha__carry *c, size_t row, int64_t position)
{
    for (int32_t i = 0; i < c->batch; i++)
        TRY(pha__state_upload(&c->layout, c->device, c->before[i], own(c, row, i), position));
    c->position = position;
    return PHA_OK;
}

pha_status pha__carry_spread(pha__carry *c, int64_t position)
{
    size_t row = used(c, position);
    TRY(pha__comm_agree(c->comm, c->comm->rank ? make_room(c, row, 0, sequences(c)) : PHA_OK));
    TRY(pha__comm_broadcast(c->comm, 0, NULL, c->all, row * sequences(c)));
    pha_status status = pha__comm_agree(c->comm, upload(c, row, position));
    pha__carry_drop(c);
    return status;
}

/* ---- files by all ---------------------------------------------------------------------------------------- */

pha_status pha__carry_room(pha__carry *c, int64_t position)
{
    return make_room(c, used(c, position), first_own(c), (size_t)c->batch);
}

pha_status pha__carry_take(pha__carry *c)
{
    TRY(pha__carry_room(c, c->position));
    return download(c, used(c, c->position));
}

pha_status pha__carry_put(pha__carry *c, int64_t position)
{
    pha_status status = upload(c, used(c, position), position);
    pha__carry_drop(c);
    return status;
}

pha_status pha__carry_pieces(const pha__carry *c, int64_t position, pha__ranks_file *f)
{
    uint64_t size = used(c, position) * (uint64_t)c->batch;
    for (int r = 0; r < c->comm->size; r++)
        TRY(pha__ranks_file_add(f, &(pha__file_piece){.at = size * (uint64_t)r, .size = size, .rank = r,
                                                      .data = r == c->comm->rank ? c->all : NULL}));
    return PHA_OK;
}
