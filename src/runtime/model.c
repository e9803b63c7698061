/* model.c -- model folders: opening (model_write.c writes) */
#include "runtime/model.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/print.h"
#include "runtime/gpt2_files.h"
#include "runtime/tensors.h"

pha__config_rules pha__rules(void)
{
    return (pha__config_rules){pha__model_keys, pha__model_list(), pha__model_own, pha__model_check};
}

pha_status pha__record(pha__program **out, const pha__config *c, const pha__program_options *options, pha__head head)
{
    return pha__record_as(out, NULL, c, options, head);
}

pha_status pha__record_as(pha__program **out, const pha__model_row *row, const pha__config *c,
                          const pha__program_options *options, pha__head head)
{
    TRY(pha__program_open(out, options));
    pha_status status = row ? pha__lm_record_as(*out, row, c, head) : pha__lm_record(*out, c, head);
    if (!status) return PHA_OK;
    pha__program_close(*out);
    *out = NULL;
    return status;
}

/* ---- opening --------------------------------------------------------------------------------------------- */

/* Numbers stay where they are in the map; constants are computed. */
static pha_status bind(pha_model *m, const pha__tensor **tensor)
{
    TRY(pha__tensors_match(m->file, m->names, false, tensor));
    for (int i = 0; i < m->names->n_params; i++) {
        const pha__node *v = m->names->params[i];
        if (tensor[i]) {
            TRY(pha__store_set(m->store, PHA__WEIGHT, i, (void *)tensor[i]->data,
                                pha__tensor_format(tensor[i])));
            continue;
        }
        float *own = pha__arena_alloc(&m->constants, (size_t)v->rows * (size_t)v->width, sizeof *own);
        if (!own) FAIL(NO_MEMORY, "no memory for the constants of a model");
        v->init.fill(own, v->rows, v->width, v->init.arg, 0, v->path);
        TRY(pha__store_set(m->store, PHA__WEIGHT, i, own, PHA__F32));
    }
    return PHA_OK;
}

