/* model.c -- model folders: opening (model_write.c writes) */
#include "runtime/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"

pha__config_rules pha__rules(void) { return (pha__config_rules){pha__model_keys, pha__model_list()}; }

pha_status pha__record(pha__program **out, const pha__config *c, const pha__program_options *options, pha__head head)
{
    TRY(pha__program_open(out, options));
    pha_status status = pha__lm_record(*out, c, head);
    if (!status) return PHA_OK;
    pha__program_close(*out);
    *out = NULL;
    return status;
}

pha_status pha__record_over(pha__program **out, const pha__weights *w, const pha__program_options *options,
                            pha__head head)
{
    pha__program_options o = *options;
    o.no_fuse = o.no_fuse || !(o.dtype == PHA__BF16 ? w->half != NULL : w->stacked);
    return pha__record(out, &w->config, &o, head);
}

/* A merged product reads the weights of its slices as one matrix. */
static pha_status check_stacks(const pha__program *p, const pha__weights *w)
{
    for (int i = 0; i < p->n_nodes; i++) {
        const pha__node *n = p->nodes[i], *m = n->merged;
        if (!m) continue;
        bool half = n->in[1]->dtype == PHA__BF16;
        void *const *at = half ? w->half : w->data;
        size_t row = (size_t)n->in[1]->width * pha__dtype_size(n->in[1]->dtype);
        if ((char *)at[n->in[1]->index] != (char *)at[m->in[1]->index] + (size_t)n->column * row)
            FAIL(FAILED, "%s: its weights do not lie together", n->path);
    }
    return PHA_OK;
}

pha_status pha__exec_over(pha__exec **out, pha__program *p, const pha__weights *w, pha__pool *pool)
{
    if (p->n_params != w->n) FAIL(FAILED, "a program has %d parameters, its weights %d", p->n_params, w->n);
    TRY(check_stacks(p, w));
    pha__binding binding = {w->data, w->half, NULL};
    return pha__exec_open(out, p, &binding, pool);
}

/* ---- half precision -------------------------------------------------------------------------------------- */

pha_status pha__weights_half(pha__weights *w, const pha__program *names, void **memory)
{
    uint16_t *block = pha__alloc((size_t)names->weights, sizeof *block);
    void **half = pha__alloc_zero((size_t)w->n, sizeof *half);
    if (!block || !half) {
        pha__free(block);
        pha__free(half);
        FAIL(NO_MEMORY, "no memory for bf16 weights");
    }
    for (int i = 0; i < w->n; i++) {
        const pha__node *v = names->params[i];
        half[i] = block + v->offset;
        const float *from = w->data[i];
        for (int64_t k = 0; k < (int64_t)v->rows * v->width; k++) block[v->offset + k] = f32_to_bf16(from[k]);
    }
    w->half = half;
    *memory = block;
    return PHA_OK;
}

/* ---- opening --------------------------------------------------------------------------------------------- */

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

pha_status pha__weights_map(const pha__safetensors *file, const pha__program *names, const void **data,
                            pha__dtype *types)
{
    const char *path = pha__safetensors_path(file);
    size_t used = 0;
    for (int i = 0; i < names->n_params; i++) {
        const pha__node *v = names->params[i];
        data[i] = NULL;
        if (v->kind == PHA__CONSTANT) continue;
        const pha__tensor *t = pha__safetensors_find(file, v->path);
        if (!t) FAIL(BAD_INPUT, "%s: the tensor '%s' is missing (config.json asks for it)", path, v->path);
        if (!shape_fits(t, v)) return shape_error(path, t, v);
        data[i] = t->data, types[i] = t->dtype;
        used++;
    }
    if (used == pha__safetensors_count(file)) return PHA_OK;
    for (size_t i = 0; i < pha__safetensors_count(file); i++) {
        const char *name = pha__safetensors_at(file, i)->name;
        if (!pha__find_param(names, name))
            FAIL(BAD_INPUT, "%s: the tensor '%s' is not one of this configuration's", path, name);
    }
    FAIL(BAD_INPUT, "%s: holds tensors that are constants of this configuration", path);
}

/* Maps what is fp32; widens bf16 tensors and computes constants into memory of the model's own. */
static pha_status bind_weights(pha_model *m)
{
    int n = m->weights.n;
    const void **data = pha__alloc_zero((size_t)n, sizeof *data);
    pha__dtype *types = pha__alloc_zero((size_t)n, sizeof *types);
    pha_status status = data && types ? pha__weights_map(m->file, m->names, data, types) : PHA_NO_MEMORY;
    bool copy = false;
    for (int i = 0; i < n && !status; i++) copy = copy || !data[i] || types[i] == PHA__BF16;
    float *own = NULL;
    if (!status && copy && !(m->own = own = pha__alloc((size_t)m->names->weights, sizeof *own))) status = PHA_NO_MEMORY;
    for (int i = 0; i < n && !status; i++) {
        const pha__node *v = m->names->params[i];
        m->weights.data[i] = data[i] && types[i] == PHA__F32 ? (void *)data[i] : own + v->offset;
        if (!data[i])
            v->init.fill(own + v->offset, v->rows, v->width, v->init.arg, 0, v->path);
        else if (types[i] == PHA__BF16)
            for (int64_t k = 0; k < (int64_t)v->rows * v->width; k++)
                own[v->offset + k] = bf16_to_f32(((const uint16_t *)data[i])[k]);
    }
    pha__free(data);
    pha__free(types);
    return status;
}

