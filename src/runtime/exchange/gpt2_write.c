/* gpt2_write.c -- a model of arch gpt2 as a folder that the Hugging Face hub would have (runtime/gpt2_files.h) */
#include <inttypes.h>
#include <string.h>

#include "base/fs.h"
#include "base/print.h"
#include "base/str.h"
#include "runtime/exchange/exchange.h"
#include "runtime/gpt2_files.h"

pha_status pha__gpt2_check_fits(const pha_model *m, const char *where)
{
    const pha__config *c = &m->config;
    if (strcmp(c->arch, "gpt2"))
        FAIL(BAD_INPUT, "%s: is of arch '%s'; %s has a place for arch gpt2 only", m->folder, c->arch, where);
    if (c->n_kv_head != c->n_head)
        FAIL(BAD_INPUT, "%s: has n_kv_head = %d for n_head = %d, but in GPT-2 every head has keys of its own",
             m->folder, c->n_kv_head, c->n_head);
    if (c->local) FAIL(BAD_INPUT, "%s: has local = %d, but GPT-2 attends to all of the past", m->folder, c->local);
    return PHA_OK;
}

/* ---- config.json, as GPT2LMHeadModel has it --------------------------------------------------------------- */

static json_t *config_of(const pha_model *m)
{
    const pha__config *c = &m->config;
    json_t *o = pha__json_object(), *archs = pha__json_list();
    int32_t end = m->tokenizer ? pha__tokenizer_eot(m->tokenizer) : -1;
    pha__json_add(&archs, pha__json_text("GPT2LMHeadModel"));
    pha__json_set(&o, "architectures", archs);
    pha__json_set(&o, "model_type", pha__json_text("gpt2"));
    pha__json_set(&o, "activation_function", pha__json_text("gelu_new"));
    pha__json_set(&o, "vocab_size", pha__json_number(c->vocab_size));
    pha__json_set(&o, "n_embd", pha__json_number(c->d_model));
    pha__json_set(&o, "n_layer", pha__json_number(c->n_layer));
    pha__json_set(&o, "n_head", pha__json_number(c->n_head));
    pha__json_set(&o, "n_positions", pha__json_number(c->n_positions));
    pha__json_set(&o, "n_ctx", pha__json_number(c->n_positions));
    pha__json_set(&o, "n_inner", c->d_ffn == 4 * c->d_model ? json_null() : pha__json_number(c->d_ffn));
    pha__json_set(&o, "layer_norm_epsilon", pha__json_decimal(1e-5));
    pha__json_set(&o, "initializer_range", pha__json_decimal(0.02));
    pha__json_set(&o, "scale_attn_weights", json_true());
    pha__json_set(&o, "tie_word_embeddings", json_true());
    pha__json_set(&o, "use_cache", json_true());
    pha__json_set(&o, "torch_dtype", pha__json_text("float32"));
    pha__json_set(&o, "bos_token_id", end < 0 ? json_null() : pha__json_number(end));
    pha__json_set(&o, "eos_token_id", end < 0 ? json_null() : pha__json_number(end));
    return o;
}

/* ---- tensors ---------------------------------------------------------------------------------------------- */

/* Tensors of the file, in the making; everything lies in the arena. */
typedef struct tensors {
    pha__arena arena;
    pha__tensor *list;
    size_t n;
} tensors;

/* The place of v in what is stored side by side: `own` has its numbers. */
static void place(float *to, const pha__gpt2_name *n, const pha__node *v, const float *own)
{
    int64_t out = n->turned ? v->rows : v->width, in = n->turned ? v->width : v->rows, width = n->parts * out;
    to += n->part * out;
    for (int64_t r = 0; r < in; r++)
        for (int64_t c = 0; c < out; c++) to[r * width + c] = n->turned ? own[c * in + r] : own[r * out + c];
}

