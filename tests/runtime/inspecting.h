/* inspecting.h -- what the tests of inspection and of benchmarks share: presets, a folder, numbers in JSON */
#ifndef INSPECTING_H
#define INSPECTING_H

#include <math.h>

#include <jansson.h>

#include "runtime/look/cost.h"
#include "runtime/look/inspect.h"
#include "support/root.h"

static inline const char *preset(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/configs/%s.json", PHA_SOURCE_DIR, name);
    return path;
}

static inline const char *write_config(const char *name, const char *text)
{
    const char *path = in_root(name);
    assert_int_equal(pha__write_file(path, text, strlen(text)), PHA_OK);
    return path;
}

static inline json_t *inspect(const pha_inspect_options *options)
{
    pha_inspect_options o = *options;
    o.json = true;
    char *text;
    pha_status status = pha_inspect(&o, &text);
    if (status) fail_msg("pha_inspect: %s", pha_errmsg());
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    pha_free(text);
    return json;
}

/* A number at a path of keys and indices: "contexts.0.forward_flops_per_token.total". */
static inline double at(const json_t *json, const char *path)
{
    char key[64];
    while (*path) {
        size_t n = strcspn(path, ".");
        snprintf(key, sizeof key, "%.*s", (int)n, path);
        json = json_is_array(json) ? json_array_get(json, (size_t)atoi(key)) : json_object_get(json, key);
        if (!json) fail_msg("no %s", key);
        path += n + (path[n] == '.');
    }
    assert_true(json_is_number(json));
    return json_number_value(json);
}

static inline void near(double got, double want, double tolerance, const char *what)
{
    if (!(fabs(got - want) <= tolerance)) fail_msg("%s: %.4f, the table says %.4f", what, got, want);
}

#endif