/* folder/name in `out`; PHA_NO_MEMORY if that fails. */
static pha_status in_folder(char **out, const char *folder, const char *name)
{
    *out = pha__path_join(folder, name);
    return *out ? PHA_OK : PHA_NO_MEMORY;
}

/* The ids of another vocabulary mean other rows of the embedding. Files without the hash are taken as they are. */
static pha_status check_tokenizer(const pha_model *m, const char *path)
{
    const char *wanted = pha__safetensors_metadata(m->file, "tokenizer_hash");
    int32_t size = pha__tokenizer_size(m->tokenizer), V = m->weights.config.vocab_size;
    char hash[20];
    snprintf(hash, sizeof hash, "%016" PRIx64, pha__tokenizer_hash(m->tokenizer));
    if (size > V)
        FAIL(BAD_INPUT, "%s: the tokenizer has %d tokens but the model a vocabulary of %d", path, size, V);
    if (wanted && strcmp(wanted, hash))
        FAIL(BAD_INPUT, "%s: is another tokenizer (%s) than the one of these weights (%s); put that one back", path,
             hash, wanted);
    return PHA_OK;
}

static pha_status open_tokenizer(pha_model *m)
{
    char *path;
    TRY(in_folder(&path, m->folder, "tokenizer.json"));
    pha_status status = pha__exists(path) ? pha__tokenizer_open(&m->tokenizer, path) : PHA_OK;
    if (!status && m->tokenizer) status = check_tokenizer(m, path);
    pha__free(path);
    return status;
}

static pha_status open_parts(pha_model *m)
{
    char *path;
    pha__config_rules r = pha__rules();
    TRY(in_folder(&path, m->folder, "config.json"));
    pha_status status = pha__config_load(&m->weights.config, path, &r);
    if (!status && m->weights.config.vocab_size < 2)
        status = pha__fail(PHA_BAD_INPUT, "%s: vocab_size is missing", path);
    pha__free(path);
    TRY(status);
    pha__program_options options = {.B = 1, .T = 1};
    TRY(pha__record(&m->names, &m->weights.config, &options, PHA__HEAD_NONE));
    m->weights.n = m->names->n_params;
    m->weights.data = pha__alloc_zero((size_t)m->weights.n, sizeof *m->weights.data);
    if (!m->weights.data) return PHA_NO_MEMORY;
    TRY(in_folder(&path, m->folder, "model.safetensors"));
    status = pha__safetensors_open(&m->file, path);
    pha__free(path);
    TRY(status);
    TRY(bind_weights(m));
    return open_tokenizer(m);
}

/* A run folder has a config.json too; its model is one level down. */
static pha_status check_not_a_run(const char *folder)
{
    char *run, *weights = NULL;
    TRY(in_folder(&run, folder, "run.json"));
    pha_status status = in_folder(&weights, folder, "model.safetensors");
    bool is_run = !status && pha__exists(run) && !pha__exists(weights);
    pha__free(run);
    pha__free(weights);
    TRY(status);
    if (is_run)
        FAIL(BAD_INPUT, "%s: is a run, not a model; its model, once the run is done, is %s/model", folder, folder);
    return PHA_OK;
}

pha_status pha_model_open(pha_model **out, const char *folder)
{
    *out = NULL;
    if (!folder || !pha__is_dir(folder))
        FAIL(IO, "%s: is not a folder; a model is a folder with config.json and model.safetensors",
             folder ? folder : "(null)");
    TRY(check_not_a_run(folder));
    pha_model *m = pha__alloc_zero(1, sizeof *m);
    if (!m) return PHA_NO_MEMORY;
    m->folder = pha__strdup(folder);
    pha_status status = m->folder ? open_parts(m) : PHA_NO_MEMORY;
    if (status)
        pha_model_close(m);
    else
        *out = m;
    return status;
}

void pha_model_close(pha_model *m)
{
    if (!m) return;
    pha__program_close(m->names);
    pha__safetensors_close(m->file);
    pha__tokenizer_close(m->tokenizer);
    pha__free(m->weights.data);
    pha__free(m->weights.half);
    pha__free(m->own);
    pha__free(m->folder);
    pha__free(m);
}

void pha_model_get_info(const pha_model *m, pha_model_info *info)
{
    const pha__config *c = &m->weights.config;
    *info = (pha_model_info){
        .vocab_size = c->vocab_size, .d_model = c->d_model, .n_layer = c->n_layer, .parameters = m->names->parameters};
    snprintf(info->arch, sizeof info->arch, "%s", c->arch);
}

const pha_tokenizer *pha_model_tokenizer(const pha_model *m) { return (const pha_tokenizer *)m->tokenizer; }
