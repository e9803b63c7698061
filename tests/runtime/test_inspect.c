/* test_inspect.c -- what inspection says against the specification's tables; that a benchmark measures what it names
 * long file: tables of expectations and many small cases */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/fs.h"
#include "base/mem.h"
#include "pha.h"
#include "runtime/cost.h"
#include "runtime/inspect.h"

static char folder[64]; /* of this process */

static const char *preset(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/configs/%s.json", PHA_SOURCE_DIR, name);
    return path;
}

static const char *in_folder(const char *name)
{
    static char path[4][160];
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static const char *write_config(const char *name, const char *text)
{
    const char *path = in_folder(name);
    assert_int_equal(pha__write_file(path, text, strlen(text)), PHA_OK);
    return path;
}

static json_t *inspect(const pha_inspect_options *options)
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
static double at(const json_t *json, const char *path)
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

static void near(double got, double want, double tolerance, const char *what)
{
    if (!(fabs(got - want) <= tolerance)) fail_msg("%s: %.4f, the table says %.4f", what, got, want);
}

/* ---- operations (algorithms.md 10) -------------------------------------------------------------------- */

static const struct {
    const char *name;
    double linear, head, core[5], forward[5], training[5];
} table[] = {
    {"pha-90m", 131.4, 48.2, {13.8, 27.5, 55.1, 110.1, 220.2}, {193, 207, 235, 290, 400}, {587, 635, 732, 924, 1310}},
    {"pha-125m", 188.9, 61.1, {14.9, 29.9, 59.8, 119.5, 239.1}, {265, 280, 310, 370, 489}, {802, 855, 959, 1168, 1587}},
    {"pha-180m",
     284.1,
     77.2,
     {15.7, 31.5, 62.9, 125.8, 251.7},
     {377, 393, 424, 487, 613},
     {1139, 1194, 1304, 1524, 1965}},
    {"attn-180",
     283.9,
     77.2,
     {25.2, 50.3, 100.7, 201.3, 402.7},
     {386, 411, 462, 562, 764},
     {1171, 1259, 1436, 1788, 2493}},
    {"attn-180-l10",
     283.6,
     77.2,
     {15.7, 31.5, 62.9, 125.8, 251.7},
     {377, 392, 424, 487, 612},
     {1137, 1193, 1303, 1523, 1963}},
};

static void operations(void **state)
{
    (void)state;
    for (size_t m = 0; m < sizeof table / sizeof *table; m++) {
        pha_inspect_options o = {.model = preset(table[m].name)};
        json_t *j = inspect(&o);
        for (int i = 0; i < 5; i++) {
            char path[128];
#define AT(key) (snprintf(path, sizeof path, "contexts.%d." key, i), at(j, path))
            near(AT("context"), 1024 << i, 0, "context");
            near(AT("forward_flops_per_token.products") / 1e6, table[m].linear, 0.06, "products");
            near(AT("forward_flops_per_token.head") / 1e6, table[m].head, 0.06, "head");
            near(AT("forward_flops_per_token.attention") / 1e6, table[m].core[i], 0.08, "attention");
            near(AT("forward_flops_per_token.total") / 1e6, table[m].forward[i], 0.65, "forward");
            near(AT("training_flops_per_token.total") / 1e6, table[m].training[i], 1.0, "training");
            double small_work = AT("forward_flops_per_token.elementwise");
            assert_true(small_work > 0 && small_work < 0.01e6 * table[m].forward[i]);
#undef AT
        }
        json_decref(j);
    }
}

/* The classes of the cost model are all that a program does. */
static void classes_sum_to_program(void **state)
{
    (void)state;
    pha__config c;
    pha__config_rules r = pha__rules();
    assert_int_equal(pha__config_load(&c, preset("tiny"), &r), PHA_OK);
    for (int recompute = 0; recompute < 2; recompute++) {
        pha__program *p;
        pha__program_options options = {.B = 2, .T = 64, .gradients = true, .recompute = recompute};
        assert_int_equal(pha__record(&p, &c, &options, PHA__HEAD_LOSS), PHA_OK);
        for (int pass = 0; pass < 2; pass++) {
            pha__cost cost = pha__cost_of(p, pass ? PHA__BACKWARD : PHA__FORWARD, 0);
            double sum = pha__cost_total(&cost) + cost.other, all = 0;
            for (int i = 0; i < p->n_steps; i++) {
                const pha__plan_step *s = &p->steps[i];
                pha__shape shape;
                pha__shape_of(p, s->node, &shape);
                if ((s->pass == PHA__BACKWARD) == pass && !s->repeat && s->node->op->flops)
                    all += s->node->op->flops(&shape, s->pass, 0);
            }
            assert_true(all > 1e6 && fabs(sum - all) < 1e-9 * all);
        }
        pha__program_close(p);
    }
}

/* ---- parameters and state (pha.md 3, algorithms.md 11) ------------------------------------------------ */

static void components(void **state)
{
    (void)state;
    static const struct { const char *name; int layers; double attention, gss, aux, ffn, total; } models[] = {
        {"pha-90m", 14, 576008, 2275648, 460800, 1382400, 89885466},
        {"pha-125m", 12, 924168, 3972288, 758784, 2217984, 125072068},
        {"pha-180m", 10, 1572876, 6000448, 2211840, 4423680, 180725014},
    };
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        pha_inspect_options o = {.model = preset(models[i].name)};
        json_t *j = inspect(&o);
        assert_true(at(j, "parameters.attention") == models[i].layers * models[i].attention);
        assert_true(at(j, "parameters.gss") == models[i].layers * models[i].gss);
        assert_true(at(j, "parameters.aux") == models[i].layers * models[i].aux);
        assert_true(at(j, "parameters.ffn") == models[i].layers * models[i].ffn);
        assert_true(at(j, "parameters.mixing") == models[i].layers * 3);
        assert_true(at(j, "parameters.total") == models[i].total);
        json_decref(j);
    }
}

