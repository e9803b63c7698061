/* test_gpt2_files.c -- folders of GPT-2 as the hub has them: the same numbers under other names give the same logits,
 * and what would be another model is refused */
#include <math.h>

#include "base/json.h"
#include "io/safetensors.h"
#include "io/tokens.h"
#include "models/lab.h"
#include "tiny.h"

enum { D = 32, F = 80, L = 2, HEADS = 4, V = 97, N = 24, LONGEST = 40 };

static char ours[400], theirs[400];

/* ---- writing one ----------------------------------------------------------------------------------------- */

#define MOST 64
static struct { char name[64]; float *data; int rows, width; } written[MOST];
static int n_written;

/* A tensor of the hub: `parts` of our parameters side by side, each turned where `turned`. rows 0: a vector. */
static void add(const pha_model *m, const char *name, bool turned, int parts, const char *const *paths)
{
    int at = 0, rows = 0, width = 0;
    float *out = NULL;
    for (int k = 0; k < parts; k++) {
        Var v = pha__find_param(m->names, paths[k]);
        float *x = malloc((size_t)v->rows * (size_t)v->width * sizeof *x);
        OK(pha__store_copy_out(m->store, PHA__WEIGHT, v->index, x));
        int in = turned ? v->width : v->rows, n = turned ? v->rows : v->width;
        if (!out) rows = in, width = parts * n, out = calloc((size_t)in * (size_t)width, sizeof *out);
        for (int r = 0; r < in; r++)
            for (int c = 0; c < n; c++) out[r * width + at + c] = turned ? x[c * v->width + r] : x[r * n + c];
        at += n;
        free(x);
    }
    assert_true(n_written < MOST);
    snprintf(written[n_written].name, sizeof written->name, "%s", name);
    written[n_written].data = out, written[n_written].rows = rows == 1 ? 0 : rows;
    written[n_written++].width = width;
}

static void add_layer(const pha_model *m, const char *prefix, int layer)
{
    static const struct { const char *name, *path[3]; bool turned; } list[] = {
        {"ln_1.weight", {"norm.gain"}, false}, {"ln_1.bias", {"norm.bias"}, false},
        {"attn.c_attn.weight", {"attn.q", "attn.k", "attn.v"}, true},
        {"attn.c_attn.bias", {"attn.q_bias", "attn.k_bias", "attn.v_bias"}, false},
        {"attn.c_proj.weight", {"attn.out"}, true}, {"attn.c_proj.bias", {"attn.out_bias"}, false},
        {"ln_2.weight", {"mlp_norm.gain"}, false}, {"ln_2.bias", {"mlp_norm.bias"}, false},
        {"mlp.c_fc.weight", {"mlp.up"}, true}, {"mlp.c_fc.bias", {"mlp.up_bias"}, false},
        {"mlp.c_proj.weight", {"mlp.down"}, true}, {"mlp.c_proj.bias", {"mlp.down_bias"}, false}};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        char name[64], path[3][64];
        const char *paths[3];
        int parts = 0;
        for (; parts < 3 && list[i].path[parts]; parts++) {
            snprintf(path[parts], sizeof path[parts], "layer%d.%s", layer, list[i].path[parts]);
            paths[parts] = path[parts];
        }
        snprintf(name, sizeof name, "%sh.%d.%s", prefix, layer, list[i].name);
        add(m, name, list[i].turned, parts, paths);
    }
}

static const char plain[] = "{\"model_type\": \"gpt2\", \"architectures\": [\"GPT2LMHeadModel\"], "
                            "\"vocab_size\": 97, \"n_embd\": 32, \"n_layer\": 2, \"n_head\": 4, "
                            "\"n_positions\": 40, \"n_inner\": 80, "
                            "\"layer_norm_epsilon\": 1e-05, \"activation_function\": \"gelu_new\"%s}";

