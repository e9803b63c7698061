/* experiment.c -- the file of an experiment (docs/repro.md): every key is known or refused by name */
#include <math.h>
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/print.h"
#include "runtime/repro/members.h"
#include "runtime/train/options.h"

static const size_t MOST = (size_t)4 << 20; /* bytes of the file */

/* ---- the data -------------------------------------------------------------------------------------------- */

/* A text or a list of them, in the folder of the texts. */
static pha_status texts_of(pha__experiment *e, int split, const json_t *value, const char *folder)
{
    size_t n = json_is_array(value) ? json_array_size(value) : value != NULL;
    if (n > PHA__REPRO_LIST) FAIL(BAD_INPUT, "%s: more than %d texts of a split", e->path, PHA__REPRO_LIST);
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_is_array(value) ? json_array_get(value, i) : value);
        if (!name) FAIL(BAD_INPUT, "%s: a name of a text is no text", e->path);
        e->texts[split][i] = *name == '/' ? pha__arena_strdup(&e->memory, name)
                                          : pha__arena_printf(&e->memory, "%s/%s", folder, name);
        if (!e->texts[split][i]) return PHA_NO_MEMORY;
    }
    e->n_texts[split] = n;
    return PHA_OK;
}

static pha_status read_data(pha__experiment *e, const json_t *data, const char *texts, bool trains)
{
    static const char *const keys[] = {"train", "valid", "test", "tokenizer", "vocab_size", "folder", "valid_fraction",
                                       "test_fraction", NULL};
    double vocab = 0;
    if (!data) FAIL(BAD_INPUT, "%s: no \"data\": the texts that are trained on and scored", e->path);
    TRY(pha__members_known(data, "data", keys, e));
    TRY(pha__member_text(&e->folder, data, "folder", e));
    TRY(pha__member_text(&e->tokenizer, data, "tokenizer", e));
    TRY(pha__member_number(&vocab, data, "vocab_size", 2, 1 << 24, e));
    e->vocab_size = (int32_t)vocab;
    TRY(pha__member_number(&e->shares[0], data, "valid_fraction", 0, 1, e));
    TRY(pha__member_number(&e->shares[1], data, "test_fraction", 0, 1, e));
    for (int i = 0; i < 3; i++) TRY(texts_of(e, i, json_object_get(data, keys[i]), texts));
    if ((e->n_texts[1] && e->shares[0] > 0) || (e->n_texts[2] && e->shares[1] > 0))
        FAIL(BAD_INPUT, "%s: data has texts for a split, and a share of the others; one of the two", e->path);
    if (e->folder && (e->n_texts[0] || e->tokenizer))
        FAIL(BAD_INPUT, "%s: data has a folder that is prepared already, and texts or a tokenizer; one of the two",
             e->path);
    if (!e->folder && !e->n_texts[0] && trains) FAIL(BAD_INPUT, "%s: data names no text to train on", e->path);
    if (e->tokenizer && *e->tokenizer != '/' && strcmp(e->tokenizer, "bytes"))
        e->tokenizer = pha__arena_printf(&e->memory, "%s/%s", texts, e->tokenizer);
    if (e->folder && *e->folder != '/') e->folder = pha__arena_printf(&e->memory, "%s/%s", texts, e->folder);
    if (!e->vocab_size) FAIL(BAD_INPUT, "%s: data has no vocab_size, on which the sizes of all models depend", e->path);
    return PHA_OK;
}

/* ---- options of training ----------------------------------------------------------------------------------- */

/* What an experiment sets itself, run by run. */
static bool ours(const pha__option *row)
{
    static const char *const names[] = {"seed", "steps", "epochs", "lr", "warmup", "threads", NULL};
    for (size_t i = 0; names[i]; i++)
        if (!strcmp(row->key, names[i])) return true;
    return row->kind == PHA__OPTION_PATH || row->role == PHA__CALL;
}

