/* results.c -- results.json: what came of the runs, by their keys, and of which experiment */
#include <math.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "runtime/repro/repro.h"

static const size_t MOST = (size_t)64 << 20; /* bytes of results.json */

static char *path_of(const pha__repro *r) { return pha__path_join(r->o.out, "results.json"); }

double pha__result_number(const json_t *result, const char *key)
{
    const json_t *x = json_object_get(result, key);
    return json_is_number(x) ? json_number_value(x) : NAN;
}

void pha__result_csv(pha__str *out, const json_t *result, const char *key)
{
    double x = pha__result_number(result, key);
    if (isnan(x)) pha__str_puts(out, ",");
    else pha__str_printf(out, ",%.15g", x);
}

/* A result is of the configuration that its model has now: names alone may mean anything. */
static pha_status check_config(const json_t *result, const char *key, const pha__repro *r, const char *path)
{
    pha__config_rules rules = pha__rules();
    const char *name = json_string_value(json_object_get(result, "model"));
    const pha__system *s = NULL;
    json_t *was;
    for (size_t i = 0; i < r->e.n_systems && name; i++)
        if (!strcmp(r->e.systems[i].name, name)) s = &r->e.systems[i];
    if (!s) return PHA_OK; /* a model that the experiment had before */
    const char *own = json_string_value(json_object_get(result, "options"));
    if (json_object_get(result, "seed") && strcmp(own ? own : "", s->own ? s->own : ""))
        FAIL(USAGE, "%s: the result of %s is of other options of its model (options_of); give the model of today "
             "another name, or name another folder", path, key);
    TRY(pha__config_renew(&was, json_object_get(result, "config"), path, &rules));
    json_t *now = pha__config_to_json(&s->config, &rules);
    const char *other = now ? pha__config_difference(was, now) : NULL;
    pha_status status = now ? PHA_OK : PHA_NO_MEMORY;
    if (other)
        status = pha__fail(PHA_USAGE, "%s: the result of %s is of a model with another '%s'; give the model of today "
                           "another name, or name another folder", path, key, other);
    json_decref(now);
    json_decref(was);
    return status;
}

static pha_status check(const json_t *file, const pha__repro *r, const char *path)
{
    json_t *identity = pha__json_hex(r->e.identity);
    const json_t *was = json_object_get(file, "experiment"), *runs = json_object_get(file, "runs");
    const char *key;
    json_t *value;
    bool same = identity && json_equal(was, identity);
    json_decref(identity);
    if (!json_is_string(was) || !json_is_object(runs))
        FAIL(USAGE, "%s: is not of an experiment; name another folder", path);
    if (!same)
        FAIL(USAGE, "%s: is of another experiment: data, options, warmup or split are not those of %s now; name "
             "another folder", path, r->e.path);
    json_object_foreach((json_t *)(uintptr_t)runs, key, value) TRY(check_config(value, key, r, path));
    return PHA_OK;
}

pha_status pha__results_load(pha__repro *r)
{
    json_t *file = NULL;
    char *path = path_of(r);
    pha_status status = path ? PHA_OK : PHA_NO_MEMORY;
    if (!status && pha__exists(path)) {
        status = pha__json_load(&file, path, MOST);
        if (!status) status = pha__json_check_seal(file, path);
        if (!status) status = check(file, r, path);
        if (!status) r->results = json_incref(json_object_get(file, "runs"));
        if (!status) r->data_of = json_incref(json_object_get(file, "data"));
        json_decref(file);
    } else if (!status) {
        r->results = pha__json_object();
        status = r->results ? PHA_OK : PHA_NO_MEMORY;
    }
    pha__free(path);
    return status;
}

static pha_status save(const pha__repro *r)
{
    char *path = path_of(r);
    json_t *file = pha__json_object();
    pha__json_set(&file, "title", pha__json_text(r->e.title));
    pha__json_set(&file, "experiment", pha__json_hex(r->e.identity));
    if (r->data_of) pha__json_set(&file, "data", json_incref(r->data_of));
    pha__json_set(&file, "runs", json_incref(r->results));
    pha__json_seal(&file);
    pha_status status = path ? pha__json_save(file, path) : PHA_NO_MEMORY;
    json_decref(file);
    pha__free(path);
    return status;
}

pha_status pha__results_put(pha__repro *r, const char *key, json_t *result)
{
    pha__json_set(&r->results, key, result);
    if (!r->results) FAIL(NO_MEMORY, "no memory for the results");
    pha__plan_update(r);
    return pha__repro_leads(r) ? save(r) : PHA_OK;
}