/* Nothing is left over and nothing counted twice, in every preset. */
static void components_sum_up(void **state)
{
    (void)state;
    static const char *const presets[] = {"pha-90m",      "pha-125m", "pha-125m-s25", "pha-180m",
                                          "tiny",         "attn-180", "attn-180-l10", "attn-180-l18",
                                          "attn-180-l24", "attn-125", "seq-186",      "seq-125"};
    static const char *const parts[] = {"embedding", "attention", "gss", "aux", "ffn", "norms", "mixing"};
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++) {
        pha_inspect_options o = {.model = preset(presets[i])};
        json_t *j = inspect(&o), *p = json_object_get(j, "parameters");
        double sum = 0;
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) sum += at(p, parts[k]);
        assert_true(at(p, "other") == 0);
        assert_true(sum == at(p, "total"));
        assert_true(at(p, "embedding") > 0 && at(p, "attention") > 0 && at(p, "norms") > 0);
        json_decref(j);
    }
}

static void state_sizes(void **state)
{
    (void)state;
    static const struct { const char *name; double per_token_bf16, constant; } models[] = {
        {"pha-90m", 6720, 66304}, {"pha-125m", 7296, 78336}, {"pha-180m", 10240, 78080},
        {"seq-186", 12288, 93696}, {"attn-180", 16384, 0},
    };
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        pha_inspect_options o = {.model = preset(models[i].name)};
        json_t *j = inspect(&o);
        double one = at(j, "contexts.0.state_bytes.cache"), two = at(j, "contexts.1.state_bytes.cache");
        assert_true(two - one == 1024 * 2 * models[i].per_token_bf16);
        assert_true(one - 1024 * 2 * models[i].per_token_bf16 <= 64 * 16); /* counters */
        assert_true(at(j, "contexts.4.state_bytes.recurrent") == models[i].constant);
        assert_true(at(j, "contexts.4.state_bytes.other") <= 64 * 40);
        json_decref(j);
    }
    pha_inspect_options o = {.model = write_config("window.json",
        "{\"arch\":\"pha\",\"vocab_size\":256,\"d_model\":64,\"n_layer\":2,\"n_head\":4,\"n_kv_head\":2,\"d_ffn\":128,"
        "\"d_state\":160,\"d_aux\":64,\"window\":512}")};
    json_t *j = inspect(&o);
    assert_true(at(j, "contexts.0.state_bytes.cache") == at(j, "contexts.4.state_bytes.cache"));
    assert_true(at(j, "contexts.0.state_bytes.cache") >= 512 * 2 * 2 * 32 * 4);
    json_decref(j);
}

/* ---- memory and program ------------------------------------------------------------------------------- */

