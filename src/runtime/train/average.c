/* average.c -- the mean of the weights of several models, in double (pha.md 6, "ckpt_avg") */
#include <stdio.h>

#include "runtime/model.h"

static pha_status same_model(const pha_model *a, const pha_model *b)
{
    pha__config_rules rules = pha__rules();
    json_t *x = pha__config_to_json(&a->weights.config, &rules), *y = pha__config_to_json(&b->weights.config, &rules);
    bool same = x && y && json_equal(x, y);
    json_decref(x);
    json_decref(y);
    if (!same) FAIL(BAD_INPUT, "%s and %s have different configurations and can't be averaged", a->folder, b->folder);
    return PHA_OK;
}

/* block[i] = mean over models of parameter element i */
static void average(float *block, pha_model *const *models, size_t n)
{
    const pha__program *names = models[0]->names;
    for (int i = 0; i < names->n_params; i++) {
        const pha__node *v = names->params[i];
        for (int64_t k = 0; k < (int64_t)v->rows * v->width; k++) {
            double sum = 0;
            for (size_t m = 0; m < n; m++) sum += ((const float *)models[m]->weights.data[i])[k];
            block[v->offset + k] = (float)(sum / (double)n);
        }
    }
}

static pha_status write_average(pha_model *const *models, size_t n, const char *out_folder)
{
    const pha__program *names = models[0]->names;
    for (size_t i = 1; i < n; i++) TRY(same_model(models[0], models[i]));
    float *block = pha__alloc_zero((size_t)names->weights, sizeof *block);
    void **data = pha__alloc_zero((size_t)names->n_params, sizeof *data);
    pha_status status = block && data ? PHA_OK : PHA_NO_MEMORY;
    if (!status) {
        average(block, models, n);
        pha__bind_block(names, block, sizeof *block, data);
        pha__weights w = models[0]->weights;
        w.data = data;
        char card[80];
        snprintf(card, sizeof card, "The mean of the weights of %zu checkpoints.\n", n);
        status = pha__model_write(out_folder, &w, names, models[0]->tokenizer, card);
    }
    pha__free(block);
    pha__free(data);
    return status;
}

pha_status pha_model_average(const char *const *folders, size_t n, const char *out_folder)
{
    if (n < 1) FAIL(USAGE, "averaging needs at least one model folder");
    if (!out_folder) FAIL(USAGE, "no folder to write");
    TRY(pha__model_place(out_folder)); /* before the work */
    pha_model **models = pha__alloc_zero(n, sizeof *models);
    if (!models) return PHA_NO_MEMORY;
    pha_status status = PHA_OK;
    for (size_t i = 0; i < n && !status; i++) status = pha_model_open(&models[i], folders[i]);
    if (!status) status = write_average(models, n, out_folder);
    for (size_t i = 0; i < n; i++) pha_model_close(models[i]);
    pha__free(models);
    return status;
}
