/* subject.c -- opening what is to be shown, and numbers and JSON as text */
#include "runtime/look/subject.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"

static pha_status open_config(pha__subject *s, const char *path)
{
    bool gpt2;
    TRY(pha__model_config(&s->config, &gpt2, path));
    if (s->config.vocab_size < 2)
        FAIL(BAD_INPUT, "%s: vocab_size is missing; sizes depend on it, so write one into the configuration", path);
    pha__program_options options = {.B = 1, .T = 1};
    return pha__record(&s->names, &s->config, &options, PHA__HEAD_NONE);
}

static pha_status open_folder(pha__subject *s, const char *path)
{
    char *weights = pha__path_join(path, "model.safetensors"), *config = pha__path_join(path, "config.json");
    pha_status status = weights && config ? PHA_OK : PHA_NO_MEMORY;
    if (!status && !pha__exists(weights) && pha__exists(config)) status = open_config(s, config);
    else if (!status && !(status = pha_model_open(&s->model, path))) {
        s->config = s->model->config;
        s->names = s->model->names;
    }
    pha__free(weights);
    pha__free(config);
    return status;
}

/* A run has a configuration of its own, but who asks for a run wants to see its model. */
static pha_status find_model(pha__subject *s, const char *path)
{
    char *run = pha__path_join(path, "run.json"), *weights = pha__path_join(path, "model.safetensors");
    pha_status status = run && weights ? PHA_OK : PHA_NO_MEMORY;
    bool is_run = !status && pha__exists(run) && !pha__exists(weights);
    pha__free(run);
    pha__free(weights);
    TRY(status);
    if (!is_run) return PHA_OK;
    if (!(s->inner = pha__path_join(path, "model"))) return PHA_NO_MEMORY;
    TRY(pha__settle(s->inner, false));
    if (!pha__is_dir(s->inner))
        FAIL(BAD_INPUT,
             "%s: is a run without a model yet; inspect one of the snapshots in %s/best, or its configuration "
             "%s/config.json",
             path, path, path);
    s->path = s->inner;
    pha__log(PHA__LOG_NOTE, "%s: is a run; this is its model, %s", path, s->inner);
    return PHA_OK;
}

pha_status pha__subject_open(pha__subject *s, const char *path)
{
    *s = (pha__subject){.path = path};
    if (!path) FAIL(USAGE, "no model and no configuration was given");
    TRY(pha__settle(path, false));
    bool folder = pha__is_dir(path);
    pha_status status = folder ? find_model(s, path) : PHA_OK;
    if (!status) status = folder ? open_folder(s, s->path) : open_config(s, path);
    pha__config_rules r = pha__rules();
    if (!status && !(s->as_json = pha__config_to_json(&s->config, &r))) status = PHA_NO_MEMORY;
    if (status) pha__subject_close(s);
    return status;
}

void pha__subject_close(pha__subject *s)
{
    if (s->model) pha_model_close(s->model);
    else pha__program_close(s->names);
    json_decref(s->as_json);
    pha__free(s->inner);
    *s = (pha__subject){0};
}

/* ---- text --------------------------------------------------------------------------------------------- */

pha_status pha__add_json(pha__str *out, json_t *value)
{
    pha__json_print(out, value, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
    json_decref(value);
    pha__str_puts(out, "\n");
    if (out->failed) FAIL(NO_MEMORY, "no memory for a report");
    return PHA_OK;
}

pha__number pha__digits(uint64_t n)
{
    char reversed[sizeof((pha__number *)0)->text];
    pha__number out = {""};
    int size = 0;
    for (int i = 0; i == 0 || n; i++, n /= 10) {
        if (i && i % 3 == 0) reversed[size++] = ',';
        reversed[size++] = (char)('0' + n % 10);
    }
    for (int i = 0; i < size; i++) out.text[i] = reversed[size - 1 - i];
    return out;
}