static void memory(void **state)
{
    (void)state;
    pha_inspect_options o = {.model = preset("tiny"), .what = PHA_INSPECT_MEMORY, .context = 256, .batch = 2};
    json_t *full = inspect(&o);
    o.recompute = true;
    json_t *less = inspect(&o);
    o.recompute = false, o.inference = true;
    json_t *session = inspect(&o);
    assert_true(at(full, "weights") >= 197966 * 4 && at(full, "weights") < 197966 * 4.02);
    assert_true(at(full, "gradients") >= 197966 * 4 && at(full, "moments") == 2 * at(full, "gradients"));
    assert_true(at(full, "state") == 0 && at(full, "logits") >= 256 * 256 * 4);
    assert_true(at(full, "block") < at(full, "naive"));
    assert_true(at(full, "saved") == at(full, "naive") - at(full, "block"));
    assert_true(at(full, "total") ==
                at(full, "weights") + at(full, "gradients") + at(full, "moments") + at(full, "block"));
    static const char *const parts[] = {"activations", "activation_gradients", "statistics",
                                        "logits",      "workspaces",           "scratch"};
    double sum = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        assert_true(at(full, parts[i]) > 0 && at(full, parts[i]) < at(full, "block"));
        sum += at(full, parts[i]);
    }
    assert_true(sum > 0.9 * at(full, "block")); /* nothing of the block is without a name */
    assert_true(at(less, "activations") < at(full, "activations"));
    assert_true(at(session, "gradients") == 0 && at(session, "moments") == 0 &&
                at(session, "activation_gradients") == 0);
    assert_true(at(session, "state") >= 2 * (256 * 2 * 2 * 2 * 16 * 4 + 2 * 160 * 4)); /* 2 sequences, 2 layers */
    json_decref(full);
    json_decref(less);
    json_decref(session);
    char *text;
    o.inference = false;
    assert_int_equal(pha_inspect(&o, &text), PHA_OK);
    assert_non_null(strstr(text, "logits workspace"));
    assert_non_null(strstr(text, "saved by the plan"));
    pha_free(text);
}

/* The column before the source of line i of the table: megabytes that a step moves. */
static double megabytes(const char *text, size_t i)
{
    for (; i > 0; i--) text = strchr(text, '\n') + 1;
    const char *at = strchr(text, '\n');
    while (strncmp(at, "  ", 2)) at--;
    while (at[-1] != ' ') at--;
    return strtod(at, NULL);
}

static void program(void **state)
{
    (void)state;
    char *text;
    pha_inspect_options o = {.model = preset("tiny"), .what = PHA_INSPECT_PROGRAM, .context = 128};
    json_t *j = inspect(&o), *steps = json_object_get(j, "steps");
    size_t n = json_array_size(steps), lines = 0;
    assert_true(n > 40);
    assert_int_equal(pha_inspect(&o, &text), PHA_OK);
    for (size_t i = 0; i < n; i++) {
        json_t *step = json_array_get(steps, i);
        near(megabytes(text, i + 1), at(step, "bytes") / 1e6, 0.0051, json_string_value(json_object_get(step, "path")));
    }
    json_decref(j);
    for (const char *p = text; (p = strchr(p, '\n')); p++) lines++;
    assert_int_equal(lines, n + 2); /* head and sum */
    assert_non_null(strstr(text, "backward"));
    assert_non_null(strstr(text, "layer1.gss.h"));
    pha_free(text);
    o.no_fuse = true;
    j = inspect(&o);
    assert_true(json_array_size(json_object_get(j, "steps")) > n);
    json_decref(j);
    o.inference = true;
    assert_int_equal(pha_inspect(&o, &text), PHA_OK);
    assert_null(strstr(text, " backward  "));
    pha_free(text);
}

/* ---- mixing ------------------------------------------------------------------------------------------- */

static const char three[] =
    "{\"arch\":\"pha\",\"vocab_size\":64,\"d_model\":32,\"n_layer\":2,\"n_head\":2,\"n_kv_head\":1,"
    "\"d_ffn\":32,\"d_state\":32,\"d_aux\":32%s}";

static const char *small(const char *name, const char *more)
{
    char text[512];
    snprintf(text, sizeof text, three, more);
    return write_config(name, text);
}

