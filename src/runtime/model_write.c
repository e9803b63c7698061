/* model_write.c -- model folders: writing, initialising */
#include <inttypes.h>
#include <string.h>

#include "base/fs.h"
#include "base/inside.h"
#include "base/json.h"
#include "base/print.h"
#include "base/str.h"
#include "runtime/model.h"
#include "runtime/tensors.h"

static pha_status in_folder(char **out, const char *folder, const char *name)
{
    *out = pha__path_join(folder, name);
    return *out ? PHA_OK : PHA_NO_MEMORY;
}

static pha_status write_weights(const char *path, const pha__config *c, const pha__store *store,
                                const pha__tokenizer *tokenizer)
{
    char hash[20];
    pha__print(hash, sizeof hash, "%016" PRIx64, tokenizer ? pha__tokenizer_hash(tokenizer) : 0);
    pha__str config = {0};
    pha__config_text(&config, c);
    const char *metadata[] = {"format", "pha", "rope", c->rope == PHA__ROPE_HALF ? "half" : "interleaved",
                              "config", config.data, tokenizer ? "tokenizer_hash" : NULL, hash, NULL};
    pha_status status = config.failed ? pha__fail(PHA_NO_MEMORY, "%s: no memory for its metadata", path)
                                      : pha__tensors_write(path, store, PHA__WEIGHT, true, metadata);
    pha__str_free(&config);
    return status;
}

static pha_status write_card(const char *path, const pha__config *c, const pha__store *store, const char *card)
{
    pha__str s = {0};
    pha__str_printf(
        &s,
        "---\nlibrary_name: pha\ntags: [%s]\n---\n# A %s language model\n\n%llu parameters, %d layers of width "
        "%d, vocabulary %d. Written by pha %s; `pha generate --model DIR` runs it, `pha inspect DIR` describes "
        "it.\n%s%s",
        c->arch, c->arch, (unsigned long long)store->names->parameters, c->n_layer, c->d_model, c->vocab_size,
        pha_version(), card ? "\n" : "", card ? card : "");
    pha_status status = s.failed ? PHA_NO_MEMORY : pha__write_file(path, s.data, s.size);
    pha__str_free(&s);
    return status;
}

static const char config_name[] = "config.json", weights_name[] = "model.safetensors",
                  tokenizer_name[] = "tokenizer.json", card_name[] = "README.md";

pha_status pha__model_read_back(const char *folder)
{
    pha_model *m;
    pha_status status = pha_model_open(&m, folder);
    if (!status) status = pha__model_verify(m);
    pha_model_close(m);
    return status == PHA_BAD_INPUT ? pha__fail_in(PHA_IO, "written, and read back otherwise") : status;
}

static pha_status write_parts(const char *folder, const pha__config *c, const pha__store *store,
                              const pha__tokenizer *tokenizer, const char *card)
{
    char *path;
    pha__config_rules r = pha__rules();
    TRY(in_folder(&path, folder, config_name));
    pha_status status = pha__config_save(c, path, &r);
    pha__free(path);
    TRY(status);
    TRY(in_folder(&path, folder, weights_name));
    status = write_weights(path, c, store, tokenizer);
    pha__free(path);
    TRY(status);
    if (tokenizer) {
        TRY(pha__tokenizer_save_folder(tokenizer, folder));
    }
    TRY(in_folder(&path, folder, card_name));
    status = write_card(path, c, store, card);
    pha__free(path);
    TRY(status);
    return pha__model_read_back(folder);
}

/* ---- the place ------------------------------------------------------------------------------------------- */

static bool is_part(const char *name)
{
    return !strcmp(name, config_name) || !strcmp(name, weights_name) || !strcmp(name, tokenizer_name) ||
           !strcmp(name, PHA__TOKENIZER_CONFIG) ||
           !strcmp(name, card_name);
}

static const char *const needed[] = {config_name, weights_name, NULL};
const pha__kind pha__model_kind = {"a model folder", needed, is_part};

/* What cannot be read or parsed does not say that it is ours; only where there is no memory is that not known. */
static pha_status known(pha_status status) { return status == PHA_NO_MEMORY ? status : PHA_OK; }

static pha_status config_says(bool *ours, char type[40], const char *path)
{
    json_t *config = NULL;
    TRY(known(pha__json_load(&config, path, (size_t)1 << 20)));
    const char *model_type = json_string_value(json_object_get(config, "model_type"));
    *ours = json_is_string(json_object_get(config, "arch"));
    if (model_type) pha__print(type, 40, "%s", model_type);
    json_decref(config);
    return PHA_OK;
}

