/* laboratory.h -- small models and calls for the tests of the recall laboratory */
#ifndef LABORATORY_H
#define LABORATORY_H

#include <math.h>

#include "base/json.h"
#include "base/log.h"
#include "runtime/lab/lab.h"
#include "runtime/train/trainer.h"
#include "support/allocations.h"
#include "tiny.h"

static const char sizes[] = "\"arch\": \"pha\", \"d_model\": 32, \"n_layer\": 2, \"d_ffn\": 32";

static inline const char *write_config(const char *name, const char *more)
{
    const char *path = in_root(name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "{%s%s}", strstr(more, "arch") ? "" : sizes, more);
    fclose(f);
    return path;
}

static inline const char *attention(void) {
    return write_config("attn.json", ", \"n_head\": 1, \"branches\": [\"attn\"]");
}

static inline const char *feed_forward(void) {
    return write_config("aux.json", ", \"d_aux\": 32, \"branches\": [\"aux\"]");
}

static inline pha_lab_options options(const char *task, const char *const *models, size_t n)
{
    return (pha_lab_options){.task = task, .models = models, .n_models = n, .threads = 2, .json = true};
}

/* The cells that a call tells of, as JSON. */
static inline json_t *cells_of(const pha_lab_options *o)
{
    char *text;
    json_t *file;
    OK(pha_lab(o, &text));
    OK(pha__json_parse(&file, text, strlen(text), "cells"));
    pha_free(text);
    json_t *cells = json_incref(json_object_get(file, "cells"));
    json_decref(file);
    return cells;
}

static inline const json_t *result(const json_t *cells, size_t i)
{
    return json_object_get(json_array_get(cells, i), "result");
}

static inline double accuracy(const json_t *of)
{
    const json_t *x = json_object_get(of, "accuracy");
    assert_true(json_is_number(x));
    return json_number_value(x);
}

#endif
