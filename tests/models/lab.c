/* lab.c -- small models for tests */
#include "models/lab.h"

#include <math.h>

#include "base/json.h"
#include "base/rng.h"
#include "io/config.h"
#include "ops/lm_loss/lm_loss.h"
#include "runtime/model.h"

const lab_variant lab_variants[] = {
    {"default", "pha", ""},
    {"window 7", "pha", "\"window\": 7"},
    {"window 100", "pha", "\"window\": 100"},
    {"window per layer", "pha", "\"window\": [3, null]"},
    {"local 7", "pha", "\"local\": 7"},
    {"local 100", "pha", "\"local\": 100"},
    {"dynamic mixing", "pha", "\"mix\": \"dynamic\""},
    {"uniform mixing", "pha", "\"mix\": \"uniform\""},
    {"post_raw", "pha", "\"residual\": \"post_raw\""},
    {"pre", "pha", "\"residual\": \"pre\""},
    {"pre_alpha", "pha", "\"residual\": \"pre_alpha\""},
    {"pre_inv", "pha", "\"residual\": \"pre_inv\""},
    {"no main residual", "pha", "\"main_residual\": false"},
    {"pre_inv, no main residual", "pha", "\"residual\": \"pre_inv\", \"main_residual\": false"},
    {"no gate bias", "pha", "\"gate_bias\": \"none\""},
    {"matched gate bias", "pha", "\"gate_bias\": \"matched\""},
    {"wb_scale fixed", "pha", "\"wb_scale\": \"fixed\""},
    {"wb_scale fixed, matched", "pha", "\"wb_scale\": \"fixed\", \"gate_bias\": \"matched\""},
    {"wb_scale none", "pha", "\"wb_scale\": \"none\""},
    {"qk rms", "pha", "\"qk\": \"rms\""},
    {"qk dot", "pha", "\"qk\": \"dot\""},
    {"no branch gain", "pha", "\"branch_gain\": false"},
    {"interleaved rope", "pha", "\"rope\": \"interleaved\""},
    {"interleaved rope, qk rms", "pha", "\"rope\": \"interleaved\", \"qk\": \"rms\", \"n_kv_head\": 4"},
    {"alpha, rope_theta, embed_std", "pha", "\"alpha\": 1.5, \"rope_theta\": 500, \"embed_std\": 0.05"},
    {"pre_inv, alpha", "pha", "\"residual\": \"pre_inv\", \"alpha\": 0.7"},
    {"filter none", "pha", "\"gss_filter\": \"none\""},
    {"filter norm", "pha", "\"gss_filter\": \"norm\""},
    {"filter conv4", "pha", "\"gss_filter\": \"conv4\""},
    {"filter conv4, fixed scale", "pha", "\"gss_filter\": \"conv4\", \"wb_scale\": \"fixed\", \"branches\": [\"gss\"]"},
    {"complex", "pha", "\"gss_state\": \"complex\""},
    {"complex, fixed scale", "pha", "\"gss_state\": \"complex\", \"wb_scale\": \"fixed\", \"gate_bias\": \"matched\""},
    {"complex, conv4", "pha", "\"gss_state\": \"complex\", \"gss_filter\": \"conv4\", \"gate_bias\": \"none\", "
                              "\"branches\": [\"gss\"]"},
    {"attention", "pha", "\"branches\": [\"attn\"]"},
    {"state space", "pha", "\"branches\": [\"gss\"]"},
    {"feed-forward", "pha", "\"branches\": [\"aux\"]"},
    {"attention, state space", "pha", "\"branches\": [\"attn\", \"gss\"]"},
    {"attention, feed-forward", "pha", "\"branches\": [\"attn\", \"aux\"]"},
    {"state space, feed-forward", "pha", "\"branches\": [\"gss\", \"aux\"], \"mix\": \"dynamic\""},
    {"state space, feed-forward, learned", "pha", "\"branches\": [\"gss\", \"aux\"]"},
    {"two branches, uniform", "pha", "\"branches\": [\"attn\", \"gss\"], \"mix\": \"uniform\""},
    {"sequential", "seq", ""},
    {"sequential, no norm", "seq", "\"seq_norm\": false"},
    {"sequential, post_raw", "seq", "\"residual\": \"post_raw\""},
    {"sequential, filter conv4", "seq", "\"gss_filter\": \"conv4\""},
    {"sequential, complex", "seq", "\"gss_state\": \"complex\", \"gss_filter\": \"norm\""},
    {"sequential, alpha", "seq", "\"alpha\": 1.5, \"rope_theta\": 500, \"rope\": \"interleaved\""},
    {"sequential, pre", "seq", "\"residual\": \"pre\", \"window\": 9, \"qk\": \"dot\""},
    {"sequential, local", "seq", "\"local\": 9"},
    {"gpt2", "gpt2", ""},
    {"gpt2, local", "gpt2", "\"local\": 16"},
    {"linear attention", "linear", ""},
    {"hedgehog", "hedgehog", ""},
    {"hedgehog, exp", "hedgehog", "\"hedgehog_map\": \"exp\""},
    {"gpt2, all heads", "gpt2", "\"n_kv_head\": 4, \"n_positions\": 2000, \"d_ffn\": 256, \"embed_std\": 0.05"},
    {"gss", "gss", "\"n_mode\": 24, \"attn_layers\": [], \"n_head\": null, \"n_kv_head\": null"},
    {"gss, hybrid", "gss", "\"n_mode\": 9, \"d_ssm\": 20, \"d_gate\": 96, \"attn_layers\": [1]"},
    {"gss, hybrid, local", "gss", "\"n_mode\": 9, \"attn_layers\": [0], \"local\": 5"},
    {"gss, dss", "gss", "\"ssm\": \"dss\", \"n_mode\": 3, \"n_head\": null, \"n_kv_head\": null"},
    {"gss, s4d", "gss", "\"ssm\": \"s4d-legs\", \"n_mode\": 6, \"attn_layers\": [0]"},
    {"h3", "h3", "\"n_shift\": 9, \"ssm_state\": 16, \"n_head\": null, \"n_kv_head\": null"},
    {"h3, hybrid", "h3", "\"ssm_init\": \"real\", \"ssm_state\": 8, \"attn_layers\": [0], \"d_ffn\": 96"},
};
const int lab_n_variants = sizeof lab_variants / sizeof *lab_variants;

