/* model_config.c -- the configuration that weights were written with, in their metadata, against config.json
 *
 * With another one that fits the shapes the same numbers are another model. config.json is a person's to lay out and to
 * add a hub's keys to; who changes what it means says so in it.
 */
#include <string.h>

#include "base/json.h"
#include "base/print.h"
#include "runtime/model.h"

void pha__config_text(pha__str *out, const pha__config *config)
{
    pha__config_rules rules = pha__rules();
    json_t *json = pha__config_to_json(config, &rules);
    pha__json_print(out, json, JSON_SORT_KEYS | JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(json);
}

pha_status pha__config_rope(pha__config *c, double theta, const char *of)
{
    const char *const *key = pha__model_keys(c->arch);
    if (theta == 0) return PHA_OK;
    while (key && *key && strcmp(*key, "rope_theta")) key++;
    if (!key || !*key || !(c->branches & PHA__BRANCH_ATTN))
        FAIL(BAD_INPUT, "%s: has no rotary positions whose base could be %g", of, theta);
    c->rope_theta = theta;
    return PHA_OK;
}

/* As this build reads it. */
static pha_status read_written(json_t **out, const pha_model *m, const char *text)
{
    json_t *json;
    pha__config_rules rules = pha__rules();
    char where[256];
    pha__print(where, sizeof where, "%s: metadata 'config'", pha__safetensors_path(m->file));
    TRY(pha__json_parse(&json, text, strlen(text), where));
    pha_status status = pha__config_renew(out, json, where, &rules);
    json_decref(json);
    return status;
}

/* Did a person say so? */
static pha_status edited(bool *yes, const char *path)
{
    json_t *json;
    TRY(pha__json_load(&json, path, 1 << 20));
    *yes = json_is_true(json_object_get(json, PHA__CONFIG_EDITED));
    json_decref(json);
    return PHA_OK;
}

static pha_status compare(const pha_model *m, const json_t *written, const json_t *now, const char *path)
{
    if (!now) FAIL(NO_MEMORY, "%s: no memory to compare it with its weights", path);
    const char *key = pha__config_difference(written, now);
    bool meant = false;
    if (key) TRY(edited(&meant, path));
    if (!key || meant) return PHA_OK;
    FAIL(BAD_INPUT,
         "%s: '%s' is not as it was when %s was written; put it back, or add \"%s\": true if the change is meant",
         path, key, pha__safetensors_path(m->file), PHA__CONFIG_EDITED);
}

pha_status pha__model_check_config(const pha_model *m, const char *path)
{
    const char *text = pha__safetensors_metadata(m->file, "config");
    json_t *written;
    pha__config_rules rules = pha__rules();
    if (!text) return PHA_OK;
    TRY(read_written(&written, m, text));
    json_t *now = pha__config_to_json(&m->config, &rules);
    pha_status status = compare(m, written, now, path);
    json_decref(written);
    json_decref(now);
    return status;
}
