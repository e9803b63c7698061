/* gpt2_files.c -- see gpt2_files.h */
#include "runtime/gpt2_files.h"

#include <math.h>
#include <string.h>

#include "base/format.h"
#include "base/print.h"
#include "nn/nn.h"

/* ---- config.json ----------------------------------------------------------------------------------------- */

bool pha__gpt2_is(const json_t *config)
{
    const char *type = json_string_value(json_object_get(config, "model_type"));
    return json_is_object(config) && !json_object_get(config, "arch") && type && !strcmp(type, "gpt2");
}

static bool is_null(const json_t *x) { return !x || json_is_null(x); }

/* What the mathematics of the file may say besides the sizes: what is true here, or nothing. */
static pha_status check_fixed(const json_t *config, const char *where)
{
    static const struct { const char *key; bool value; } flags[] = {
        {"scale_attn_weights", true}, {"scale_attn_by_inverse_layer_idx", false}, {"add_cross_attention", false},
        {"tie_word_embeddings", true}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        const json_t *x = json_object_get(config, flags[i].key);
        if (!is_null(x) && json_is_true(x) != flags[i].value)
            FAIL(BAD_INPUT, "%s: %s is not %s, but arch gpt2 knows nothing else", where, flags[i].key,
                 flags[i].value ? "true" : "false");
    }
    const json_t *act = json_object_get(config, "activation_function");
    const json_t *eps = json_object_get(config, "layer_norm_epsilon");
    const char *name = json_string_value(act);
    if (!is_null(act) && (!name || (strcmp(name, "gelu_new") && strcmp(name, "gelu_pytorch_tanh"))))
        FAIL(BAD_INPUT, "%s: activation_function is not gelu_new, the tanh form, which arch gpt2 has", where);
    if (!is_null(eps) && !(fabs(json_number_value(eps) - (double)LAYER_NORM_EPS) < 1e-9))
        FAIL(BAD_INPUT, "%s: layer_norm_epsilon is %g, but arch gpt2 has 1e-5", where, json_number_value(eps));
    return PHA_OK;
}

/* The value of the first of two keys that is there. */
static pha_status size_of(json_int_t *out, const json_t *config, const char *key, const char *other, const char *where)
{
    const json_t *x = json_object_get(config, key);
    if (is_null(x) && other) x = json_object_get(config, other);
    if (!json_is_integer(x)) FAIL(BAD_INPUT, "%s: %s is missing or not a whole number", where, key);
    *out = json_integer_value(x);
    return PHA_OK;
}

pha_status pha__gpt2_config(json_t **out, const json_t *config, const char *where)
{
    json_int_t V = 0, D = 0, L = 0, heads = 0, positions = 0, F = 0;
    *out = NULL;
    TRY(check_fixed(config, where));
    TRY(size_of(&V, config, "vocab_size", NULL, where));
    TRY(size_of(&D, config, "n_embd", "hidden_size", where));
    TRY(size_of(&L, config, "n_layer", "num_hidden_layers", where));
    TRY(size_of(&heads, config, "n_head", "num_attention_heads", where));
    TRY(size_of(&positions, config, "n_positions", "n_ctx", where));
    if (is_null(json_object_get(config, "n_inner"))) F = D > 0 && D < 1 << 20 ? 4 * D : 0;
    else TRY(size_of(&F, config, "n_inner", NULL, where));
    json_t *o = pha__json_object();
    pha__json_set(&o, "arch", pha__json_text("gpt2"));
    pha__json_set(&o, "vocab_size", pha__json_number(V));
    pha__json_set(&o, "d_model", pha__json_number(D));
    pha__json_set(&o, "n_layer", pha__json_number(L));
    pha__json_set(&o, "n_head", pha__json_number(heads));
    pha__json_set(&o, "n_positions", pha__json_number(positions));
    pha__json_set(&o, "d_ffn", pha__json_number(F));
    *out = o;
    return o ? PHA_OK : pha__fail(PHA_NO_MEMORY, "%s: no memory for a configuration", where);
}

/* ---- tensors --------------------------------------------------------------------------------------------- */

typedef pha__gpt2_name name;

static const name of_layer[] = {
    {"norm.gain", "ln_1.weight", false, 0, 1},       {"norm.bias", "ln_1.bias", false, 0, 1},
    {"attn.q", "attn.c_attn.weight", true, 0, 3},    {"attn.q_bias", "attn.c_attn.bias", false, 0, 3},
    {"attn.k", "attn.c_attn.weight", true, 1, 3},    {"attn.k_bias", "attn.c_attn.bias", false, 1, 3},
    {"attn.v", "attn.c_attn.weight", true, 2, 3},    {"attn.v_bias", "attn.c_attn.bias", false, 2, 3},
    {"attn.out", "attn.c_proj.weight", true, 0, 1},  {"attn.out_bias", "attn.c_proj.bias", false, 0, 1},
    {"mlp_norm.gain", "ln_2.weight", false, 0, 1},   {"mlp_norm.bias", "ln_2.bias", false, 0, 1},
    {"mlp.up", "mlp.c_fc.weight", true, 0, 1},       {"mlp.up_bias", "mlp.c_fc.bias", false, 0, 1},
    {"mlp.down", "mlp.c_proj.weight", true, 0, 1},   {"mlp.down_bias", "mlp.c_proj.bias", false, 0, 1},
    {0}};
static const name of_model[] = {
    {"embed", "wte.weight", false, 0, 1},     {"pos", "wpe.weight", false, 0, 1},
    {"norm.gain", "ln_f.weight", false, 0, 1}, {"norm.bias", "ln_f.bias", false, 0, 1},
    {0}};

