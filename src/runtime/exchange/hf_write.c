/* hf_write.c -- a model of arch pha or seq as a folder that transformers opens with trust_remote_code
 *
 * What pha writes, with the keys of the hub beside ours, and two Python files (hf/). pha opens it as it is, and never
 * runs code from a folder.
 */
#include <inttypes.h>
#include <string.h>

#include "base/format.h"
#include "base/fs.h"
#include "base/print.h"
#include "runtime/exchange/exchange.h"

#define SIDE_FILE_LIMIT ((size_t)64 << 20)

static pha_status check_fits(const pha_model *m)
{
    const char *arch = m->config.arch;
    if (strcmp(arch, "pha") && strcmp(arch, "seq"))
        FAIL(BAD_INPUT, "%s: is of arch '%s'; the Python files of an export have arch pha and seq", m->folder, arch);
    return PHA_OK;
}

/* ---- tensors --------------------------------------------------------------------------------------------- */

typedef struct tensors {
    pha__arena arena;
    pha__tensor *list;
    size_t n;
} tensors;

/* 16 bits and more as they are; blocks are unpacked, for no other program reads them. */
static pha_status add(tensors *t, const pha_model *m, int i)
{
    const pha__node *v = m->names->params[i];
    pha__place at = pha__store_at(m->store, PHA__WEIGHT, i);
    bool vector = v->rows == 1 && (v->kind == PHA__VECTOR || v->kind == PHA__DYNAMICS);
    pha__tensor one = {.name = v->path, .dtype = at.format, .rank = vector ? 1 : 2, .shape = {v->rows, v->width},
                       .data = at.data};
    if (vector) one.shape[0] = v->width;
    if (at.format != PHA__F32 && at.format != PHA__BF16 && at.format != PHA__F16) {
        float *own = pha__arena_alloc(&t->arena, (size_t)v->rows * (size_t)v->width, sizeof *own);
        if (!own) FAIL(NO_MEMORY, "no memory for the numbers of '%s'", v->path);
        TRY(pha__store_copy_out(m->store, PHA__WEIGHT, i, own));
        one.dtype = PHA__F32, one.data = own;
    }
    t->list[t->n++] = one;
    return PHA_OK;
}

/* `transformers` asks what wrote the tensors, and knows the answer pt only. */
static pha_status write_tensors(const char *folder, const pha_model *m, uint64_t most)
{
    char hash[20];
    pha__str config = {0};
    tensors t = {.list = pha__alloc((size_t)m->names->n_params + 1, sizeof *t.list)};
    pha__config_text(&config, &m->config);
    pha__print(hash, sizeof hash, "%016" PRIx64, m->tokenizer ? pha__tokenizer_hash(m->tokenizer) : 0);
    const char *metadata[] = {"format", "pt", "config", config.data,
                              m->tokenizer ? "tokenizer_hash" : NULL, hash, NULL};
    pha_status status = PHA_OK;
    if (!t.list || config.failed) status = pha__fail(PHA_NO_MEMORY, "%s: no memory for its header", folder);
    for (int i = 0; i < m->names->n_params && !status; i++)
        if (m->names->params[i]->kind != PHA__CONSTANT) status = add(&t, m, i);
    if (!status) status = pha__safetensors_write_parts(folder, t.list, t.n, metadata, most);
    pha__free(t.list);
    pha__arena_free(&t.arena);
    pha__str_free(&config);
    return status;
}

/* ---- JSON ------------------------------------------------------------------------------------------------ */

static int32_t end_of(const pha_model *m) { return m->tokenizer ? pha__tokenizer_eot(m->tokenizer) : -1; }

static void set_ids(json_t **o, const pha_model *m, const char *const *keys)
{
    int32_t end = end_of(m);
    for (; *keys; keys++) pha__json_set(o, *keys, end < 0 ? json_null() : pha__json_number(end));
}

static json_t *list_of(const char *text)
{
    json_t *list = pha__json_list();
    pha__json_add(&list, pha__json_text(text));
    return list;
}

static json_t *config_json(const pha_model *m)
{
    static const char *const ids[] = {"bos_token_id", "eos_token_id", NULL};
    pha__config_rules rules = pha__rules();
    json_t *o = pha__config_to_json(&m->config, &rules), *map = pha__json_object();
    pha__json_set(&map, "AutoConfig", pha__json_text("configuration_pha.PHAConfig"));
    pha__json_set(&map, "AutoModelForCausalLM", pha__json_text("modeling_pha.PHAForCausalLM"));
    pha__json_set(&o, "auto_map", map);
    pha__json_set(&o, "architectures", list_of("PHAForCausalLM"));
    pha__json_set(&o, "model_type", pha__json_text("pha"));
    pha__json_set(&o, "torch_dtype", pha__json_text("float32"));
    pha__json_set(&o, "tie_word_embeddings", json_true());
    pha__json_set(&o, "use_cache", json_true());
    set_ids(&o, m, ids);
    return o;
}