const lab_variant *lab_find(const char *name)
{
    for (int i = 0; i < lab_n_variants; i++)
        if (!strcmp(lab_variants[i].name, name)) return &lab_variants[i];
    fail_msg("no variant '%s'", name);
    return NULL;
}

/* Sizes that the architecture, or the variant by its branches, does not use are errors. */
static void drop_sizes(json_t *config, const char *arch)
{
    static const struct { const char *key, *branch; } sizes[] = {
        {"n_head", "attn"}, {"n_kv_head", "attn"}, {"d_state", "gss"}, {"d_aux", "aux"}, {"d_ffn", NULL}};
    json_t *branches = json_object_get(config, "branches"), *branch;
    for (size_t i = 0, k; i < sizeof sizes / sizeof *sizes; i++) {
        const char *const *key = pha__model_keys(arch);
        while (*key && strcmp(*key, sizes[i].key)) key++;
        bool used = *key != NULL, present = !branches || !sizes[i].branch;
        json_array_foreach(branches, k, branch) {
            if (sizes[i].branch) present |= !strcmp(json_string_value(branch), sizes[i].branch);
        }
        if (!used || !present) json_object_del(config, sizes[i].key);
    }
}

static json_t *json_of(const lab_variant *v)
{
    char text[1024];
    json_t *base, *options;
    snprintf(text, sizeof text,
             "{\"arch\": \"%s\", \"vocab_size\": 256, \"d_model\": 64, \"n_layer\": 2, \"n_head\": 4, "
             "\"n_kv_head\": 2, \"d_ffn\": 128, \"d_state\": 160, \"d_aux\": 64}",
             v->arch);
    OK(pha__json_parse(&base, text, strlen(text), v->name));
    snprintf(text, sizeof text, "{%s}", v->options);
    OK(pha__json_parse(&options, text, strlen(text), v->name));
    json_object_update(base, options);
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe(options, next, key, value) {
        if (json_is_null(value) && strcmp(key, "window")) json_object_del(base, key); /* null: without it */
    }
    drop_sizes(base, v->arch);
    json_decref(options);
    return base;
}

void lab_config(pha__config *c, const lab_variant *v)
{
    json_t *json = json_of(v);
    pha__config_rules rules = pha__rules();
    OK(pha__config_parse(c, json, v->name, &rules));
    json_decref(json);
}

void lab_write_config(const char *path, const lab_variant *v, int vocab)
{
    json_t *json = json_of(v);
    if (vocab) json_object_set_new(json, "vocab_size", json_integer(vocab)); /* else that of the data */
    else json_object_del(json, "vocab_size");
    OK(pha__json_save(json, path));
    json_decref(json);
}

/* ---- programs ---- */

