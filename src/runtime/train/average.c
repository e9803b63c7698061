/* average.c -- the mean of the weights of several models, in double (pha.md 6, "ckpt_avg") */
#include <math.h>
#include <string.h>

#include "base/inside.h"
#include "base/print.h"
#include "runtime/model.h"
#include "runtime/stop.h"

static pha_status same_model(const pha_model *a, const pha_model *b)
{
    pha__config_rules rules = pha__rules();
    json_t *x = pha__config_to_json(&a->config, &rules), *y = pha__config_to_json(&b->config, &rules);
    bool failed = !x || !y, same = !failed && json_equal(x, y);
    json_decref(x);
    json_decref(y);
    if (failed) FAIL(NO_MEMORY, "no memory to compare %s and %s", a->folder, b->folder);
    if (!same) FAIL(BAD_INPUT, "%s and %s have different configurations and can't be averaged", a->folder, b->folder);
    return PHA_OK;
}

static pha_status check_finite(const pha_model *m, const pha__node *v, const float *x, int64_t n)
{
    for (int64_t k = 0; k < n; k++)
        if (!isfinite(x[k]))
            FAIL(BAD_INPUT, "%s: number %lld of '%s' is %g; such a model spoils every mean: leave it out", m->folder,
                 (long long)k, v->path, (double)x[k]);
    return PHA_OK;
}

/* One parameter; `one` has room for its numbers, `sum` too. */
static pha_status average(pha__store *out, int i, pha_model *const *models, size_t n, float *one, double *sum)
{
    int64_t size = pha__param_size(out->names, i);
    memset(sum, 0, (size_t)size * sizeof *sum);
    for (size_t m = 0; m < n; m++) {
        TRY(pha__store_copy_out(models[m]->store, PHA__WEIGHT, i, one));
        TRY(check_finite(models[m], out->names->params[i], one, size));
        for (int64_t k = 0; k < size; k++) sum[k] += one[k];
    }
    for (int64_t k = 0; k < size; k++) one[k] = (float)(sum[k] / (double)n);
    return pha__store_copy_in(out, PHA__WEIGHT, i, one);
}

static pha_status average_all(pha__store *out, pha_model *const *models, size_t n)
{
    const pha__program *names = out->names;
    TRY(pha__store_add(out, PHA__WEIGHT, PHA__ALL_PARAMS, PHA__F32));
    for (int i = 0; i < names->n_params; i++) {
        if (pha__stop_requested()) FAIL(STOPPED, "asked to stop; no mean was written");
        size_t size = (size_t)pha__param_size(names, i);
        float *one = pha__alloc(size, sizeof *one);
        double *sum = pha__alloc(size, sizeof *sum);
        pha_status status = one && sum ? average(out, i, models, n, one, sum) : PHA_NO_MEMORY;
        pha__free(one);
        pha__free(sum);
        TRY(status);
    }
    return PHA_OK;
}

static pha_status write_average(pha_model *const *models, size_t n, pha__claim *claim)
{
    pha__device *device;
    pha__store *store = NULL;
    for (size_t i = 1; i < n; i++) TRY(same_model(models[0], models[i]));
    TRY(pha__device_open(&device, "cpu", 1));
    pha_status status = pha__store_open(&store, models[0]->names, device);
    if (!status) status = average_all(store, models, n);
    char card[80];
    pha__print(card, sizeof card, "The mean of the weights of %zu checkpoints.\n", n);
    if (!status) status = pha__model_write_to(claim, &models[0]->config, store, models[0]->tokenizer, card);
    pha__store_close(store);
    pha__device_close(device);
    return status;
}

pha_status pha_model_average(const char *const *folders, size_t n, const char *out_folder)
{
    if (!folders || n < 1) FAIL(USAGE, "averaging needs at least one model folder");
    if (!out_folder) FAIL(USAGE, "no folder to write");
    for (size_t i = 0; i < n; i++)
        if (pha__is_inside(folders[i], out_folder))
            FAIL(USAGE, "%s: is to be averaged and would be replaced by the mean; choose another folder", folders[i]);
    pha_model **models = pha__alloc_zero(n, sizeof *models);
    if (!models) return PHA_NO_MEMORY;
    pha__claim claim;
    pha_status status = pha__model_claim(&claim, out_folder); /* before the work */
    for (size_t i = 0; i < n && !status; i++) {
        status = pha_model_open(&models[i], folders[i]);
        if (!status) status = pha__model_verify(models[i]);
    }
    if (!status) status = write_average(models, n, &claim);
    for (size_t i = 0; i < n; i++) pha_model_close(models[i]);
    pha__free(models);
    pha__claim_close(&claim);
    return status;
}