static json_t *generation_json(const pha_model *m)
{
    static const char *const ids[] = {"bos_token_id", "eos_token_id", "pad_token_id", NULL};
    json_t *o = pha__json_object();
    pha__json_set(&o, "do_sample", json_false());
    set_ids(&o, m, ids);
    return o;
}

/* The chat template of the model's own folder, which says how the model is to be asked. NULL: it has none. */
static json_t *template_of(const pha_model *m)
{
    json_t *found = NULL, *side = NULL;
    json_error_t error;
    char *text = NULL, *path = pha__path_join(m->folder, PHA__TOKENIZER_CONFIG);
    size_t size;
    pha__message kept = pha__message_keep();
    if (path && pha__exists(path) && !pha__read_file(&text, &size, path, SIDE_FILE_LIMIT) &&
        !pha__json_parse_line(&side, text, size, JSON_DECODE_INT_AS_REAL, &error))
        found = json_incref(json_object_get(side, "chat_template"));
    pha__message_restore(&kept);
    json_decref(side);
    pha__free(text);
    pha__free(path);
    return found;
}

/* `context` of the run's training: what the tokenizer warns beyond; 0: not known. */
static json_t *tokenizer_json(const pha_model *m, int64_t context)
{
    size_t size;
    json_t *o = pha__json_object(), *chat = template_of(m), *inputs = list_of("input_ids");
    const unsigned char *text = pha__tokenizer_bytes(m->tokenizer, end_of(m), &size);
    pha__json_set(&o, "tokenizer_class", pha__json_text("PreTrainedTokenizerFast"));
    pha__json_set(&o, "clean_up_tokenization_spaces", json_false());
    pha__json_add(&inputs, pha__json_text("attention_mask"));
    pha__json_set(&o, "model_input_names", inputs); /* without token_type_ids */
    if (text) {
        pha__json_set(&o, "bos_token", pha__json_text_of((const char *)text, size));
        pha__json_set(&o, "eos_token", pha__json_text_of((const char *)text, size));
    }
    if (context > 0) pha__json_set(&o, "model_max_length", pha__json_number(context));
    if (chat) pha__json_set(&o, "chat_template", chat);
    return o;
}

/* ---- the folder ------------------------------------------------------------------------------------------ */

static pha_status save_json(const char *folder, const char *name, json_t *json)
{
    char *path = pha__path_join(folder, name);
    pha_status status = path ? pha__json_save(json, path) : PHA_NO_MEMORY;
    pha__free(path);
    json_decref(json);
    return status;
}

static pha_status save_bytes(const char *folder, const char *name, const void *data, size_t size)
{
    char *path = pha__path_join(folder, name);
    pha_status status = path ? pha__write_file(path, data, size) : PHA_NO_MEMORY;
    pha__free(path);
    return status;
}

static pha_status save_card(const char *folder, const pha_model *m, const pha__origin_run *run,
                            const pha_export_options *o)
{
    pha__str card = {0};
    pha_status status = pha__card(&card, m, run, o);
    if (!status && card.failed) status = pha__fail(PHA_NO_MEMORY, "%s: no memory for its card", folder);
    if (!status) status = save_bytes(folder, "README.md", card.data, card.size);
    pha__str_free(&card);
    return status;
}

static pha_status write_all(const char *folder, const pha_model *m, const pha__origin_run *run,
                            const pha__export_job *job)
{
    const json_t *options = json_object_get(run->json, "options");
    TRY(pha__mkdirs(folder));
    TRY(save_card(folder, m, run, job->o));
    TRY(save_json(folder, "config.json", config_json(m)));
    TRY(save_json(folder, "generation_config.json", generation_json(m)));
    TRY(write_tensors(folder, m, job->most));
    for (const pha__python_file *f = pha__python_files; f->name; f++)
        TRY(save_bytes(folder, f->name, f->data, f->size));
    if (!m->tokenizer) return PHA_OK;
    TRY(pha__tokenizer_save_folder(m->tokenizer, folder));
    return save_json(folder, PHA__TOKENIZER_CONFIG,
                     tokenizer_json(m, json_integer_value(json_object_get(options, "context"))));
}

pha_status pha__hf_write(const char *folder, const pha_model *m, const pha__export_job *job)
{
    pha__origin_run run;
    TRY(check_fits(m));
    TRY(pha__model_verify(m));
    TRY(pha__run_of_model(&run, m->folder));
    pha_status status = write_all(folder, m, &run, job);
    pha__run_of_model_free(&run);
    return status;
}