/* Numbers worked out by hand: softplus(0) = 0.6931, softplus(ln(e - 1)) = 1, softplus(800) = 800. */
static void mixing_numbers(void **state)
{
    (void)state;
    pha__subject s;
    assert_int_equal(pha__subject_open(&s, small("three.json", "")), PHA_OK);
    void **data = calloc((size_t)s.names->n_params, sizeof *data);
    float *block = calloc((size_t)s.names->weights, sizeof *block);
    pha__bind_block(s.names, block, sizeof *block, data);
    pha__init_weights(s.names, block, 3);
    float *p0 = data[pha__find_param(s.names, "layer0.mix")->index],
          *p1 = data[pha__find_param(s.names, "layer1.mix")->index];
    float one = logf(expf(1) - 1);
    p0[0] = one, p0[1] = one, p0[2] = one; /* order of the tensor: attn, gss, aux */
    p1[0] = 800, p1[1] = 200, p1[2] = -800;
    float *gain = data[pha__find_param(s.names, "layer0.gss_norm")->index];
    for (int i = 0; i < 32; i++) gain[i] = i % 2 ? -6.0f : 0.0f; /* rms sqrt(18) */
    pha__mix_row *rows;
    int n;
    assert_int_equal(pha__mixing_rows(&rows, &n, s.names, data), PHA_OK);
    assert_int_equal(n, 2);
    assert_int_equal(rows[0].n, 3);
    assert_string_equal(rows[0].branch[0], "gss");
    assert_string_equal(rows[0].branch[1], "attn");
    assert_string_equal(rows[0].branch[2], "aux");
    for (int k = 0; k < 3; k++) near(rows[0].raw[k], 1.0 / 3, 1e-6, "raw");
    near(rows[0].scaled[0], sqrt(18) / (2 + sqrt(18)), 1e-6, "scaled gss");
    near(rows[0].scaled[1], 1 / (2 + sqrt(18)), 1e-6, "scaled attention");
    assert_int_equal(rows[1].layer, 1);
    near(rows[1].raw[0], 0.2, 1e-9, "gss");
    near(rows[1].raw[1], 0.8, 1e-9, "attention");
    near(rows[1].raw[2], 0, 1e-9, "ffn");
    pha__free(rows);
    free(block);
    free(data);
    pha__subject_close(&s);
}

static void mixing_views(void **state)
{
    (void)state;
    char model[160];
    snprintf(model, sizeof model, "%s", in_folder("model"));
    assert_int_equal(pha_model_init(small("three.json", ""), 5, "bytes", model), PHA_BAD_INPUT); /* 257 tokens, V 64 */
    assert_int_equal(pha_model_init(small("three.json", ""), 5, NULL, model), PHA_OK);
    pha_inspect_options o = {.model = model, .what = PHA_INSPECT_MIXING, .svg = in_folder("mix.svg")};
    json_t *j = inspect(&o);
    assert_true(json_is_true(json_object_get(j, "trained")));
    assert_int_equal(json_array_size(json_object_get(j, "layers")), 2);
    near(at(j, "layers.1.raw.gss"), 1.0 / 3, 1e-9, "gss");
    near(at(j, "mean.scaled.aux"), 1.0 / 3, 1e-6, "aux");
    json_decref(j);
    char *svg;
    size_t size;
    assert_int_equal(pha__read_file(&svg, &size, o.svg, 1 << 20), PHA_OK);
    assert_non_null(strstr(svg, "xmlns=\"http://www.w3.org/2000/svg\""));
    assert_non_null(strstr(svg, ">GSS</text>"));
    assert_non_null(strstr(svg, "33.3 %"));
    assert_non_null(strstr(svg, "translate(0 "));
    pha__free(svg);
    char *text;
    assert_int_equal(pha_inspect(&o, &text), PHA_OK);
    assert_non_null(strstr(text, "\nL1 "));
    assert_non_null(strstr(text, "\nmean "));
    pha_free(text);
    o.what = PHA_INSPECT_SUMMARY;
    j = inspect(&o);
    assert_true(at(j, "file_bytes") > at(j, "parameters.total") * 4);
    json_decref(j);
    assert_int_equal(pha_inspect(&o, &text), PHA_OK);
    assert_non_null(strstr(text, "total"));
    pha_free(text);
}