static pha_status read_options(pha_train_options *out, const json_t *options, const pha__experiment *e)
{
    const char *key;
    json_t *value;
    if (options && !json_is_object(options)) FAIL(BAD_INPUT, "%s: options is not an object", e->path);
    json_object_foreach((json_t *)(uintptr_t)options, key, value) {
        size_t i = 0;
        while (i < pha__n_train_options && strcmp(pha__train_options[i].key, key)) i++;
        if (i == pha__n_train_options)
            FAIL(BAD_INPUT, "%s: options has no key '%.60s'; they are those of pha train, with _ for -", e->path, key);
        if (ours(&pha__train_options[i]))
            FAIL(BAD_INPUT, "%s: options has '%s', which an experiment says elsewhere (\"rates\", \"stages\", "
                 "\"warmup\") or not at all", e->path, key);
        TRY(pha__option_read(&pha__train_options[i], out, value, e->path));
    }
    return PHA_OK;
}

/* ---- models ----------------------------------------------------------------------------------------------- */

/* Names become names of folders. */
static bool good_name(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
    return n && n < 64 && !name[n] && name[0] != '.';
}

static pha_status read_config(pha__system *s, const json_t *value, const char *folder, const pha__experiment *e)
{
    pha__config_rules rules = pha__rules();
    char where[512];
    if (json_is_object(value)) {
        pha__print(where, sizeof where, "%.400s: model %s", e->path, s->name);
        return pha__config_parse(&s->config, value, where, &rules);
    }
    if (!json_is_string(value))
        FAIL(BAD_INPUT, "%s: model %s is neither a configuration nor the name of its file", e->path, s->name);
    const char *name = json_string_value(value);
    char *path = *name == '/' ? pha__strdup(name) : pha__path_join(folder, name);
    pha_status status = path ? pha__config_load(&s->config, path, &rules) : PHA_NO_MEMORY;
    pha__free(path);
    return status;
}

static int find_system(const pha__experiment *e, const char *name)
{
    for (size_t i = 0; i < e->n_systems; i++)
        if (!strcmp(e->systems[i].name, name)) return (int)i;
    return -1;
}

static pha_status read_models(pha__experiment *e, const json_t *models, const char *folder)
{
    const char *name;
    json_t *value;
    if (!json_object_size(models) || json_object_size(models) > PHA__REPRO_MODELS)
        FAIL(BAD_INPUT, "%s: models has not 1 to %d members", e->path, PHA__REPRO_MODELS);
    json_object_foreach((json_t *)(uintptr_t)models, name, value) {
        pha__system *s = &e->systems[e->n_systems];
        if (!good_name(name))
            FAIL(BAD_INPUT, "%s: '%.80s' is no name of a model: letters, digits, _ - . and at most 63", e->path, name);
        if (!(s->name = pha__arena_strdup(&e->memory, name))) return PHA_NO_MEMORY;
        TRY(read_config(s, value, folder, e));
        if (!s->config.vocab_size) s->config.vocab_size = e->vocab_size;
        if (s->config.vocab_size < e->vocab_size) /* more: rows that no token has */
            FAIL(BAD_INPUT, "%s: model %s has vocab_size = %d, the data %d", e->path, name, s->config.vocab_size,
                 e->vocab_size);
        e->n_systems++;
    }
    return PHA_OK;
}

/* Marks the named ones of a list. */
static pha_status mark(bool *marks, const json_t *list, const char *what, const pha__experiment *e)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        int at = name ? find_system(e, name) : -1;
        if (at < 0)
            FAIL(BAD_INPUT, "%s: %s names '%.80s', which is none of the models", e->path, what, name ? name : "");
        marks[at] = true;
    }
    return PHA_OK;
}

