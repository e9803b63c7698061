/* model_write.c -- model folders: writing, initialising */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/place.h"
#include "base/str.h"
#include "runtime/model.h"

static pha_status in_folder(char **out, const char *folder, const char *name)
{
    *out = pha__path_join(folder, name);
    return *out ? PHA_OK : PHA_NO_MEMORY;
}

static pha_status write_weights(const char *path, const pha__weights *w, const pha__program *names,
                                const pha__tokenizer *tokenizer)
{
    pha__tensor *tensors = pha__alloc_zero((size_t)w->n, sizeof *tensors);
    if (!tensors) return PHA_NO_MEMORY;
    size_t n = 0;
    for (int i = 0; i < w->n; i++) {
        const pha__node *v = names->params[i];
        if (v->kind == PHA__CONSTANT) continue;
        pha__tensor *t = &tensors[n++];
        *t = (pha__tensor){.name = v->path, .dtype = PHA__F32, .data = w->data[i]};
        if (v->rows == 1 && v->kind == PHA__VECTOR)
            t->rank = 1, t->shape[0] = v->width;
        else
            t->rank = 2, t->shape[0] = v->rows, t->shape[1] = v->width;
    }
    char hash[20];
    snprintf(hash, sizeof hash, "%016" PRIx64, tokenizer ? pha__tokenizer_hash(tokenizer) : 0);
    const char *metadata[] = {"format", "pha", "rope", w->config.rope == PHA__ROPE_HALF ? "half" : "interleaved",
                              tokenizer ? "tokenizer_hash" : NULL, hash, NULL};
    pha_status status = pha__safetensors_write(path, tensors, n, metadata);
    pha__free(tensors);
    return status;
}

static pha_status write_card(const char *path, const pha__weights *w, const pha__program *names, const char *card)
{
    pha__str s = {0};
    pha__str_printf(
        &s,
        "---\nlibrary_name: pha\ntags: [%s]\n---\n# A %s language model\n\n%llu parameters, %d layers of width "
        "%d, vocabulary %d. Written by pha %s; `pha generate --model DIR` runs it, `pha inspect DIR` describes "
        "it.\n%s%s",
        w->config.arch, w->config.arch, (unsigned long long)names->parameters, w->config.n_layer, w->config.d_model,
        w->config.vocab_size, pha_version(), card ? "\n" : "", card ? card : "");
    pha_status status = s.failed ? PHA_NO_MEMORY : pha__write_file(path, s.data, s.size);
    pha__str_free(&s);
    return status;
}

static const char config_name[] = "config.json", weights_name[] = "model.safetensors",
                  tokenizer_name[] = "tokenizer.json", card_name[] = "README.md";

static pha_status write_parts(const char *folder, const pha__weights *w, const pha__program *names,
                              const pha__tokenizer *tokenizer, const char *card)
{
    char *path;
    pha__config_rules r = pha__rules();
    TRY(in_folder(&path, folder, config_name));
    pha_status status = pha__config_save(&w->config, path, &r);
    pha__free(path);
    TRY(status);
    TRY(in_folder(&path, folder, weights_name));
    status = write_weights(path, w, names, tokenizer);
    pha__free(path);
    TRY(status);
    if (tokenizer) {
        TRY(in_folder(&path, folder, tokenizer_name));
        status = pha__tokenizer_save(tokenizer, path);
        pha__free(path);
        TRY(status);
    }
    TRY(in_folder(&path, folder, card_name));
    status = write_card(path, w, names, card);
    pha__free(path);
    return status;
}

/* ---- the place ------------------------------------------------------------------------------------------- */

static bool is_part(const char *name)
{
    return !strcmp(name, config_name) || !strcmp(name, weights_name) || !strcmp(name, tokenizer_name) ||
           !strcmp(name, card_name);
}

static const char *const needed[] = {config_name, weights_name, NULL};
static const pha__kind model_kind = {"a model folder", needed, is_part};

/* The folder without slashes at its end, and the folder beside it in which the model is made. */
static pha_status place(const char *folder, pha__str *to, pha__str *beside)
{
    size_t end = strlen(folder);
    while (end > 1 && folder[end - 1] == '/') end--;
    pha__str_printf(to, "%.*s", (int)end, folder);
    pha__str_printf(beside, "%.*s.writing", (int)end, folder);
    if (to->failed || beside->failed) return PHA_NO_MEMORY;
    const char *slash = strrchr(to->data, '/'), *name = slash ? slash + 1 : to->data;
    if (!*name || !strcmp(name, ".") || !strcmp(name, ".."))
        FAIL(USAGE, "'%s': a model folder needs a name of its own", folder);
    TRY(pha__may_replace(to->data, &model_kind, false));
    return pha__may_replace(beside->data, &model_kind, true);
}

pha_status pha__model_place(const char *folder)
{
    pha__str to = {0}, beside = {0};
    pha_status status = place(folder, &to, &beside);
    pha__str_free(&to);
    pha__str_free(&beside);
    return status;
}

pha_status pha__model_write(const char *folder, const pha__weights *w, const pha__program *names,
                            const pha__tokenizer *tokenizer, const char *card)
{
    pha__str to = {0}, beside = {0};
    pha_status status = place(folder, &to, &beside);
    if (!status) {
        status = pha__remove_tree(beside.data); /* what a killed run left */
        if (!status) status = pha__mkdirs(beside.data);
        if (!status) status = write_parts(beside.data, w, names, tokenizer, card);
        if (!status)
            status = pha__replace_dir(beside.data, to.data);
        else
            pha__remove_tree(beside.data);
    }
    pha__str_free(&to);
    pha__str_free(&beside);
    return status;
}

pha_status pha_model_init(const char *config_file, uint64_t seed, const char *tokenizer, const char *out_folder)
{
    pha__weights w = {0};
    pha__program *names = NULL;
    pha__tokenizer *tok = NULL;
    pha__config_rules r = pha__rules();
    if (!config_file || !out_folder) FAIL(USAGE, "a configuration file and a folder to write are needed");
    TRY(pha__model_place(out_folder));
    TRY(pha__config_load(&w.config, config_file, &r));
    if (tokenizer) TRY(pha__tokenizer_open(&tok, tokenizer));
    if (!w.config.vocab_size && tok) w.config.vocab_size = pha__tokenizer_size(tok);
    pha_status status = PHA_OK;
    if (w.config.vocab_size < 2)
        status = pha__fail(PHA_BAD_INPUT, "%s: vocab_size is missing; add it or give a tokenizer", config_file);
    else if (tok && pha__tokenizer_size(tok) > w.config.vocab_size)
        status = pha__fail(PHA_BAD_INPUT, "%s: vocab_size %d is below the tokenizer's %d tokens", config_file,
                           w.config.vocab_size, pha__tokenizer_size(tok));
    pha__program_options options = {.B = 1, .T = 1};
    float *block = NULL;
    if (!status) status = pha__record(&names, &w.config, &options, PHA__HEAD_NONE);
    if (!status) {
        w.n = names->n_params;
        block = pha__alloc_zero((size_t)names->weights, sizeof *block);
        w.data = pha__alloc_zero((size_t)w.n, sizeof *w.data);
        if (!block || !w.data)
            status = pha__fail(PHA_NO_MEMORY, "no memory for %lld weights", (long long)names->weights);
    }
    if (!status) {
        pha__bind_block(names, block, sizeof *block, w.data);
        pha__init_weights(names, block, seed);
        status = pha__model_write(out_folder, &w, names, tok, "Untrained.\n");
    }
    pha__free(block);
    pha__free(w.data);
    pha__program_close(names);
    pha__tokenizer_close(tok);
    return status;
}
