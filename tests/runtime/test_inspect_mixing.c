/* test_inspect_mixing.c -- the mixing table, as text, JSON and figure, of models and of runs */
#include "inspecting.h"
#include "nn/shown.h"
#include "support/check.h"

static const char three[] =
    "{\"arch\":\"pha\",\"vocab_size\":64,\"d_model\":32,\"n_layer\":2,\"n_head\":2,\"n_kv_head\":1,"
    "\"d_ffn\":32,\"d_state\":32,\"d_aux\":32%s}";

static const char *small(const char *name, const char *more)
{
    char text[512];
    snprintf(text, sizeof text, three, more);
    return write_config(name, text);
}

/* Initial weights of a model, in memory that a test may change. */
static pha__device *device;
static pha__store *open_store(const pha__program *names)
{
    pha__store *store;
    assert_int_equal(pha__device_open(&device, "cpu", 1), PHA_OK);
    assert_int_equal(pha__store_open(&store, names, device), PHA_OK);
    assert_int_equal(pha__store_add(store, PHA__WEIGHT, PHA__ALL_PARAMS, PHA__F32), PHA_OK);
    assert_int_equal(pha__init_weights(store, 3), PHA_OK);
    return store;
}

static void close_store(pha__store *store)
{
    pha__store_close(store);
    pha__device_close(device);
}

static float *numbers(const pha__store *s, const char *path)
{
    return pha__store_at(s, PHA__WEIGHT, pha__find_param(s->names, path)->index).data;
}

/* Numbers worked out by hand: softplus(0) = 0.6931, softplus(ln(e - 1)) = 1, softplus(800) = 800. */
static void mixing_numbers(void **state)
{
    (void)state;
    pha__subject s;
    assert_int_equal(pha__subject_open(&s, small("three.json", "")), PHA_OK);
    pha__store *store = open_store(s.names);
    float *p0 = numbers(store, "layer0.mix"), *p1 = numbers(store, "layer1.mix");
    float one = logf(expf(1) - 1);
    p0[0] = one, p0[1] = one, p0[2] = one; /* order of the tensor: attn, gss, aux */
    p1[0] = 800, p1[1] = 200, p1[2] = -800;
    float *gain = numbers(store, "layer0.gss_norm");
    for (int i = 0; i < 32; i++) gain[i] = i % 2 ? -6.0f : 0.0f; /* rms sqrt(18) */
    double x[4][3]; /* raw and scaled of each layer */
    int n = 0;
    for (int i = 0; i < s.names->n_watches; i++) {
        const pha__watching *w = &s.names->watches[i];
        if (w->row != &pha__shown[PHA__SHOW_MIX] && w->row != &pha__shown[PHA__SHOW_MIX_SCALED]) continue;
        assert_int_equal(w->layer, n / 2);
        assert_int_equal(w->n, 3);
        assert_string_equal(w->labels[0], "gss");
        assert_string_equal(w->labels[1], "attn");
        assert_string_equal(w->labels[2], "aux");
        assert_true(n < 4);
        OK(pha__watch_read(w, NULL, store, 0, x[n++]));
    }
    assert_int_equal(n, 4);
    for (int k = 0; k < 3; k++) near(x[0][k], 1.0 / 3, 1e-6, "raw");
    near(x[1][0], sqrt(18) / (2 + sqrt(18)), 1e-6, "scaled gss");
    near(x[1][1], 1 / (2 + sqrt(18)), 1e-6, "scaled attention");
    near(x[2][0], 0.2, 1e-9, "gss");
    near(x[2][1], 0.8, 1e-9, "attention");
    near(x[2][2], 0, 1e-9, "ffn");
    close_store(store);
    pha__subject_close(&s);
}

static void mixing_views(void **state)
{
    (void)state;
    char model[160];
    snprintf(model, sizeof model, "%s", in_root("model"));
    assert_int_equal(pha_model_init(small("three.json", ""), 5, "bytes", model), PHA_BAD_INPUT); /* 257 tokens, V 64 */
    assert_int_equal(pha_model_init(small("three.json", ""), 5, NULL, model), PHA_OK);
    pha_inspect_options o = {.model = model, .what = PHA_INSPECT_MIXING, .svg = in_root("mix.svg")};
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
        pha_model m = {.store = open_store(s.names)};
        numbers(m.store, paths[i / 2])[1] = values[i % 2];
        s.model = &m;
        pha__str out = {0};
        assert_int_equal(pha__inspect_mixing(&out, &s, &(pha_inspect_options){0}), PHA_NUMERIC);
        assert_non_null(strstr(pha_errmsg(), i < 2 ? "layer 1" : "layer 0"));
        s.model = NULL;
        pha__str_free(&out);
        close_store(m.store);
        pha__subject_close(&s);
    }
}

/* A run has a config.json too; what is shown is its model, or what to do when there is none yet. */
static void runs(void **state)
{
    (void)state;
    char run[160], model[200], *text;
    snprintf(run, sizeof run, "%s", in_root("run"));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mixing_numbers),
        cmocka_unit_test(mixing_views),
        cmocka_unit_test(mixing_not_finite),
        cmocka_unit_test(runs),
        cmocka_unit_test(mixing_kinds),
    };
    return cmocka_run_group_tests(tests, root_setup, root_teardown);
}