/* Of single models, over those of all. A step has the same tokens for every model. */
static pha_status read_own_options(pha__experiment *e, const json_t *of)
{
    const char *name;
    json_t *options;
    if (of && !json_is_object(of)) FAIL(BAD_INPUT, "%s: options_of is not an object", e->path);
    for (size_t i = 0; i < e->n_systems; i++) e->systems[i].train = e->train;
    json_object_foreach((json_t *)(uintptr_t)of, name, options) {
        int at = find_system(e, name);
        if (at < 0) FAIL(BAD_INPUT, "%s: options_of names '%.80s', which is none of the models", e->path, name);
        if (json_object_get(options, "context") || json_object_get(options, "batch"))
            FAIL(BAD_INPUT, "%s: options_of %s has context or batch, which are those of all models", e->path, name);
        TRY(read_options(&e->systems[at].train, options, e));
        pha__str text = {0};
        pha__json_print(&text, options, JSON_COMPACT | JSON_SORT_KEYS);
        if (!text.failed) e->systems[at].own = pha__arena_strdup(&e->memory, text.data);
        pha__str_free(&text);
        if (!e->systems[at].own) return PHA_NO_MEMORY;
    }
    return PHA_OK;
}

static pha_status read_other_budgets(pha__experiment *e, const json_t *list)
{
    bool marks[PHA__REPRO_MODELS] = {false};
    TRY(mark(marks, list, "other_budget", e));
    for (size_t i = 0; i < e->n_systems; i++) e->systems[i].other_budget = marks[i];
    return PHA_OK;
}

/* ---- stages, rates, what was published ---------------------------------------------------------------------- */

/* Models whose rates are others. */
static pha_status read_own_rates(pha__experiment *e, const json_t *of)
{
    const char *name;
    json_t *list;
    if (of && !json_is_object(of)) FAIL(BAD_INPUT, "%s: \"of\" of rates is not an object", e->path);
    json_object_foreach((json_t *)(uintptr_t)of, name, list) {
        int at = find_system(e, name);
        if (at < 0) FAIL(BAD_INPUT, "%s: rates names '%.80s', which is none of the models", e->path, name);
        TRY(pha__member_numbers(&e->systems[at].rates, list, name, 1e-9, 10, e));
    }
    return PHA_OK;
}

static pha_status read_rates(pha__experiment *e, const json_t *rates)
{
    static const char *const keys[] = {"lr", "tokens", "scored_tokens", "of", NULL};
    double scored = 0;
    pha__numbers all;
    if (!rates) FAIL(BAD_INPUT, "%s: no \"rates\": {\"lr\": [...]}", e->path);
    TRY(pha__members_known(rates, "rates", keys, e));
    TRY(pha__member_numbers(&all, json_object_get(rates, "lr"), "lr", 1e-9, 10, e));
    for (size_t i = 0; i < e->n_systems; i++) e->systems[i].rates = all;
    TRY(read_own_rates(e, json_object_get(rates, "of")));
    TRY(pha__member_number(&e->search_tokens, rates, "tokens", 1, 1e15, e));
    TRY(pha__member_number(&scored, rates, "scored_tokens", 1, 1e15, e));
    e->search_scored = (int64_t)scored;
    for (size_t i = 0; i < e->n_systems && e->search_tokens == 0; i++)
        if (e->systems[i].rates.n > 1)
            FAIL(BAD_INPUT, "%s: rates has several lr, but not how many tokens each is tried on (\"tokens\")", e->path);
    return PHA_OK;
}

static pha_status read_stage(pha__experiment *e, const json_t *stage)
{
    static const char *const keys[] = {"tokens", "seeds", "models", NULL};
    pha__stage *s = &e->stages[e->n_stages];
    TRY(pha__members_known(stage, "a stage", keys, e));
    TRY(pha__member_number(&s->tokens, stage, "tokens", 1, 1e15, e));
    if (s->tokens == 0) FAIL(BAD_INPUT, "%s: stage %zu has no tokens", e->path, e->n_stages + 1);
    TRY(pha__member_numbers(&s->seeds, json_object_get(stage, "seeds"), "seeds", 0, 0x1p53, e));
    const json_t *models = json_object_get(stage, "models");
    for (size_t i = 0; i < e->n_systems; i++) s->of[i] = !models;
    TRY(mark(s->of, models, "a stage", e));
    e->n_stages++;
    return PHA_OK;
}

static pha_status read_stages(pha__experiment *e, const json_t *stages)
{
    if (!json_array_size(stages) || json_array_size(stages) > PHA__REPRO_LIST)
        FAIL(BAD_INPUT, "%s: stages is no list of 1 to %d", e->path, PHA__REPRO_LIST);
    for (size_t i = 0; i < json_array_size(stages); i++) TRY(read_stage(e, json_array_get(stages, i)));
    return PHA_OK;
}