/* A gain or a weight that is NaN or infinite must not look like 0. */
static void mixing_not_finite(void **state)
{
    (void)state;
    static const char *const paths[] = {"layer1.gss_norm", "layer0.mix"};
    static const float values[] = {NAN, INFINITY};
    for (int i = 0; i < 4; i++) {
        pha__subject s;
        assert_int_equal(pha__subject_open(&s, small("nan.json", "")), PHA_OK);
        float *block = calloc((size_t)s.names->weights, sizeof *block);
        pha_model m = {.weights.data = calloc((size_t)s.names->n_params, sizeof(void *))};
        pha__bind_block(s.names, block, sizeof *block, m.weights.data);
        pha__init_weights(s.names, block, 3);
        ((float *)m.weights.data[pha__find_param(s.names, paths[i / 2])->index])[1] = values[i % 2];
        s.model = &m;
        pha__str out = {0};
        assert_int_equal(pha__inspect_mixing(&out, &s, &(pha_inspect_options){0}), PHA_NUMERIC);
        assert_non_null(strstr(pha_errmsg(), i < 2 ? "layer 1" : "layer 0"));
        s.model = NULL;
        pha__str_free(&out);
        pha__subject_close(&s);
        free(m.weights.data);
        free(block);
    }
}

/* A run has a config.json too; what is shown is its model, or what to do when there is none yet. */
static void runs(void **state)
{
    (void)state;
    char run[160], model[200], *text;
    snprintf(run, sizeof run, "%s", in_folder("run"));
    snprintf(model, sizeof model, "%s/model", run);
    assert_int_equal(pha__mkdirs(run), PHA_OK);
    small("run/config.json", "");
    write_config("run/run.json", "{}");
    pha_inspect_options o = {.model = run, .what = PHA_INSPECT_MIXING};
    for (int what = 0; what < 2; what++) {
        o.what = what ? PHA_INSPECT_MIXING : PHA_INSPECT_SUMMARY;
        assert_int_equal(pha_inspect(&o, &text), PHA_BAD_INPUT);
        assert_non_null(strstr(pha_errmsg(), "/best"));
    }
    assert_int_equal(pha_model_init(small("three.json", ""), 5, NULL, model), PHA_OK);
    json_t *j = inspect(&o);
    assert_true(json_is_true(json_object_get(j, "trained")));
    assert_string_equal(json_string_value(json_object_get(j, "model")), model);
    json_decref(j);
    write_config("run/config.json", "{}"); /* does not matter */
    json_decref(inspect(&o));
}

static void mixing_kinds(void **state)
{
    (void)state;
    pha_inspect_options o = {.what = PHA_INSPECT_MIXING};
    o.model = small("uniform.json", ",\"mix\":\"uniform\",\"branch_gain\":false");
    json_t *j = inspect(&o);
    near(at(j, "mean.raw.attn"), 1.0 / 3, 1e-9, "attn");
    assert_true(json_is_false(json_object_get(j, "trained")));
    json_decref(j);
    o.model = write_config("two.json",
        "{\"arch\":\"pha\",\"vocab_size\":64,\"d_model\":32,\"n_layer\":2,\"n_head\":2,\"n_kv_head\":1,\"d_ffn\":32,"
        "\"d_state\":32,\"branches\":[\"attn\",\"gss\"],\"mix\":\"dynamic\"}");
    j = inspect(&o);
    near(at(j, "layers.0.scaled.gss"), 0.5, 1e-6, "gss");
    assert_null(json_object_get(json_object_get(json_object_get(j, "mean"), "raw"), "aux"));
    json_decref(j);
    char *text;
    o.model = preset("attn-180");
    assert_int_equal(pha_inspect(&o, &text), PHA_BAD_INPUT);
    assert_null(text);
    o.model = preset("seq-186");
    assert_int_equal(pha_inspect(&o, &text), PHA_BAD_INPUT);
}

