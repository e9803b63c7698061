/* test_train_origin.c -- a run goes on as what it was: over other data, from a checkpoint of an earlier build */
#include "telling.h"

/* A data folder of three texts of the same length, in the given order; the validation text is `valid`. */
static void prepare_parts(const char *folder, const char *order, char valid)
{
    static char paths[4][300];
    const char *inputs[3], *split[1];
    for (int i = 0; i < 4; i++) {
        char name[16], text[3001];
        char letter = i < 3 ? order[i] : valid;
        snprintf(name, sizeof name, "part-%d.txt", i);
        keep_path(paths[i], name);
        for (int k = 0; k < 3000; k++) text[k] = (char)(k % 60 == 59 ? '\n' : letter + k * k % 7);
        OK(pha__write_file(paths[i], text, 3000));
        if (i < 3) inputs[i] = paths[i];
    }
    split[0] = paths[3];
    pha_prepare_options o = {.inputs = inputs, .n_inputs = 3, .valid = split, .n_valid = 1, .out = folder,
                             .tokenizer = "bytes", .test_fraction = -1};
    pha_prepare_result result;
    OK(pha_prepare(&o, &result));
}

/* Data of the same size with other content is refused; the same content in another folder is the same data. */
static void test_other_data(void **state)
{
    (void)state;
    char folder[300], other[300], run[300];
    keep_path(folder, "parts"), keep_path(other, "parts-2"), keep_path(run, "over-parts");
    prepare_parts(folder, "abc", 'd');
    pha_train_options o = options();
    pha_train_result result;
    o.data = folder, o.out = run, o.steps = 4, o.eval_every = 2, o.eval_tokens = 330;
    OK(train(&o, &result));
    o.resume = true, o.steps = 8, o.data = other;
    static const char *const orders[] = {"acb", "bac", "abd", "abc"};
    for (int i = 0; i < 4; i++) {
        prepare_parts(other, orders[i], i == 3 ? 'e' : 'd');
        FAILS(BAD_INPUT, i == 3 ? "valid_data = " : "train_data = ", train(&o, &result));
        assert_non_null(strstr(pha_errmsg(), "--other-data"));
        assert_non_null(strstr(pha_errmsg(), other));
    }
    prepare_parts(other, "abc", 'd');
    OK(train(&o, &result));
    tells_not("data = ");
    o.steps = 10, o.other_data = true;
    OK(train(&o, &result));
    tells_not("data = ");
    prepare_parts(other, "cba", 'd');
    o.steps = 12;
    OK(train(&o, &result));
    tells("train_data = ");
    tells("from here it is another run");
    o.steps = 14, o.other_data = false; /* which this data is now */
    OK(train(&o, &result));
    o.data = folder, o.steps = 16;
    FAILS(BAD_INPUT, "train_data", train(&o, &result));
}

/* Checkpoints of before: silence about the data and about options that came later, whose default the run had, but not
 * about the rules of the course. */
static void test_an_older_checkpoint(void **state)
{
    (void)state;
    pha_train_options o = options();
    pha_trainer *other = open_trainer(&o); /* with a later option */
    o.attn_dropout = -1;
    pha_trainer *t = open_trainer(&o);
    json_t *json;
    char path[400];
    OK(pha_trainer_save(t, in_root("older")));
    snprintf(path, sizeof path, "%s/trainer.json", in_root("older"));
    OK(pha__json_load(&json, path, 1 << 20));
    assert_int_equal(json_object_del(json, "checksum"), 0); /* nor did they have one of their own */
    json_t *identity = json_object_get(json, "identity"), *course = json_object_get(json, "course");
    assert_int_equal(json_object_del(identity, "train_data") | json_object_del(identity, "valid_data"), 0);
    assert_int_equal(json_object_del(course, "rules"), 0);
    assert_int_equal(json_object_del(identity, "attn_dropout") | json_object_del(identity, "optimizer"), 0);
    OK(pha__json_save(json, path));
    FAILS(BAD_INPUT, "another 'attn_dropout'", pha_trainer_load(other, in_root("older")));
    told[0] = 0;
    pha_set_log(listen, NULL);
    OK(pha_trainer_load(t, in_root("older")));
    pha_set_log(NULL, NULL);
    tells("rules = 1 and goes on with 2; from here it is another run");
    tells_not("data");
    json_t *as_it_was = json_object_get(identity, "config"); /* of a build with fewer keys */
    assert_int_equal(json_object_del(as_it_was, "gss_state") | json_object_del(as_it_was, "rope"), 0);
    OK(pha__json_save(json, path));
    OK(pha_trainer_load(t, in_root("older")));
    json_object_set_new(as_it_was, "gss_filter", json_string("none")); /* which key it is */
    OK(pha__json_save(json, path));
    FAILS(BAD_INPUT, "another 'gss_filter' (none, now silu)", pha_trainer_load(t, in_root("older")));
    json_object_set_new(as_it_was, "gss_filter", json_string("silu"));
    json_object_set_new(as_it_was, "later", json_integer(3)); /* of a build with more */
    OK(pha__json_save(json, path));
    FAILS(BAD_INPUT, "another '", pha_trainer_load(t, in_root("older")));
    json_object_del(as_it_was, "later");
    assert_int_equal(json_object_del(identity, "tokens"), 0); /* which they all have */
    OK(pha__json_save(json, path));
    FAILS(BAD_INPUT, "tokens", pha_trainer_load(t, in_root("older")));
    json_decref(json);
    pha_trainer_close(t), pha_trainer_close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_other_data),
        cmocka_unit_test(test_an_older_checkpoint),
    };
    return cmocka_run_group_tests(tests, set_up, root_teardown);
}