/* The model of `ours` in the folder `theirs`; more: members of the configuration; change: in the list of tensors. */
static void write_hub(const char *prefix, const char *more, void (*change)(void))
{
    pha_model *m;
    char text[800], name[64];
    pha__tensor tensors[MOST];
    n_written = 0;
    OK(pha_model_open(&m, ours));
    snprintf(name, sizeof name, "%swte.weight", prefix);
    add(m, name, false, 1, (const char *[]){"embed"});
    snprintf(name, sizeof name, "%swpe.weight", prefix);
    add(m, name, false, 1, (const char *[]){"pos"});
    snprintf(name, sizeof name, "%sln_f.weight", prefix);
    add(m, name, false, 1, (const char *[]){"norm.gain"});
    snprintf(name, sizeof name, "%sln_f.bias", prefix);
    add(m, name, false, 1, (const char *[]){"norm.bias"});
    for (int layer = 0; layer < L; layer++) add_layer(m, prefix, layer);
    pha_model_close(m);
    if (change) change();
    for (int i = 0; i < n_written; i++) {
        tensors[i] = (pha__tensor){.name = written[i].name, .dtype = PHA__F32, .rank = written[i].rows ? 2 : 1,
                                   .data = written[i].data};
        tensors[i].shape[0] = written[i].rows ? written[i].rows : written[i].width;
        tensors[i].shape[1] = written[i].width;
    }
    OK(pha__mkdirs(theirs));
    snprintf(name, sizeof name, "theirs/model.safetensors");
    OK(pha__safetensors_write(in_root(name), tensors, (size_t)n_written, NULL));
    int n = snprintf(text, sizeof text, plain, more);
    OK(pha__write_file(in_root("theirs/config.json"), text, (size_t)n));
    for (int i = 0; i < n_written; i++) free(written[i].data);
}

/* ---- reading it ------------------------------------------------------------------------------------------ */

static void logits_of(const char *folder, float *out)
{
    pha_model *m;
    pha_session *s;
    int32_t ids[N];
    const float *logits;
    lab_tokens(ids, NULL, N, V, 0, 9);
    OK(pha_model_open(&m, folder));
    OK(pha_session_open(&s, m, NULL));
    for (int i = 0; i < N; i++) {
        OK(pha_session_feed(s, ids + i, 1, &logits));
        memcpy(out + i * V, logits, V * sizeof *out);
    }
    pha_session_close(s);
    pha_model_close(m);
}

static void same_logits(void **state)
{
    (void)state;
    static float want[N * V], got[N * V];
    logits_of(ours, want);
    static const char *const prefixes[] = {"", "transformer."};
    for (int i = 0; i < 2; i++) {
        write_hub(prefixes[i], ", \"n_ctx\": 40, \"resid_pdrop\": 0.1, \"summary_type\": \"cls_index\"", NULL);
        logits_of(theirs, got);
        assert_memory_equal(want, got, sizeof want);
        OK(pha__remove_tree(theirs));
    }
}

static pha_status to_gpt2(const char *model, const char *out)
{
    return pha_export(&(pha_export_options){.model = model, .format = PHA_EXPORT_GPT2, .out = out});
}

static void differs(const char *name, const pha__safetensors *a, const pha__safetensors *b)
{
    const pha__tensor *x = pha__safetensors_find(a, name), *y = pha__safetensors_find(b, name);
    assert_non_null(y);
    assert_int_equal(x->rank, y->rank);
    for (int i = 0; i < x->rank; i++) assert_int_equal(x->shape[i], y->shape[i]);
    assert_int_equal(x->size, y->size);
    if (memcmp(x->data, y->data, x->size)) fail_msg("%s has other numbers", name);
}

/* Out and in again: the tensors that write_hub makes, name by name, and the same logits to the bit. */
static void exported(void **state)
{
    (void)state;
    static float want[N * V], got[N * V];
    char out[400];
    pha__safetensors *a, *b;
    snprintf(out, sizeof out, "%s", in_root("out"));
    OK(to_gpt2(ours, out));
    logits_of(ours, want);
    logits_of(out, got);
    assert_memory_equal(want, got, sizeof want);
    write_hub("transformer.", "", NULL);
    OK(pha__safetensors_open(&a, in_root("theirs/model.safetensors")));
    OK(pha__safetensors_open(&b, in_root("out/model.safetensors")));
    assert_int_equal(pha__safetensors_count(a), pha__safetensors_count(b));
    for (size_t i = 0; i < pha__safetensors_count(a); i++) differs(pha__safetensors_at(a, i)->name, a, b);
    assert_string_equal(pha__safetensors_metadata(b, "format"), "pt"); /* transformers refuses others */
    pha__safetensors_close(a), pha__safetensors_close(b);
    OK(to_gpt2(theirs, out)); /* over it: what came from the hub goes back as it was */
    logits_of(out, got);
    assert_memory_equal(want, got, sizeof want);
    OK(pha__remove_tree(theirs));
    OK(pha__remove_tree(out));
}