static pha_status read_efficiency(pha__experiment *e, const json_t *efficiency)
{
    static const char *const keys[] = {"contexts", "what", "repeats", NULL};
    double repeats = 0;
    if (!efficiency) return PHA_OK;
    TRY(pha__members_known(efficiency, "efficiency", keys, e));
    TRY(pha__member_numbers(&e->contexts, json_object_get(efficiency, "contexts"), "contexts", 1, 1 << 20, e));
    TRY(pha__member_text(&e->what, efficiency, "what", e));
    TRY(pha__member_number(&repeats, efficiency, "repeats", 1, 1000, e));
    e->repeats = (int32_t)repeats;
    if (!e->what) e->what = "train,prefill,decode";
    return PHA_OK;
}

static pha_status read_family(pha__experiment *e, const char *name, const json_t *list)
{
    pha__family *f = &e->families[e->n_families];
    if (!(f->name = pha__arena_strdup(&e->memory, name))) return PHA_NO_MEMORY;
    if (json_array_size(list) > PHA__REPRO_LIST)
        FAIL(BAD_INPUT, "%s: family %.60s has more than %d models", e->path, name, PHA__REPRO_LIST);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *model = json_string_value(json_array_get(list, i));
        int at = model ? find_system(e, model) : -1;
        if (at < 0)
            FAIL(BAD_INPUT, "%s: family %.60s names '%.80s', which is none of the models", e->path, name,
                 model ? model : "");
        f->systems[f->n++] = &e->systems[at];
    }
    if (!f->n || f->n != (e->n_families ? e->families[0].n : f->n))
        FAIL(BAD_INPUT, "%s: family %.60s is no list of models, or not as long as the first one", e->path, name);
    e->n_families++;
    return PHA_OK;
}

static pha_status read_scaling(pha__experiment *e, const json_t *scaling)
{
    static const char *const keys[] = {"families", "parameters", "tokens", NULL};
    const char *name;
    json_t *list;
    if (!scaling) return PHA_OK;
    TRY(pha__members_known(scaling, "scaling", keys, e));
    TRY(pha__member_number(&e->at_parameters, scaling, "parameters", 1, 1e15, e));
    TRY(pha__member_number(&e->at_tokens, scaling, "tokens", 1, 1e18, e));
    json_t *families = json_object_get(scaling, "families");
    size_t n = json_object_size(families);
    if (n < 1 || n > PHA__REPRO_FAMILIES || e->at_parameters == 0 || e->at_tokens == 0)
        FAIL(BAD_INPUT, "%s: scaling has not all of 1 to %d \"families\", and \"parameters\" and \"tokens\" that the "
             "fit is asked about", e->path, PHA__REPRO_FAMILIES);
    json_object_foreach(families, name, list) TRY(read_family(e, name, list));
    return PHA_OK;
}

static pha_status read_published(pha__experiment *e, const json_t *list)
{
    static const char *const keys[] = {"model", "how", "where", "token_ppl", "word_ppl", NULL};
    static const char *const ways[] = {"from scratch", "zero-shot", "converted", NULL};
    if (json_array_size(list) > PHA__REPRO_MODELS || (list && !json_is_array(list)))
        FAIL(BAD_INPUT, "%s: published is no list of at most %d", e->path, PHA__REPRO_MODELS);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        pha__published *p = &e->published[i];
        *p = (pha__published){.token_ppl = NAN, .word_ppl = NAN};
        TRY(pha__members_known(one, "a published number", keys, e));
        TRY(pha__member_text(&p->model, one, "model", e));
        TRY(pha__member_text(&p->how, one, "how", e));
        TRY(pha__member_text(&p->where, one, "where", e));
        TRY(pha__member_number(&p->token_ppl, one, "token_ppl", 1, 1e9, e));
        TRY(pha__member_number(&p->word_ppl, one, "word_ppl", 1, 1e9, e));
        size_t way = 0;
        while (p->how && ways[way] && strcmp(ways[way], p->how)) way++;
        if (!p->model || !p->how || !ways[way] || !p->where)
            FAIL(BAD_INPUT, "%s: published number %zu has not all of \"model\", \"where\" and \"how\" (from scratch, "
                 "zero-shot or converted)", e->path, i + 1);
        e->n_published = i + 1;
    }
    return PHA_OK;
}