/* The tensor that v is a part of, made when its first part comes. */
static pha__tensor *tensor_of(tensors *t, const pha_model *m, const pha__node *v)
{
    const pha__gpt2_name *n = pha__gpt2_name_of(&m->config, v);
    char name[80];
    pha__gpt2_path(name, sizeof name, "transformer.", &m->config, v);
    for (size_t i = 0; i < t->n; i++)
        if (!strcmp(t->list[i].name, name)) return &t->list[i];
    int64_t rows = n->turned ? v->width : v->rows, width = (int64_t)n->parts * (n->turned ? v->rows : v->width);
    pha__tensor *new = &t->list[t->n++];
    *new = (pha__tensor){.dtype = PHA__F32, .rank = rows == 1 ? 1 : 2, .shape = {rows, width}};
    if (rows == 1) new->shape[0] = width;
    new->name = pha__arena_strdup(&t->arena, name);
    new->data = pha__arena_alloc(&t->arena, (size_t)rows * (size_t)width, sizeof(float));
    return new->name && new->data ? new : NULL;
}

static pha_status add_all(tensors *t, const pha_model *m)
{
    for (int i = 0; i < m->names->n_params; i++) {
        const pha__node *v = m->names->params[i];
        const pha__gpt2_name *n = pha__gpt2_name_of(&m->config, v);
        if (!n) FAIL(FAILED, "%s has no name in the files of GPT-2", v->path);
        pha__tensor *to = tensor_of(t, m, v);
        float *own = pha__alloc((size_t)v->rows * (size_t)v->width, sizeof *own);
        pha_status status = to && own ? pha__store_copy_out(m->store, PHA__WEIGHT, i, own) : PHA_NO_MEMORY;
        if (!status) place((float *)(uintptr_t)to->data, n, v, own);
        pha__free(own);
        TRY(status);
    }
    return PHA_OK;
}

/* `transformers` asks what wrote the tensors, and knows the answer pt only. */
static pha_status write_tensors(const char *folder, const pha_model *m, uint64_t most)
{
    char hash[20];
    tensors t = {.list = pha__alloc((size_t)m->names->n_params + 1, sizeof *t.list)};
    pha__print(hash, sizeof hash, "%016" PRIx64, m->tokenizer ? pha__tokenizer_hash(m->tokenizer) : 0);
    const char *metadata[] = {"format", "pt", m->tokenizer ? "tokenizer_hash" : NULL, hash, NULL};
    pha_status status = t.list ? add_all(&t, m) : PHA_NO_MEMORY;
    if (!status) status = pha__safetensors_write_parts(folder, t.list, t.n, metadata, most);
    pha__free(t.list);
    pha__arena_free(&t.arena);
    if (status == PHA_NO_MEMORY) FAIL(NO_MEMORY, "%s: no memory for %llu numbers", folder,
                                      (unsigned long long)m->names->parameters);
    return status;
}

/* ---- the folder ------------------------------------------------------------------------------------------- */

static pha_status write_card(const char *path, const pha_model *m)
{
    pha__str s = {0};
    pha__str_printf(&s,
                    "---\nlibrary_name: transformers\ntags: [gpt2]\n---\n# A GPT-2 language model\n\n%llu parameters, "
                    "%d layers of width %d, vocabulary %d. Written by pha %s, which opens it as it is.\n",
                    (unsigned long long)m->names->parameters, m->config.n_layer, m->config.d_model,
                    m->config.vocab_size, pha_version());
    pha_status status = s.failed ? PHA_NO_MEMORY : pha__write_file(path, s.data, s.size);
    pha__str_free(&s);
    return status;
}

static pha_status write_config(const char *path, const pha_model *m)
{
    json_t *json = config_of(m);
    pha_status status = pha__json_save(json, path);
    json_decref(json);
    return status;
}

pha_status pha__gpt2_write(const char *folder, const pha_model *m, const pha__export_job *job)
{
    static const struct {
        const char *name;
        pha_status (*write)(const char *path, const pha_model *m);
    } parts[] = {{"config.json", write_config}, {"README.md", write_card}};
    TRY(pha__gpt2_check_fits(m, "a folder of GPT-2"));
    TRY(pha__model_verify(m));
    TRY(pha__mkdirs(folder));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char *path = pha__path_join(folder, parts[i].name);
        pha_status status = path ? parts[i].write(path, m) : PHA_NO_MEMORY;
        pha__free(path);
        TRY(status);
    }
    TRY(write_tensors(folder, m, job->most));
    return m->tokenizer ? pha__tokenizer_save_folder(m->tokenizer, folder) : PHA_OK;
}