/* The keys that GPT2Config asks for; the end token only where there is a tokenizer. */
static void exported_config(void **state)
{
    (void)state;
    static const struct { const char *key; int64_t value; } numbers[] = {
        {"vocab_size", 300}, {"n_embd", 32}, {"n_layer", 2}, {"n_head", 4}, {"n_positions", 1024}, {"n_ctx", 1024},
        {"bos_token_id", 256}, {"eos_token_id", 256}};
    static const lab_variant square = {"square", "gpt2", "\"d_model\": 32, \"n_kv_head\": 4, \"d_ffn\": 128"};
    char out[400];
    json_t *j;
    snprintf(out, sizeof out, "%s", in_root("out"));
    pha_model_close(tiny_model("square", &square, 300, "bytes"));
    OK(to_gpt2(in_root("square"), out));
    OK(pha__json_load(&j, in_root("out/config.json"), 4096));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        assert_int_equal(json_integer_value(json_object_get(j, numbers[i].key)), numbers[i].value);
    assert_string_equal(json_string_value(json_object_get(j, "model_type")), "gpt2");
    assert_string_equal(json_string_value(json_object_get(j, "activation_function")), "gelu_new");
    assert_string_equal(json_string_value(json_array_get(json_object_get(j, "architectures"), 0)), "GPT2LMHeadModel");
    assert_true(json_real_value(json_object_get(j, "layer_norm_epsilon")) == 1e-5);
    assert_true(json_is_null(json_object_get(j, "n_inner")) && json_is_true(json_object_get(j, "tie_word_embeddings")));
    assert_null(json_object_get(j, "arch"));
    json_decref(j);
    pha_model *m;
    OK(pha_model_open(&m, out));
    assert_non_null(pha_model_tokenizer(m));
    pha_model_close(m);
    OK(to_gpt2(ours, out));
    OK(pha__json_load(&j, in_root("out/config.json"), 4096));
    assert_true(json_is_null(json_object_get(j, "eos_token_id")));
    assert_int_equal(json_integer_value(json_object_get(j, "n_inner")), 80);
    json_decref(j);
    OK(pha__remove_tree(out));
}