/* ---- the whole ---------------------------------------------------------------------------------------------- */

/* Of all that a result depends on: not of titles, stages and published numbers, so that these may change. */
static pha_status identify(pha__experiment *e, const json_t *file)
{
    static const char *const keys[] = {"data", "options", "warmup", "split", NULL};
    pha__str text = {0};
    for (size_t i = 0; keys[i]; i++) {
        const json_t *value = json_object_get(file, keys[i]);
        pha__str_printf(&text, "%s=", keys[i]);
        if (value) pha__json_print(&text, value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    }
    if (!text.failed) e->identity = pha__hash(text.data, text.size, 0);
    bool failed = text.failed;
    pha__str_free(&text);
    return failed ? PHA_NO_MEMORY : PHA_OK;
}

static pha_status read_file(pha__experiment *e, const json_t *file, const char *folder, const char *texts)
{
    static const char *const keys[] = {"title",  "note",   "data",  "models",     "other_budget", "parameters_within",
                                       "options", "warmup", "rates", "stages",     "split",        "efficiency",
                                       "scaling", "options_of", "published", NULL};
    TRY(pha__members_known(file, "an experiment", keys, e));
    e->title = "An experiment", e->split = "valid", e->within = 0.05;
    TRY(pha__member_text(&e->title, file, "title", e));
    TRY(pha__member_text(&e->note, file, "note", e));
    TRY(pha__member_text(&e->split, file, "split", e));
    if (strcmp(e->split, "valid") && strcmp(e->split, "test"))
        FAIL(BAD_INPUT, "%s: split is neither valid nor test", e->path);
    TRY(pha__member_number(&e->within, file, "parameters_within", 0, 1e6, e));
    TRY(pha__member_number(&e->warmup, file, "warmup", 0, 1, e));
    bool trains = json_object_get(file, "stages") || !json_object_get(file, "efficiency");
    TRY(read_data(e, json_object_get(file, "data"), texts, trains));
    TRY(read_options(&e->train, json_object_get(file, "options"), e));
    if (!e->train.context && trains) FAIL(BAD_INPUT, "%s: options has no context", e->path);
    if (!e->train.context) e->train.context = 1024; /* of the plan's table */
    TRY(read_models(e, json_object_get(file, "models"), folder));
    TRY(read_own_options(e, json_object_get(file, "options_of")));
    TRY(read_other_budgets(e, json_object_get(file, "other_budget")));
    if (trains) TRY(read_rates(e, json_object_get(file, "rates")));
    if (trains) TRY(read_stages(e, json_object_get(file, "stages")));
    TRY(read_efficiency(e, json_object_get(file, "efficiency")));
    TRY(read_scaling(e, json_object_get(file, "scaling")));
    TRY(read_published(e, json_object_get(file, "published")));
    return identify(e, file);
}

pha_status pha__experiment_open(pha__experiment *e, const pha_repro_options *o)
{
    json_t *file;
    if (!o->experiment) FAIL(USAGE, "no experiment was named");
    if (!(e->path = pha__arena_strdup(&e->memory, o->experiment))) return PHA_NO_MEMORY;
    const char *slash = strrchr(e->path, '/');
    const char *folder = slash ? pha__arena_printf(&e->memory, "%.*s", (int)(slash - e->path), e->path) : ".";
    if (!folder) return PHA_NO_MEMORY;
    if (!*folder) folder = "/";
    TRY(pha__json_load(&file, e->path, MOST));
    pha_status status = read_file(e, file, folder, o->texts ? o->texts : folder);
    json_decref(file);
    if (!status && e->memory.failed) status = PHA_NO_MEMORY;
    return status;
}

void pha__experiment_close(pha__experiment *e) { pha__arena_free(&e->memory); }