static void wrong_input(void **state)
{
    (void)state;
    char *text = (char *)1;
    pha_inspect_options o = {.model = NULL};
    assert_int_equal(pha_inspect(&o, &text), PHA_USAGE);
    assert_null(text);
    o.model = in_folder("nothing");
    assert_int_equal(pha_inspect(&o, &text), PHA_IO);
    o.model = write_config("broken.json", "{\"arch\":\"pha\",");
    assert_int_equal(pha_inspect(&o, &text), PHA_BAD_INPUT);
    o = (pha_inspect_options){.model = preset("tiny"), .context = -1};
    assert_int_equal(pha_inspect(&o, &text), PHA_USAGE);
    o = (pha_inspect_options){.model = preset("tiny"), .context = 1 << 20, .batch = 65536};
    assert_int_equal(pha_inspect(&o, &text), PHA_USAGE);
    o = (pha_inspect_options){
        .model = preset("tiny"), .what = PHA_INSPECT_MIXING, .svg = in_folder("no/such/folder.svg")};
    assert_int_equal(pha_inspect(&o, &text), PHA_IO);
    assert_null(text);
}

/* No allocation may be missed: fail each in turn; the message is set and nothing leaks (sanitizers). */
static void out_of_memory(void **state)
{
    (void)state;
    for (int what = 0; what < 4; what++) {
        pha_inspect_options o = {.model = preset("tiny"), .what = (pha_inspect_what)what, .context = 32};
        char *text = NULL;
        pha_status status = PHA_NO_MEMORY;
        size_t before = pha__mem_now();
        for (uint64_t n = 1; status != PHA_OK; n = n < 40 ? n + 1 : n * 5 / 4) {
            pha__mem_fail_at(n);
            status = pha_inspect(&o, &text);
            pha__mem_fail_at(0);
            if (status) assert_true(text == NULL && pha__mem_now() == before);
            assert_true(n < 10000000);
        }
        pha_free(text);
    }
}

/* ---- benchmarks --------------------------------------------------------------------------------------- */

static void count(void *user, const pha_progress *p)
{
    assert_non_null(p->line);
    ++*(int *)user;
}

static json_t *bench(const pha_bench_options *options)
{
    pha_bench_options o = *options;
    o.json = true;
    char *text;
    pha_status status = pha_bench(&o, &text);
    if (status) fail_msg("pha_bench: %s", pha_errmsg());
    json_t *j = json_loads(text, 0, NULL);
    assert_non_null(j);
    pha_free(text);
    return j;
}

static void bench_models(void **state)
{
    (void)state;
    static const int32_t contexts[] = {32, 300};
    for (int bf16 = 0; bf16 < 2; bf16++) {
        int calls = 0;
        pha_bench_options o = {.model = preset("tiny"),
                               .contexts = contexts,
                               .n_contexts = 2,
                               .repeats = 2,
                               .batch = 2,
                               .precision = bf16 ? PHA_BF16 : PHA_FP32,
                               .threads = 1,
                               .progress = count,
                               .user = &calls};
        json_t *j = bench(&o), *results = json_object_get(j, "results"), *r;
        size_t i, seen[3] = {0};
        assert_int_equal(json_array_size(results), 6);
        json_array_foreach(results, i, r) {
            const char *what = json_string_value(json_object_get(r, "what"));
            seen[!strcmp(what, "train") ? 0 : !strcmp(what, "prefill") ? 1 : 2]++;
            bool decode = !strcmp(what, "decode");
            double per_run = decode ? 2 : 2 * at(r, "context");
            near(at(r, "tokens_per_second") * at(r, "seconds"), per_run, 1e-3, "tokens");
            assert_true(at(r, "flops") > 0 && at(r, "share_of_peak") > 0);
            assert_true(at(r, "memory_bytes.block") > 0);
            assert_true((at(r, "memory_bytes.moments") > 0) == !strcmp(what, "train"));
            assert_true((at(r, "memory_bytes.half") > 0) == (bf16 == 1));
            if (decode) assert_true(at(r, "share_of_copy") > 0);
        }
        assert_true(seen[0] == 2 && seen[1] == 2 && seen[2] == 2);
        assert_true(calls >= 12);
        assert_true(at(j, "product_gflops") > 0.01 && at(j, "copy_gbytes") > 0.01);
        assert_true(at(j, "peak_gflops") > at(j, "product_gflops") / 2); /* not below it, but for the machine's noise */
        json_decref(j);
    }
}