/* What GPT-2 has no place for, by name, and nothing is written. */
static void not_exported(void **state)
{
    (void)state;
    static const struct { const char *name, *message; lab_variant v; } cases[] = {
        {"pha", "is of arch 'pha'", {"", "pha", ""}},
        {"few", "n_kv_head = 2 for n_head = 4", {"", "gpt2", ""}},
        {"local", "local = 16", {"", "gpt2", "\"n_kv_head\": 4, \"local\": 16"}},
        {"linear", "is of arch 'linear'", {"", "linear", ""}},
    };
    char out[400], folder[400];
    snprintf(out, sizeof out, "%s", in_root("out"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(folder, sizeof folder, "%s", in_root(cases[i].name));
        pha_model_close(tiny_model(cases[i].name, &cases[i].v, V, NULL));
        FAILS(BAD_INPUT, cases[i].message, to_gpt2(folder, out));
        assert_false(pha__exists(out));
    }
    FAILS(USAGE, "would be replaced", to_gpt2(ours, ours));
    FAILS(USAGE, "no format 7",
          pha_export(&(pha_export_options){.model = ours, .format = (pha_export_format)7, .out = out}));
    FAILS(IO, "nowhere", to_gpt2(in_root("nowhere"), out));
}

static void spare_tensors(void)
{
    static const char *const names[] = {"h.0.attn.bias", "h.1.attn.masked_bias"};
    for (int i = 0; i < 2; i++) {
        snprintf(written[n_written].name, sizeof written->name, "%s", names[i]);
        written[n_written].data = calloc(1, sizeof(float));
        written[n_written].rows = 0, written[n_written++].width = 1;
    }
}

static void add_head(float first)
{
    snprintf(written[n_written].name, sizeof written->name, "lm_head.weight");
    written[n_written].data = malloc(V * D * sizeof(float));
    memcpy(written[n_written].data, written[0].data, V * D * sizeof(float));
    written[n_written].data[5] += first;
    written[n_written].rows = V, written[n_written++].width = D;
}
static void tied_head(void) { add_head(0), spare_tensors(); }
static void other_head(void) { add_head(1); }
static void odd_tensor(void) { snprintf(written[7].name, sizeof written->name, "h.0.attn.c_extra.weight"); }
static void flat_tensor(void) { written[6].rows = D / 2, written[6].width *= 2; }

static void spares(void **state)
{
    (void)state;
    static float want[N * V], got[N * V];
    logits_of(ours, want);
    write_hub("", "", tied_head);
    logits_of(theirs, got);
    assert_memory_equal(want, got, sizeof want);
    OK(pha__remove_tree(theirs));
}

/* A text ends where the positions do, and a larger context of a session changes nothing about it. */
static void longest(void **state)
{
    (void)state;
    pha_model *m;
    pha_session *s;
    int32_t ids[LONGEST + 1] = {0};
    const float *logits;
    write_hub("", "", NULL);
    OK(pha_model_open(&m, theirs));
    OK(pha_session_open(&s, m, &(pha_session_options){.max_context = 1000}));
    FAILS(USAGE, "the 40 positions of the model", pha_session_feed(s, ids, LONGEST + 1, &logits));
    OK(pha_session_feed(s, ids, LONGEST, &logits));
    FAILS(USAGE, "the 40 positions of the model", pha_session_feed(s, ids, 1, &logits));
    pha_session_close(s);
    pha__program *p;
    FAILS(BAD_INPUT, "has at most 40 tokens, not 41",
          pha__record(&p, &m->config, &(pha__program_options){.B = 1, .T = 1, .max_context = 41}, PHA__HEAD_LOGITS));
    FAILS(BAD_INPUT, "40 learned positions, fewer than a length of 41 tokens (nearest: 40)",
          pha__record(&p, &m->config, &(pha__program_options){.B = 1, .T = 41}, PHA__HEAD_LOSS));
    pha_model_close(m);
    OK(pha__remove_tree(theirs));
}

static void refused(void **state)
{
    (void)state;
    static const struct { const char *message, *more; void (*change)(void); } cases[] = {
        {"activation_function is not gelu_new", ", \"activation_function\": \"relu\"", NULL},
        {"layer_norm_epsilon is 1e-06", ", \"layer_norm_epsilon\": 1e-6", NULL},
        {"scale_attn_by_inverse_layer_idx", ", \"scale_attn_by_inverse_layer_idx\": true", NULL},
        {"tie_word_embeddings", ", \"tie_word_embeddings\": false", NULL},
        {"d_model = 33 is not a multiple", ", \"n_embd\": 33", NULL},
        {"n_layer is missing or not a whole number", ", \"n_layer\": \"two\"", NULL},
        {"'h.2.attn.c_attn.weight' is missing", ", \"n_layer\": 3", NULL},
        {"'wte.weight' is not 98 x 32", ", \"vocab_size\": 98", NULL},
        {"'lm_head.weight' is not 'wte.weight'", "", other_head},
        {"'h.0.attn.c_extra.weight' is not one of GPT-2", "", odd_tensor},
        {"'h.0.attn.c_attn.weight' is not 32 x 96", "", flat_tensor},
    };
    size_t before = pha__mem_now();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pha_model *m;
        char text[900], *key = strstr(cases[i].more, "\"");
        write_hub("", key ? "" : cases[i].more, cases[i].change);
        if (key) { /* in the place of what is there */
            json_t *j, *more;
            snprintf(text, sizeof text, "{%s}", key);
            OK(pha__json_parse(&more, text, strlen(text), "more"));
            OK(pha__json_load(&j, in_root("theirs/config.json"), 4096));
            json_object_update(j, more);
            OK(pha__json_save(j, in_root("theirs/config.json")));
            json_decref(j);
            json_decref(more);
        }
        FAILS(BAD_INPUT, cases[i].message, pha_model_open(&m, theirs));
        OK(pha__remove_tree(theirs));
    }
    assert_int_equal(pha__mem_now(), before);
}

