/* test_resized.c -- the same architecture with another width and another number of layers */
#include "base/json.h"
#include "models/lab.h"
#include "runtime/model.h"

static json_t *resized(const char *text, int32_t width, int32_t layers)
{
    json_t *json;
    pha__config c;
    pha__config_rules rules = pha__rules();
    OK(pha__json_parse(&json, text, strlen(text), "test"));
    OK(pha__config_parse(&c, json, "test", &rules));
    json_decref(json);
    json_t *out = pha__config_resized(&c, &rules, width, layers);
    assert_non_null(out);
    OK(pha__config_parse(&c, out, "resized", &rules)); /* what comes of it is a configuration */
    return out;
}

static int whole(const json_t *o, const char *key)
{
    const json_t *x = json_object_get(o, key);
    if (!json_is_integer(x)) fail_msg("%s is no whole number", key);
    return (int)json_integer_value(x);
}

/* Widths go in proportion, multiples of 16 stay such; heads keep their width. */
static void widths(void **state)
{
    (void)state;
    static const char text[] =
        "{\"arch\": \"pha\", \"vocab_size\": 50257, \"d_model\": 608, \"n_layer\": 12, \"n_head\": 8, \"n_kv_head\": 2,"
        " \"d_ffn\": 1216, \"d_state\": 1632, \"d_aux\": 416, \"rope_theta\": 500}";
    static const struct {
        int width, head, kv, ffn, state, aux;
    } want[] = {{608, 8, 2, 1216, 1632, 416}, {64, 1, 1, 128, 176, 48}, {128, 2, 1, 256, 336, 80},
                {304, 4, 1, 608, 816, 208},   {1216, 16, 4, 2432, 3264, 832}, {8, 1, 1, 32, 32, 32}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        json_t *o = resized(text, want[i].width, 2);
        assert_int_equal(whole(o, "d_model"), want[i].width);
        assert_int_equal(whole(o, "n_layer"), 2);
        assert_int_equal(whole(o, "n_head"), want[i].head);
        assert_int_equal(whole(o, "n_kv_head"), want[i].kv);
        assert_int_equal(whole(o, "d_ffn"), want[i].ffn);
        assert_int_equal(whole(o, "d_state"), want[i].state);
        assert_int_equal(whole(o, "d_aux"), want[i].aux);
        assert_int_equal(whole(o, "vocab_size"), 50257);
        assert_true(json_number_value(json_object_get(o, "rope_theta")) == 500);
        json_decref(o);
    }
}

/* Zero leaves the width or the layers as they are. */
static void as_it_is(void **state)
{
    (void)state;
    static const char text[] = "{\"arch\": \"gpt2\", \"vocab_size\": 9, \"d_model\": 30, \"n_layer\": 3, "
                               "\"n_head\": 5, \"d_ffn\": 7, \"n_positions\": 8}";
    json_t *o = resized(text, 0, 0);
    assert_true(whole(o, "d_model") == 30 && whole(o, "n_layer") == 3 && whole(o, "n_head") == 5);
    assert_true(whole(o, "d_ffn") == 7 && whole(o, "n_positions") == 8);
    json_decref(o);
    o = resized(text, 60, 5);
    assert_true(whole(o, "n_head") == 10 && whole(o, "d_ffn") == 14 && whole(o, "n_layer") == 5);
    json_decref(o);
    o = resized(text, 44, 3); /* 7 heads do not fit, nor do 6, 5, 4 or 3 */
    assert_int_equal(whole(o, "n_head"), 2);
    json_decref(o);
}

/* Heads that share keys and values are as many to one as they were. */
static void groups(void **state)
{
    (void)state;
    static const char text[] = "{\"arch\": \"pha\", \"d_model\": 60, \"n_layer\": 2, \"n_head\": 10, "
                               "\"n_kv_head\": 5, \"d_ffn\": 60, \"branches\": [\"attn\"]}";
    json_t *o = resized(text, 44, 2);
    assert_true(whole(o, "n_head") == 2 && whole(o, "n_kv_head") == 1);
    json_decref(o);
}

/* Layers that are named stay where they are left, the last takes their place where none is; windows go with them. */
static void layers(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        int layers, want[3];
    } of[] = {{"[1, 8]", 2, {1, -1}},       {"[6]", 2, {1, -1}}, {"[0, 1, 7]", 8, {0, 1, 7}},
              {"[]", 2, {-1}}};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        char text[300];
        snprintf(text, sizeof text, "{\"arch\": \"gss\", \"d_model\": 64, \"n_layer\": 9, %s\"d_gate\": 256, "
                 "\"d_ssm\": 16, \"attn_layers\": %s}", strcmp(of[i].list, "[]") ? "\"n_head\": 4, " : "", of[i].list);
        json_t *o = resized(text, 32, of[i].layers), *list = json_object_get(o, "attn_layers");
        size_t n = 0;
        for (; n < 3 && of[i].want[n] >= 0; n++)
            assert_int_equal(json_integer_value(json_array_get(list, n)), of[i].want[n]);
        assert_int_equal(json_array_size(list), n);
        assert_int_equal(whole(o, "d_gate"), 128);
        assert_int_equal(whole(o, "d_ssm"), 16); /* it was below 32 and stays */
        json_decref(o);
    }
    static const char windows[] = "{\"arch\": \"pha\", \"d_model\": 64, \"n_layer\": 3, \"n_head\": 2, \"d_ffn\": 64, "
                                  "\"branches\": [\"attn\"], \"window\": [5, null, 7]}";
    for (int n = 1; n < 6; n++) {
        json_t *o = resized(windows, 64, n), *list = json_object_get(o, "window");
        if (n == 1) assert_int_equal(json_integer_value(json_array_get(list, 0)), 5);
        assert_int_equal(json_array_size(list), n);
        if (n > 2) assert_int_equal(json_integer_value(json_array_get(list, (size_t)n - 1)), 7);
        if (n > 1) assert_true(json_is_null(json_array_get(list, 1)));
        json_decref(o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(widths), cmocka_unit_test(as_it_is), cmocka_unit_test(groups),
                                       cmocka_unit_test(layers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