/* Useful operations of a prompt do not depend on how it is cut, and are those of inspection without the head. */
static void bench_counts(void **state)
{
    (void)state;
    static const int32_t contexts[] = {1024};
    pha_bench_options o = {
        .model = preset("tiny"), .what = "train,prefill", .contexts = contexts, .n_contexts = 1, .repeats = 1};
    pha_inspect_options i = {.model = preset("tiny")};
    json_t *b = bench(&o), *j = inspect(&i);
    double linear = at(j, "contexts.0.forward_flops_per_token.products"),
           core = at(j, "contexts.0.forward_flops_per_token.attention");
    near(at(b, "results.1.flops") / 1024, linear + core, 1e-6 * linear, "prefill");
    near(at(b, "results.0.flops") / 1024, at(j, "contexts.0.training_flops_per_token.total"), 1e-6 * linear, "train");
    json_decref(b);
    json_decref(j);
}

static void bench_ops(void **state)
{
    (void)state;
    static const int32_t contexts[] = {64};
    pha_bench_options o = {.model = preset("tiny"), .what = "ops", .contexts = contexts, .n_contexts = 1, .repeats = 3};
    json_t *j = bench(&o), *ops = json_object_get(j, "ops"), *r;
    size_t i;
    double share = 0, seconds = 0;
    bool scan = false, adamw = false;
    json_array_foreach(ops, i, r) {
        const char *name = json_string_value(json_object_get(r, "op"));
        scan = scan || !strcmp(name, "scan"), adamw = adamw || !strcmp(name, "adamw");
        share += at(r, "share_of_step"), seconds += at(r, "seconds");
        assert_true(at(r, "steps") > 0 && at(r, "bytes") > 0);
    }
    assert_true(scan && adamw);
    near(share, 1, 1e-6, "shares");
    assert_true(seconds > 0);
    json_decref(j);
    o.json = false;
    char *text;
    assert_int_equal(pha_bench(&o, &text), PHA_OK);
    assert_non_null(strstr(text, "Measured peak"));
    assert_non_null(strstr(text, "matmul       backward"));
    pha_free(text);
}

static void bench_wrong_input(void **state)
{
    (void)state;
    char *text;
    static const int32_t zero[] = {0}, long_one[] = {1 << 22}, short_one[] = {16};
    pha_bench_options o = {.model = preset("tiny"), .what = "train,nothing"};
    assert_int_equal(pha_bench(&o, &text), PHA_USAGE);
    assert_null(text);
    o.what = ",";
    assert_int_equal(pha_bench(&o, &text), PHA_USAGE);
    o.what = "train", o.contexts = zero, o.n_contexts = 1;
    assert_int_equal(pha_bench(&o, &text), PHA_USAGE);
    o.model = NULL, o.contexts = short_one;
    assert_int_equal(pha_bench(&o, &text), PHA_USAGE);
    o.model = in_folder("nothing");
    assert_int_equal(pha_bench(&o, &text), PHA_IO);
    /* What doesn't fit the machine is skipped and says so: 1.6 TB of activations. */
    o.model = write_config("wide.json", "{\"arch\":\"pha\",\"vocab_size\":64,\"d_model\":64,\"n_layer\":1,\"n_head\":2,"
                                        "\"n_kv_head\":1,\"d_ffn\":32768,\"d_state\":32,\"d_aux\":32}");
    o.contexts = long_one;
    assert_int_equal(pha_bench(&o, &text), PHA_OK);
    assert_non_null(strstr(text, "skipped: needs"));
    pha_free(text);
    pha_request_stop();
    o.model = preset("tiny"), o.contexts = short_one;
    assert_int_equal(pha_bench(&o, &text), PHA_STOPPED);
    pha_clear_stop();
    assert_null(text);
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/pha-inspect-%d", (int)getpid());
    return pha__mkdirs(folder) != PHA_OK;
}

static int remove_folder(void **state)
{
    (void)state;
    return pha__remove_tree(folder) != PHA_OK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations),     cmocka_unit_test(classes_sum_to_program), cmocka_unit_test(components),
        cmocka_unit_test(components_sum_up), cmocka_unit_test(state_sizes),         cmocka_unit_test(memory),
        cmocka_unit_test(program),        cmocka_unit_test(mixing_numbers),         cmocka_unit_test(mixing_views),
        cmocka_unit_test(mixing_kinds),   cmocka_unit_test(wrong_input),            cmocka_unit_test(out_of_memory),
        cmocka_unit_test(mixing_not_finite), cmocka_unit_test(runs),
        cmocka_unit_test(bench_models),   cmocka_unit_test(bench_counts),           cmocka_unit_test(bench_ops),
        cmocka_unit_test(bench_wrong_input),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