const pha__gpt2_name *pha__gpt2_name_of(const pha__config *c, const pha__node *v)
{
    bool inside = v->layer >= 0 && v->layer < c->n_layer;
    const char *ours = inside ? strchr(v->path, '.') + 1 : v->path;
    const name *list = inside ? of_layer : of_model;
    while (list->ours && strcmp(list->ours, ours)) list++;
    return list->ours ? list : NULL;
}

void pha__gpt2_path(char *out, size_t size, const char *prefix, const pha__config *c, const pha__node *v)
{
    bool inside = v->layer >= 0 && v->layer < c->n_layer;
    const name *n = pha__gpt2_name_of(c, v);
    if (inside) pha__print(out, size, "%sh.%d.%s", prefix, v->layer, n->theirs);
    else pha__print(out, size, "%s%s", prefix, n->theirs);
}

/* What is in such files besides: the mask of attention, and the head, which is the embedding once more. */
static bool is_spare(const char *theirs)
{
    const char *dot = strrchr(theirs, '.');
    bool mask = dot && (!strcmp(dot, ".bias") || !strcmp(dot, ".masked_bias")) && dot - theirs >= 5 &&
                !strncmp(dot - 5, ".attn", 5);
    return mask || !strcmp(theirs, "lm_head.weight");
}

/* The numbers of v out of t, whose rows are `width` long. */
static pha_status copy(pha_model *m, int i, const name *n, const pha__tensor *t)
{
    const pha__node *v = m->names->params[i];
    int64_t in = n->turned ? v->width : v->rows, out = n->turned ? v->rows : v->width, width = n->parts * out;
    float *own = pha__arena_alloc(&m->constants, (size_t)v->rows * (size_t)v->width, sizeof *own);
    float *row = pha__alloc((size_t)out, sizeof *row);
    for (int64_t r = 0; own && row && r < in; r++) {
        float *to = n->turned ? row : own + r * out;
        pha__format_unpack(t->dtype, t->data, width, r, n->part * out, out, to);
        for (int64_t c = 0; n->turned && c < out; c++) own[c * in + r] = row[c];
    }
    pha__free(row);
    if (!own || !row) FAIL(NO_MEMORY, "no memory for the weights of a model");
    return pha__store_set(m->store, PHA__WEIGHT, i, own, PHA__F32);
}

static pha_status bind_tensor(pha_model *m, int i, const name *n, const char *theirs)
{
    const pha__node *v = m->names->params[i];
    const pha__tensor *t = pha__safetensors_find(m->file, theirs);
    const char *path = pha__safetensors_path(m->file);
    if (!t) FAIL(BAD_INPUT, "%s: the tensor '%s' is missing (config.json asks for it)", path, theirs);
    int64_t rows = n->turned ? v->width : v->rows, width = (int64_t)n->parts * (n->turned ? v->rows : v->width);
    bool fits = t->rank == 1 ? rows == 1 && t->shape[0] == width
                             : t->rank == 2 && t->shape[0] == rows && t->shape[1] == width;
    if (t->dtype == PHA__Q8_PANEL)
        FAIL(BAD_INPUT, "%s: '%s' is U8; weights of GPT-2 are floating-point numbers", path, theirs);
    if (!fits)
        FAIL(BAD_INPUT, "%s: '%s' is not %lld x %lld, which the configuration asks for", path, theirs, (long long)rows,
             (long long)width);
    if (!n->turned && n->parts == 1) return pha__store_set(m->store, PHA__WEIGHT, i, (void *)t->data, t->dtype);
    return copy(m, i, n, t);
}

/* A head that isn't the embedding makes another model. */
static pha_status check_head(const pha_model *m, const char *prefix)
{
    char theirs[40];
    pha__print(theirs, sizeof theirs, "%swte.weight", prefix);
    const pha__tensor *E = pha__safetensors_find(m->file, theirs);
    const pha__tensor *head = pha__safetensors_find(m->file, "lm_head.weight");
    if (head && (!E || head->size != E->size || head->dtype != E->dtype || memcmp(head->data, E->data, E->size)))
        FAIL(BAD_INPUT, "%s: 'lm_head.weight' is not '%s', but the head of arch gpt2 is the embedding",
             pha__safetensors_path(m->file), theirs);
    return PHA_OK;
}

/* A tensor that no parameter is made of, and that is not known to be of no use, is one that was meant for something. */
static pha_status check_others(const pha_model *m, const char *prefix)
{
    for (size_t i = 0; i < pha__safetensors_count(m->file); i++) {
        const char *theirs = pha__safetensors_at(m->file, i)->name, *at = theirs;
        if (!strncmp(at, prefix, strlen(prefix))) at += strlen(prefix);
        const name *list = of_model;
        const char *rest = at;
        if (!strncmp(at, "h.", 2) && strchr(at + 2, '.')) list = of_layer, rest = strchr(at + 2, '.') + 1;
        while (list->ours && strcmp(list->theirs, rest)) list++;
        if (!list->ours && !is_spare(at))
            FAIL(BAD_INPUT, "%s: the tensor '%s' is not one of GPT-2", pha__safetensors_path(m->file), theirs);
    }
    return PHA_OK;
}

pha_status pha__gpt2_bind(pha_model *m)
{
    const char *prefix = pha__safetensors_find(m->file, "transformer.wte.weight") ? "transformer." : "";
    TRY(check_head(m, prefix));
    TRY(check_others(m, prefix));
    for (int i = 0; i < m->names->n_params; i++) {
        const pha__node *v = m->names->params[i];
        const name *n = pha__gpt2_name_of(&m->config, v);
        if (!n) FAIL(FAILED, "%s has no name in the files of GPT-2", v->path);
        char theirs[80];
        pha__gpt2_path(theirs, sizeof theirs, prefix, &m->config, v);
        TRY(bind_tensor(m, i, n, theirs));
    }
    return PHA_OK;
}
