/* import.c -- pha_import: what is given, and models and tokenizers, which our own readers read */
#include <string.h>

#include "base/inside.h"
#include "base/print.h"
#include "runtime/exchange/exchange.h"

/* ---- models ---------------------------------------------------------------------------------------------- */

/* One that comes with its own must not get another: its rows belong to the ids of that. */
static pha_status choose_tokenizer(pha__tokenizer **given, const pha_model *m, const char *path)
{
    if (!path) return PHA_OK;
    TRY(pha__tokenizer_open(given, path));
    int32_t size = pha__tokenizer_size(*given);
    if (m->tokenizer && pha__tokenizer_hash(*given) != pha__tokenizer_hash(m->tokenizer))
        FAIL(BAD_INPUT, "%s: is another tokenizer than the one in %s, which its weights were made with", path,
             m->folder);
    if (size > m->config.vocab_size)
        FAIL(BAD_INPUT, "%s: has %d tokens but the model a vocabulary of %d", path, size, m->config.vocab_size);
    return PHA_OK;
}

static pha_status write_model(pha_model *m, const pha_import_options *o, pha_import_result *r)
{
    pha__tokenizer *given = NULL;
    pha__claim claim = {0};
    pha_status status = choose_tokenizer(&given, m, o->tokenizer);
    if (!status) status = pha__model_verify(m);
    if (!status) status = pha__model_claim(&claim, o->out);
    if (!status)
        status = pha__model_write_to(&claim, &m->config, m->store, m->tokenizer ? m->tokenizer : given,
                                     "Weights of another program, in our files.\n");
    pha__claim_close(&claim);
    pha__tokenizer_close(given);
    pha__print(r->arch, sizeof r->arch, "%s", m->config.arch);
    r->parameters = m->names->parameters, r->vocab_size = m->config.vocab_size;
    return status;
}

static pha_status import_model(const pha_import_options *o, pha_import_result *r)
{
    pha_model *m;
    TRY(pha_model_open(&m, o->from[0]));
    pha_status status = write_model(m, o, r);
    pha_model_close(m);
    return status;
}

/* ---- tokenizers ------------------------------------------------------------------------------------------ */

static bool is_tokenizer_part(const char *name)
{
    return !strcmp(name, "tokenizer.json") || !strcmp(name, PHA__TOKENIZER_CONFIG);
}

static const pha__kind tokenizer_kind = {"a tokenizer folder", (const char *const[]){"tokenizer.json", NULL},
                                         is_tokenizer_part};

static pha_status write_tokenizer(const pha__tokenizer *t, const char *out)
{
    pha__claim claim;
    TRY(pha__claim_open(&claim, out, &tokenizer_kind));
    pha_status status = pha__mkdirs(claim.beside);
    if (!status) status = pha__tokenizer_save_folder(t, claim.beside);
    if (!status) status = pha__claim_commit(&claim);
    pha__claim_close(&claim);
    return status;
}

static pha_status import_tokenizer(const pha_import_options *o, pha_import_result *r)
{
    pha__tokenizer *t;
    TRY(pha__tokenizer_open(&t, o->from[0]));
    r->vocab_size = pha__tokenizer_size(t);
    pha_status status = write_tokenizer(t, o->out);
    pha__tokenizer_close(t);
    return status;
}

/* ---- which ----------------------------------------------------------------------------------------------- */

/* *found: is one of these names in the folder? */
static pha_status has(bool *found, const char *folder, const char *const *names)
{
    *found = false;
    for (; *names && !*found; names++) {
        char *path = pha__path_join(folder, *names);
        if (!path) FAIL(NO_MEMORY, "%s: no memory for the name of a file", folder);
        *found = pha__exists(path);
        pha__free(path);
    }
    return PHA_OK;
}

/* Weights in a form that is not read here. */
static pha_status check_form(const char *path)
{
    static const char *const pickled[] = {"pytorch_model.bin", "pytorch_model.bin.index.json", NULL},
                            *const known[] = {"model.safetensors", "model.safetensors.index.json", NULL};
    bool found, other;
    TRY(has(&found, path, known));
    TRY(has(&other, path, pickled));
    if (!found && other)
        FAIL(BAD_INPUT, "%s: holds pytorch_model.bin, which only Python reads; open it there and save it as "
             "safetensors (save_pretrained of transformers)", path);
    return PHA_OK;
}

/* A GGUF file has an ending of its own. */
static bool is_gguf(const char *path)
{
    size_t n = strlen(path);
    return n > 5 && !strcmp(path + n - 5, ".gguf");
}

/* A folder that transformers saved may hold training_args.bin, so a configuration counts first. */
static pha_status kind_of(pha_import_kind *kind, const char *path)
{
    static const char *const model[] = {"config.json", NULL}, *const adapter[] = {"adapter_config.json", NULL},
                            *const tokenizer[] = {"tokenizer.json", "vocab.json", "vocab.bpe", NULL};
    bool found;
    if (!pha__exists(path)) FAIL(IO, "%s: there is no such file or folder", path);
    if (is_gguf(path)) FAIL(BAD_INPUT, "%s: GGUF is written (pha export --to gguf), not read", path);
    TRY(has(&found, path, model));
    if (found) return *kind = PHA_IMPORT_MODEL, check_form(path);
    TRY(has(&found, path, adapter));
    if (found)
        FAIL(BAD_INPUT, "%s: holds an adapter; merge it into its model (merge_and_unload of peft) and save that", path);
    TRY(pha__is_token_path(&found, path));
    if (found) return *kind = PHA_IMPORT_TOKENS, PHA_OK;
    TRY(has(&found, path, tokenizer));
    if (found || !pha__is_dir(path)) return *kind = PHA_IMPORT_TOKENIZER, PHA_OK;
    FAIL(BAD_INPUT, "%s: has neither config.json (a model), nor .bin (tokens), nor tokenizer.json or vocab.json", path);
}

static pha_status check(const pha_import_options *o)
{
    if (!o || !o->out || !o->from || !o->n_from) FAIL(USAGE, "something to import and a folder to write are needed");
    for (size_t i = 0; i < o->n_from; i++) {
        if (!o->from[i]) FAIL(USAGE, "something to import and a folder to write are needed");
        if (pha__is_inside(o->from[i], o->out))
            FAIL(USAGE, "%s: is to be imported and would be replaced; choose another folder", o->from[i]);
    }
    return PHA_OK;
}

pha_status pha_import(const pha_import_options *o, pha_import_result *result)
{
    pha_import_result r = {0};
    TRY(check(o));
    TRY(kind_of(&r.kind, o->from[0]));
    bool one = o->n_from == 1 && !o->n_valid && !o->n_test;
    if (r.kind != PHA_IMPORT_TOKENS && !one)
        FAIL(USAGE, "%s: is a %s, which comes alone", o->from[0], r.kind == PHA_IMPORT_MODEL ? "model" : "tokenizer");
    TRY(r.kind == PHA_IMPORT_MODEL ? import_model(o, &r)
        : r.kind == PHA_IMPORT_TOKENIZER ? import_tokenizer(o, &r) : pha__import_tokens(o, &r));
    if (result) *result = r;
    return PHA_OK;
}