static pha_status bind_weights(pha_model *m)
{
    TRY(pha__store_open(&m->store, m->names, NULL));
    if (m->gpt2) return pha__gpt2_bind(m);
    const pha__tensor **tensor = pha__alloc_zero((size_t)m->names->n_params + 1, sizeof *tensor);
    pha_status status = tensor ? bind(m, tensor) : PHA_NO_MEMORY;
    pha__free(tensor);
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
    int32_t size = pha__tokenizer_size(m->tokenizer), V = m->config.vocab_size;
    char hash[20];
    pha__print(hash, sizeof hash, "%016" PRIx64, pha__tokenizer_hash(m->tokenizer));
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

/* What another program wrote says a type in the place of an architecture. */
static pha_status check_type(const json_t *config, const char *path)
{
    const char *type = json_string_value(json_object_get(config, "model_type"));
    if (!json_is_object(config) || json_object_get(config, "arch") || !type) return PHA_OK;
    FAIL(BAD_INPUT, "%s: has no arch, and its model_type '%.60s' is none that pha reads; of other programs' models it "
         "reads gpt2", path, type);
}

pha_status pha__model_config(pha__config *c, bool *gpt2, const char *path)
{
    json_t *object, *ours = NULL;
    pha__config_rules rules = pha__rules();
    *c = (pha__config){0};
    TRY(pha__json_load(&object, path, (size_t)1 << 20));
    *gpt2 = pha__gpt2_is(object);
    pha_status status = *gpt2 ? pha__gpt2_config(&ours, object, path) : check_type(object, path);
    if (!status) status = pha__config_parse(c, *gpt2 ? ours : object, path, &rules);
    json_decref(ours);
    json_decref(object);
    return status;
}

/* In one file, or in several with an index. */
static pha_status open_weights(pha_model *m)
{
    char *path, *index = NULL;
    TRY(in_folder(&path, m->folder, "model.safetensors"));
    pha_status status = in_folder(&index, m->folder, "model.safetensors.index.json");
    if (!status && !pha__exists(path) && pha__exists(index)) status = pha__safetensors_open_index(&m->file, index);
    else if (!status) status = pha__safetensors_open(&m->file, path);
    pha__free(path);
    pha__free(index);
    return status;
}

static pha_status check_config(const pha_model *m)
{
    char *path;
    TRY(in_folder(&path, m->folder, "config.json"));
    pha_status status = pha__model_check_config(m, path);
    pha__free(path);
    return status;
}

static pha_status open_parts(pha_model *m)
{
    char *path;
    TRY(in_folder(&path, m->folder, "config.json"));
    pha_status status = pha__model_config(&m->config, &m->gpt2, path);
    if (!status && m->config.vocab_size < 2)
        status = pha__fail(PHA_BAD_INPUT, "%s: vocab_size is missing", path);
    pha__free(path);
    TRY(status);
    pha__program_options options = {.B = 1, .T = 1};
    TRY(pha__record(&m->names, &m->config, &options, PHA__HEAD_NONE));
    TRY(open_weights(m));
    TRY(bind_weights(m));
    TRY(check_config(m));
    return open_tokenizer(m);
}

/* A run folder has a config.json too; its model is one level down. */
static pha_status check_not_a_run(const char *folder)
{
    char *run, *weights = NULL, *index = NULL;
    TRY(in_folder(&run, folder, "run.json"));
    pha_status status = in_folder(&weights, folder, "model.safetensors");
    if (!status) status = in_folder(&index, folder, "model.safetensors.index.json");
    bool is_run = !status && pha__exists(run) && !pha__exists(weights) && !pha__exists(index);
    pha__free(run);
    pha__free(weights);
    pha__free(index);
    TRY(status);
    if (is_run)
        FAIL(BAD_INPUT, "%s: is a run, not a model; its model, once the run is done, is %s/model", folder, folder);
    return PHA_OK;
}

pha_status pha_model_open(pha_model **out, const char *folder)
{
    NEED(out, "a place for its result");
    *out = NULL;
    if (!folder) FAIL(USAGE, "no model folder was named");
    TRY(pha__settle(folder, false));
    TRY(pha__need_dir(folder, "a model is a folder with config.json and model.safetensors"));
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
    pha__store_close(m->store);
    pha__program_close(m->names);
    pha__safetensors_close(m->file);
    pha__tokenizer_close(m->tokenizer);
    pha__arena_free(&m->constants);
    pha__free(m->folder);
    pha__free(m);
}

pha_status pha__model_verify(const pha_model *model)
{
    pha_model *m = (pha_model *)model;
    if (!m->verified) TRY(pha__safetensors_verify(m->file));
    m->verified = true;
    return PHA_OK;
}

/* Two threads that ask at once both find the same. */
pha_status pha__model_fingerprint(uint64_t *out, const pha_model *model)
{
    pha_model *m = (pha_model *)model;
    if (m->has_fingerprint) return *out = m->fingerprint, PHA_OK;
    pha__config_rules rules = pha__rules();
    json_t *json = pha__config_least(&m->config, &rules);
    pha__str text = {0};
    pha__json_print(&text, json, JSON_SORT_KEYS | JSON_COMPACT);
    json_decref(json);
    uint64_t hash = text.failed ? 0 : pha__hash(text.data, text.size, m->names->parameters);
    bool failed = text.failed;
    pha__str_free(&text);
    if (failed) FAIL(NO_MEMORY, "no memory for the fingerprint of a model");
    for (int i = 0; i < m->names->n_params; i++) {
        const pha__node *v = m->names->params[i];
        pha__place at = pha__store_at(m->store, PHA__WEIGHT, i);
        hash = pha__hash(at.data, pha__format_bytes(at.format, v->rows, v->width), hash);
    }
    m->fingerprint = *out = hash;
    m->has_fingerprint = true;
    return PHA_OK;
}

void pha_model_get_info(const pha_model *m, pha_model_info *info)
{
    if (!info) return;
    *info = (pha_model_info){0};
    if (!m) return;
    const pha__config *c = &m->config;
    *info = (pha_model_info){
        .vocab_size = c->vocab_size, .d_model = c->d_model, .n_layer = c->n_layer, .parameters = m->names->parameters};
    pha__print(info->arch, sizeof info->arch, "%s", c->arch);
}

const pha_tokenizer *pha_model_tokenizer(const pha_model *m)
{
    return m ? (const pha_tokenizer *)m->tokenizer : NULL;
}