static pha_status fill(lab *l, int i)
{
    const pha__node *w = l->program->params[i];
    float *x = pha__alloc((size_t)w->rows * (size_t)w->width, sizeof *x);
    if (!x) return PHA_NO_MEMORY;
    w->init.fill(x, w->rows, w->width, w->init.arg, 1234, w->path);
    uint64_t random = pha__hash_path(w->path);
    for (int64_t k = 0; k < (int64_t)w->rows * w->width; k++) {
        if (w->kind == PHA__VECTOR || w->kind == PHA__DYNAMICS) x[k] += (float)(0.1 * lab_normal(&random));
        if (w->kind == PHA__MATRIX) x[k] = bf16_to_f32(f32_to_bf16(x[k]));
    }
    pha_status status = pha__store_copy_in(l->store, PHA__WEIGHT, i, x);
    pha__free(x);
    return status;
}

static pha_status bind(lab *l, pha__device *device)
{
    TRY(pha__store_open(&l->store, l->program, device));
    bool half = l->program->options.dtype == PHA__BF16;
    TRY(pha__optimizer_open(&l->optimizer, l->store, &(pha__optimizer_options){.half = half}));
    for (int i = 0; i < l->program->n_params; i++) TRY(fill(l, i));
    TRY(pha__optimizer_refresh(&l->optimizer));
    l->weights = l->store->block[PHA__WEIGHT], l->grads = l->store->block[PHA__GRADIENT];
    return pha__exec_open(&l->exec, l->program, l->store, device);
}

pha_status lab_try(lab *l, const pha__config *c, const pha__program_options *options, pha__head head,
                   pha__device *device)
{
    *l = (lab){0};
    pha_status status = pha__record(&l->program, c, options, head);
    if (!status) status = bind(l, device);
    if (status) lab_close(l);
    return status;
}

void lab_open(lab *l, const pha__config *c, const pha__program_options *options, pha__head head, pha__device *device)
{
    OK(lab_try(l, c, options, head, device));
}

void lab_bind(lab *l, pha__device *device) { OK(bind(l, device)); }

void lab_close(lab *l)
{
    pha__exec_close(l->exec);
    pha__optimizer_close(&l->optimizer);
    pha__store_close(l->store);
    pha__program_close(l->program);
    free(l->out);
    *l = (lab){0};
}

pha__device *lab_device(void)
{
    static pha__device *device;
    if (!device) OK(pha__device_open(&device, "cpu", 2));
    return device;
}

const float *lab_output(lab *l, const char *name, int64_t rows)
{
    int64_t width = 0;
    for (int i = 0; i < l->program->n_outputs; i++)
        if (!strcmp(l->program->outputs[i].name, name)) width = l->program->outputs[i].value->width;
    l->out = realloc(l->out, (size_t)(rows * width) * sizeof *l->out);
    OK(pha__exec_output(l->exec, name, rows, l->out));
    return l->out;
}

float *lab_weight(const lab *l, int i) { return pha__store_at(l->store, PHA__WEIGHT, i).data; }
float *lab_grad(const lab *l, int i) { return pha__store_at(l->store, PHA__GRADIENT, i).data; }

/* ---- data and errors ---- */

uint32_t lab_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (uint32_t)(z >> 32);
}

double lab_normal(uint64_t *state)
{
    double u = (lab_random(state) + 1.0) * 0x1p-32, v = lab_random(state) * 0x1p-32;
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

int lab_tokens(int32_t *tokens, int32_t *targets, int n, int vocabulary, int unscored, uint64_t seed)
{
    int scored = 0;
    for (int i = 0; i < n; i++) tokens[i] = (int32_t)(lab_random(&seed) % (uint32_t)vocabulary);
    for (int i = 0; targets && i < n; i++) {
        int32_t next = i + 1 < n ? tokens[i + 1] : (int32_t)(lab_random(&seed) % (uint32_t)vocabulary);
        targets[i] = (int)(lab_random(&seed) % 100) < unscored ? -1 : next;
        scored += targets[i] >= 0;
    }
    return scored;
}

double lab_e2(const float *x, const float *y, int64_t n)
{
    double error = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        error += ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
        size += (double)y[i] * y[i];
    }
    if (error == 0) return 0;
    double e2 = sqrt(error / size);
    return isfinite(e2) ? e2 : INFINITY;
}

double lab_loss(lab *l, int rows, double scale)
{
    const float *out = lab_output(l, "loss", rows);
    double sum = 0;
    for (int i = 0; i < rows; i++) sum += out[PHA__LOSS_WIDTH * i + PHA__NLL];
    return scale * sum;
}

bool lab_same(const void *x, const void *y, size_t bytes) { return memcmp(x, y, bytes) == 0; }