static pha_status card_says(bool *ours, const char *folder)
{
    char *text = NULL, *path;
    size_t size;
    TRY(in_folder(&path, folder, card_name));
    pha_status status = known(pha__read_file(&text, &size, path, (size_t)1 << 20));
    *ours = text && strstr(text, "Written by pha ");
    pha__free(text);
    pha__free(path);
    return status;
}

/* Other programs give their models the same names of files. */
static pha_status check_ours(const char *folder)
{
    char *path, type[40] = "unknown";
    bool ours = true;
    TRY(in_folder(&path, folder, config_name));
    pha__message kept = pha__message_keep();
    pha_status status = pha__exists(path) ? config_says(&ours, type, path) : PHA_OK;
    if (!status && !ours) status = card_says(&ours, folder);
    pha__free(path);
    TRY(status);
    pha__message_restore(&kept);
    if (!ours)
        FAIL(USAGE, "%s: holds a model of another program (model_type %s): config.json has no arch; choose another "
             "folder or remove it", folder, type);
    return PHA_OK;
}

pha_status pha__model_claim_as(pha__claim *claim, const char *folder, const pha__kind *kind)
{
    TRY(pha__claim_open(claim, folder, kind));
    pha_status status = check_ours(claim->to);
    if (status) pha__claim_close(claim);
    return status;
}

pha_status pha__model_claim(pha__claim *claim, const char *folder)
{
    return pha__model_claim_as(claim, folder, &pha__model_kind);
}

pha_status pha__model_write_to(pha__claim *claim, const pha__config *config, const pha__store *store,
                               const pha__tokenizer *tokenizer, const char *card)
{
    TRY(pha__mkdirs(claim->beside));
    TRY(write_parts(claim->beside, config, store, tokenizer, card));
    return pha__claim_commit(claim);
}

pha_status pha__model_write(const char *folder, const pha__config *config, const pha__store *store,
                            const pha__tokenizer *tokenizer, const char *card)
{
    pha__claim claim;
    TRY(pha__model_claim(&claim, folder));
    pha_status status = pha__model_write_to(&claim, config, store, tokenizer, card);
    pha__claim_close(&claim);
    return status;
}

/* The initial values, written through a store of the processor. */
static pha_status write_initial(pha__claim *claim, const pha__config *c, const pha__tokenizer *tokenizer,
                                uint64_t seed)
{
    pha__program_options options = {.B = 1, .T = 1};
    pha__program *names = NULL;
    pha__device *device = NULL;
    pha__store *store = NULL;
    pha_status status = pha__record(&names, c, &options, PHA__HEAD_NONE);
    if (!status) status = pha__device_open(&device, "cpu", 1);
    if (!status) status = pha__store_open(&store, names, device);
    if (!status) status = pha__store_add(store, PHA__WEIGHT, PHA__ALL_PARAMS, PHA__F32);
    if (!status) status = pha__init_weights(store, seed);
    if (!status) status = pha__model_write_to(claim, c, store, tokenizer, "Untrained.\n");
    pha__store_close(store);
    pha__device_close(device);
    pha__program_close(names);
    return status;
}

static pha_status initialise(const char *config_file, uint64_t seed, const pha__tokenizer *tok, pha__claim *claim)
{
    pha__config c;
    bool gpt2;
    TRY(pha__model_config(&c, &gpt2, config_file));
    if (!c.vocab_size && tok) c.vocab_size = pha__tokenizer_size(tok);
    if (c.vocab_size < 2) FAIL(BAD_INPUT, "%s: vocab_size is missing; add it or give a tokenizer", config_file);
    if (tok && pha__tokenizer_size(tok) > c.vocab_size)
        FAIL(BAD_INPUT, "%s: vocab_size %d is below the tokenizer's %d tokens", config_file, c.vocab_size,
             pha__tokenizer_size(tok));
    return write_initial(claim, &c, tok, seed);
}

pha_status pha_model_init(const char *config_file, uint64_t seed, const char *tokenizer, const char *out_folder)
{
    pha__tokenizer *tok = NULL;
    if (!config_file || !out_folder) FAIL(USAGE, "a configuration file and a folder to write are needed");
    pha__claim claim;
    TRY(pha__model_claim(&claim, out_folder));
    pha_status status = PHA_OK;
    if (pha__is_inside(config_file, out_folder) || (tokenizer && pha__is_inside(tokenizer, out_folder)))
        status = pha__fail(PHA_USAGE,
                           "%s: holds the configuration or the tokenizer to begin with and would be replaced; choose "
                           "another folder", out_folder);
    if (!status && tokenizer) status = pha__tokenizer_open(&tok, tokenizer);
    if (!status) status = initialise(config_file, seed, tok, &claim);
    pha__tokenizer_close(tok);
    pha__claim_close(&claim);
    return status;
}
