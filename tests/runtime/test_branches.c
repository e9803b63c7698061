/* test_branches.c -- pha_eval_branches: a branch that is switched off is one whose gain is zero in the file */
#include "program/store.h"
#include "training.h"

static char model[300];

static double perplexity(const char *folder)
{
    pha_eval_result r;
    OK(pha_eval(&(pha_eval_options){.model = folder, .data = data, .context = 33, .threads = 1}, &r));
    return r.token_ppl;
}

/* The model with zeros as gains of a branch, in one layer (-1: in all). */
static double without(int layer, const char *name)
{
    pha_train_options o = options();
    char path[60], folder[300];
    float zeros[64] = {0};
    o.config = NULL, o.init_from = model;
    pha_trainer *t = open_trainer(&o);
    for (int l = 0; l < 2; l++) {
        snprintf(path, sizeof path, "layer%d.%s_norm", l, name);
        if (layer < 0 || l == layer)
            OK(pha__store_copy_in(t->store, PHA__WEIGHT, pha__find_param(t->program, path)->index, zeros));
    }
    snprintf(folder, sizeof folder, "%s", in_root("without"));
    OK(pha_trainer_save_model(t, folder));
    pha_trainer_close(t);
    return perplexity(folder);
}

static json_t *study(const char *folder, const pha_eval_options *more)
{
    pha_eval_options o = more ? *more : (pha_eval_options){.threads = 1};
    char *text;
    json_t *json;
    o.model = folder, o.data = data, o.context = 33;
    OK(pha_eval_branches(&o, true, &text));
    OK(pha__json_parse(&json, text, strlen(text), "study"));
    pha_free(text);
    return json;
}

static bool equal(double a, double b) { return fabs(a / b - 1) < 1e-9; } /* of the digits that are printed */
static double real(const json_t *j, const char *key) { return json_number_value(json_object_get(j, key)); }

static int set_up_model(void **state)
{
    set_up(state);
    pha_train_options o = options();
    pha_trainer *t = open_trainer(&o);
    steps(t, 15);
    snprintf(model, sizeof model, "%s/model", root);
    OK(pha_trainer_save_model(t, model));
    pha_trainer_close(t);
    return 0;
}

static void test_without(void **state)
{
    (void)state;
    json_t *j = study(model, NULL), *list = json_object_get(j, "branches"), *b;
    size_t i;
    double sums[2][3] = {{0}};
    assert_true(equal(real(j, "token_ppl"), perplexity(model)));
    assert_int_equal(json_array_size(list), 6);
    json_array_foreach(list, i, b) {
        int layer = (int)real(b, "layer");
        double ppl = real(b, "token_ppl_without");
        assert_true(equal(ppl, without(layer, json_string_value(json_object_get(b, "branch")))));
        assert_false(equal(ppl, real(j, "token_ppl")));
        sums[layer][0] += real(b, "weight"), sums[layer][1] += real(b, "weight_scaled");
        sums[layer][2] += real(b, "share_of_norm");
    }
    for (int k = 0; k < 6; k++) assert_true(fabs(sums[k / 3][k % 3] - 1) < 1e-9);
    const json_t *all = json_object_get(j, "token_ppl_without_in_all_layers");
    assert_true(equal(real(all, "gss"), without(-1, "gss")) && equal(real(all, "attn"), without(-1, "attn")));
    json_decref(j);
}

/* Also where programs read copies of the weights. */
static void test_formats(void **state)
{
    (void)state;
    pha_eval_options o = {.threads = 1, .weights = PHA_WEIGHTS_Q8};
    json_t *whole = study(model, NULL), *small = study(model, &o);
    double a = real(json_array_get(json_object_get(whole, "branches"), 0), "token_ppl_without");
    double b = real(json_array_get(json_object_get(small, "branches"), 0), "token_ppl_without");
    assert_true(fabs(a / b - 1) < 0.02 && a != b);
    json_decref(small);
    small = study(model, &(pha_eval_options){.threads = 1, .precision = PHA_BF16, .max_tokens = 500});
    b = real(json_array_get(json_object_get(small, "branches"), 0), "token_ppl_without");
    assert_true(fabs(a / b - 1) < 0.2 && real(small, "tokens") == 500 && real(small, "window") == 33);
    json_decref(whole);
    json_decref(small);
}

static void test_refused(void **state)
{
    (void)state;
    char file[300], folder[300], *text;
    snprintf(folder, sizeof folder, "%s/sequential", root);
    snprintf(file, sizeof file, "%s/sequential.json", root);
    lab_write_config(file, &(lab_variant){"s", "seq", "\"d_model\": 32, \"d_state\": 32, \"d_ffn\": 48"}, 257);
    OK(pha_model_init(file, 1, "bytes", folder));
    pha_eval_options o = {.model = folder, .data = data, .context = 33, .threads = 1};
    FAILS(BAD_INPUT, "mixes no branches", pha_eval_branches(&o, false, &text));
    assert_null(text);
    FAILS(USAGE, "options", pha_eval_branches(NULL, false, &text));
    FAILS(USAGE, "text", pha_eval_branches(&o, false, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without), cmocka_unit_test(test_formats), cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, set_up_model, root_teardown);
}
