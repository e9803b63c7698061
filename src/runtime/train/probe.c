/* probe.c -- looking into a model in training: mixing weights, horizons, scales, norms (numerics.md 6)
 *
 * What depends on activations is read from a forward pass over the first tokens of the data, in a small program that
 * keeps every value.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/look/inspect.h"
#include "runtime/train/trainer.h"

static const pha__node *param(const pha__program *names, int layer, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "layer%d.%s", layer, name);
    return pha__find_param(names, path);
}

/* The numbers of a parameter in memory of its own; NULL: there is no such parameter, or no memory. */
static float *data_of(const pha__weights *w, const pha__node *v)
{
    float *out = v ? pha__alloc((size_t)v->rows * (size_t)v->width, sizeof *out) : NULL;
    if (!out || !pha__store_copy_out(w->store, PHA__WEIGHT, v->index, out)) return out;
    pha__free(out);
    return NULL;
}

/* Adds {"mix": {...}, "mix_scaled": {...}} to the layers that mix branches. */
static pha_status add_mixing(const pha_trainer *t, json_t *layers)
{
    pha__mix_row *rows;
    int n;
    TRY(pha__mixing_rows(&rows, &n, t->program, t->store));
    for (int i = 0; i < n; i++) {
        json_t *raw = json_object(), *scaled = json_object(), *layer = json_array_get(layers, (size_t)rows[i].layer);
        for (int k = 0; k < rows[i].n; k++) {
            json_object_set_new(raw, rows[i].branch[k], json_real(rows[i].raw[k]));
            json_object_set_new(scaled, rows[i].branch[k], json_real(rows[i].scaled[k]));
        }
        json_object_set_new(layer, "mix", raw);
        json_object_set_new(layer, "mix_scaled", scaled);
    }
    pha__free(rows);
    return PHA_OK;
}

/* ---- activations ----------------------------------------------------------------------------------------- */

static pha_status open_probe(pha_trainer *t)
{
    if (t->probe) return PHA_OK;
    pha__program_options options = {.B = 1, .T = t->o.context < 256 ? t->o.context : 256, .keep_all = true};
    TRY(pha__record(&t->probe_program, &t->weights.config, &options, PHA__HEAD_NONE));
    return pha__exec_open(&t->probe, t->probe_program, t->store, t->device);
}

/* The first T rows of a value in memory of its own, dense; NULL: there is none. */
static float *value(const pha_trainer *t, int layer, const char *name, int T, int32_t *width)
{
    char path[64];
    snprintf(path, sizeof path, "layer%d.%s", layer, name);
    const pha__node *v = pha__find_value(t->probe_program, path);
    float *out = v ? pha__alloc((size_t)T * (size_t)v->width, sizeof *out) : NULL;
    if (!out) return NULL;
    *width = v->width;
    if (!pha__exec_value(t->probe, path, false, T, out)) return out;
    pha__free(out);
    return NULL;
}

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Quantiles over channels of the mean horizon 1 / (1 - g a), and the mean of the gates. z (T, S) becomes the horizons.
 */
static void add_horizons(float *z, const float *theta, const float *bias, int T, int32_t S, json_t *out)
{
    double gates = 0;
    for (int r = 0; r < T; r++)
        for (int c = 0; c < S; c++) {
            double g = 1 / (1 + exp(-(double)z[r * S + c] - (bias ? bias[c] : 0)));
            gates += g;
            z[r * S + c] = (float)(1 / (1 - g * exp(-exp((double)theta[c]))));
        }
    size_t n = (size_t)S * (size_t)T;
    qsort(z, n, sizeof *z, ascending);
    json_t *q = json_object();
    json_object_set_new(q, "p10", json_real(z[n / 10]));
    json_object_set_new(q, "p50", json_real(z[n / 2]));
    json_object_set_new(q, "p90", json_real(z[n * 9 / 10]));
    json_object_set_new(out, "horizon", q);
    json_object_set_new(out, "gate_mean", json_real(gates / (double)n));
}

static void horizons(const pha_trainer *t, int layer, int T, json_t *out)
{
    int32_t S = 0;
    float *z = value(t, layer, "gss.gate", T, &S);
    float *theta = data_of(&t->weights, param(t->program, layer, "gss.theta"));
    float *bias = data_of(&t->weights, param(t->program, layer, "gss.bias"));
    if (z && theta) add_horizons(z, theta, bias, T, S, out);
    pha__free(z);
    pha__free(theta);
    pha__free(bias);
}

static void branch_rms(const pha_trainer *t, int layer, int T, json_t *out)
{
    static const char *const outputs[][2] = {
        {"attn", "attn.out"}, {"gss", "gss.out"}, {"aux", "aux.down"}, {"ffn", "ffn.down"}};
    json_t *all = json_object();
    for (int k = 0; k < 4; k++) {
        int32_t D;
        float *z = value(t, layer, outputs[k][1], T, &D);
        if (!z) continue;
        double sum = 0;
        for (int64_t i = 0; i < (int64_t)T * D; i++) sum += (double)z[i] * z[i];
        json_object_set_new(all, outputs[k][0], json_real(sqrt(sum / T / D)));
        pha__free(z);
    }
    json_object_set_new(out, "branch_rms", all);
}

static void scales(const pha_trainer *t, int layer, json_t *out)
{
    const pha__node *v = param(t->program, layer, "attn.tau");
    if (!v) return;
    float *tau = data_of(&t->weights, v);
    json_t *all = json_array();
    for (int i = 0; tau && i < v->width; i++) json_array_append_new(all, json_real(exp(fmin(tau[i], log(100.0)))));
    json_object_set_new(out, "attn_scale", all);
    pha__free(tau);
}

pha_status pha__probe(pha_trainer *t, json_t **out)
{
    TRY(open_probe(t));
    int T = t->probe_program->options.T;
    int32_t *ids = pha__alloc((size_t)T, sizeof *ids);
    if (!ids) return PHA_NO_MEMORY;
    pha_status status = pha__tokens_read(t->data, 0, (size_t)T, ids);
    pha__run run = {.tokens = ids};
    if (!status) status = pha__exec_run(t->probe, 1, T, &run, NULL, false);
    pha__free(ids);
    TRY(status);
    json_t *line = json_object(), *layers = json_array(), *norms = json_object();
    json_object_set_new(line, "event", json_string("detail"));
    json_object_set_new(line, "step", json_integer(t->step));
    for (int layer = 0; layer < t->config.n_layer; layer++) {
        json_t *one = json_object();
        horizons(t, layer, T, one);
        branch_rms(t, layer, T, one);
        scales(t, layer, one);
        json_array_append_new(layers, one);
    }
    status = add_mixing(t, layers);
    for (int i = 0; i < t->program->n_params; i++)
        if (t->program->params[i]->kind != PHA__CONSTANT)
            json_object_set_new(norms, t->program->params[i]->path,
                                isfinite(t->optimizer.norms[i]) ? json_real(t->optimizer.norms[i]) : json_null());
    json_object_set_new(line, "layers", layers);
    json_object_set_new(line, "gradient_norms", norms);
    if (status) json_decref(line);
    else *out = line;
    return status;
}