/* Tokens of the model's vocabulary, which no tokenizer made. */
static void write_tokens(const char *folder)
{
    pha__tokens_writer *w;
    uint64_t n;
    int32_t ids[400];
    lab_tokens(ids, NULL, 400, V, 0, 3);
    OK(pha__mkdirs(folder));
    OK(pha__tokens_writer_open(&w, folder, "train", V, 1));
    OK(pha__tokens_writer_add(w, ids, 400));
    OK(pha__tokens_writer_finish(w, &n));
    pha__data d = {.vocab_size = V, .tokenizer_hash = 1, .joined = "none", .end_token = -1, .n = 1};
    strcpy(d.split[0].name, "train");
    d.split[0].info.tokens = n;
    OK(pha__data_write(folder, &d));
}

/* Hedgehog is made of them as of models of ours: to the bit, also where a context is longer than the positions. */
static void converted(void **state)
{
    (void)state;
    char data[300], out[2][300];
    pha_model *a, *b;
    snprintf(data, sizeof data, "%s/data", root);
    write_tokens(data);
    write_hub("transformer.", "", NULL);
    for (int i = 0; i < 2; i++) {
        snprintf(out[i], sizeof out[i], "%s/out%d", root, i);
        pha_convert_options o = {.model = i ? theirs : ours, .data = data, .out = out[i], .batch = 2, .steps = 3,
                                 .threads = 1, .context = LONGEST + 1};
        FAILS(USAGE, "take 40 or less", pha_convert(&o, NULL));
        o.context = 0;
        OK(pha_convert(&o, NULL));
    }
    OK(pha_model_open(&a, out[0]));
    OK(pha_model_open(&b, out[1]));
    for (int i = 0; i < a->names->n_params; i++) {
        size_t size = (size_t)pha__param_size(a->names, i) * sizeof(float);
        pha__place x = pha__store_at(a->store, PHA__WEIGHT, i), y = pha__store_at(b->store, PHA__WEIGHT, i);
        assert_memory_equal(x.data, y.data, size);
    }
    pha_model_close(a);
    pha_model_close(b);
    OK(pha__remove_tree(theirs));
}

/* Our model, with numbers in its biases and gains. */
static int setup(void **state)
{
    root_setup(state);
    static const char json[] = "{\"arch\": \"gpt2\", \"vocab_size\": 97, \"d_model\": 32, \"n_layer\": 2, "
                               "\"n_head\": 4, \"d_ffn\": 80, \"n_positions\": 40}";
    snprintf(ours, sizeof ours, "%s/ours", root);
    snprintf(theirs, sizeof theirs, "%s/theirs", root);
    OK(pha__write_file(in_root("config.json"), json, sizeof json - 1));
    pha__config c;
    pha__config_rules rules = pha__rules();
    OK(pha__config_load(&c, in_root("config.json"), &rules));
    lab l;
    pha__device *device;
    OK(pha__device_open(&device, "cpu", 1));
    lab_open(&l, &c, &(pha__program_options){.B = 1, .T = 1}, PHA__HEAD_LOGITS, device);
    OK(pha__model_write(ours, &c, l.store, NULL, NULL));
    lab_close(&l);
    pha__device_close(device);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_logits), cmocka_unit_test(exported),
                                       cmocka_unit_test(exported_config), cmocka_unit_test(not_exported),
                                       cmocka_unit_test(spares), cmocka_unit_test(longest),
                                       cmocka_unit_test(converted), cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, setup, root_teardown);
}
