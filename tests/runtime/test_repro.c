/* test_repro.c -- experiments: their results are those of the single calls, whatever happens between */
#include "experiments.h"

enum { RUNS = 2 * 2 + 2 * 2 + 1 };

static json_t *results_of(const char *out)
{
    char path[400];
    json_t *json;
    snprintf(path, sizeof path, "%s/results.json", out);
    OK(pha__json_load(&json, path, 1 << 20));
    json_t *runs = json_incref(json_object_get(json, "runs"));
    json_decref(json);
    return runs;
}

static double number(const json_t *runs, const char *run, const char *key)
{
    return pha__result_number(json_object_get(runs, run), key);
}

static char *page(const char *out, const char *name)
{
    char path[400], *text;
    size_t size;
    snprintf(path, sizeof path, "%s/%s", out, name);
    OK(pha__read_file(&text, &size, path, 1 << 24));
    return text;
}

static void run(const pha_repro_options *o, pha_repro_result *result)
{
    char *text;
    OK(pha_repro(o, &text, result));
    assert_non_null(strstr(text, "# A <small> one"));
    pha_free(text);
}

/* ---- what comes of it ------------------------------------------------------------------------------------- */

/* A run of the experiment by the single calls. */
static double by_hand(double lr, uint64_t seed)
{
    char data_folder[400], at[300], model[400], config_file[400];
    pha_eval_result scored;
    snprintf(data_folder, sizeof data_folder, "%s/data", in_root("whole"));
    snprintf(at, sizeof at, "%s", in_root("by-hand"));
    snprintf(model, sizeof model, "%s/model", at);
    snprintf(config_file, sizeof config_file, "%s", in_root("by-hand.json"));
    OK(pha__write_file(config_file, ATTN, strlen(ATTN)));
    pha_train_options o = {.config = config_file, .data = data_folder, .out = at, .context = 16, .batch = 2,
                           .dropout = 0.1, .clip = -1, .eval_every = 4, .keep_best = -1, .average_best = -1, .steps = 8,
                           .warmup = 4, .lr = lr, .seed = seed, .threads = 1};
    OK(pha_train(&o, NULL));
    OK(pha_eval(&(pha_eval_options){.model = model, .data = data_folder, .context = 16, .threads = 1}, &scored));
    return scored.token_ppl;
}

static void test_a_whole_one(void **state)
{
    (void)state;
    pha_repro_options o = repro(WHOLE, "whole");
    pha_repro_result result;
    run(&o, &result);
    assert_true(result.runs == RUNS && result.done == RUNS && result.flops == 0 && result.seconds_left == 0);
    json_t *runs = results_of(folder);
    assert_int_equal(json_object_size(runs), RUNS);
    double a = number(runs, "attn-0.000128M-0.001-1", "token_ppl");
    bool slow = a < number(runs, "attn-0.000128M-0.01-1", "token_ppl");
    const char *second = slow ? "attn-0.000256M-0.001-2" : "attn-0.000256M-0.01-2"; /* the better rate was taken */
    double ppl = number(runs, second, "token_ppl");
    char best[400];
    snprintf(best, sizeof best, "%s/runs/%s/best", folder, second); /* keep_best 0 */
    assert_false(pha__exists(best));
    assert_true(ppl == by_hand(slow ? 0.001 : 0.01, 2));
    assert_true(number(runs, second, "scored_tokens") > 64 && number(runs, second, "steps") == 8);
    assert_true(number(runs, "attn-0.000128M-0.01-1", "scored_tokens") == 64);

    char *table = page(folder, "table.md"), *csv = page(folder, "table.csv"), *html = page(folder, "index.html");
    assert_non_null(strstr(table, "| theirs | 20.5 | - | zero-shot | Table 2 |"));
    assert_non_null(strstr(table, "## 256 tokens"));
    assert_non_null(strstr(table, "±"));
    int lines = 0;
    for (const char *at = csv; (at = strchr(at, '\n')); at++) lines++;
    assert_int_equal(lines, 1 + RUNS);
    assert_non_null(strstr(html, "<title>A &lt;small&gt; one</title>"));
    assert_null(strstr(html, "<small>"));
    assert_non_null(strstr(html, "<svg"));
    assert_null(strstr(html, "http://e"));
    pha__free(table), pha__free(csv), pha__free(html);
    json_decref(runs);
}

/* Mean and interval of the seeds: for two, t = 12.706 and half their distance. */
static void test_intervals(void **state)
{
    (void)state;
    json_t *a = json_pack("{s:f}", "x", 3.0), *b = json_pack("{s:f}", "x", 5.0);
    pha__trial one = {.result = a}, two = {.result = b};
    pha__group g = {.runs = {&one, &two}, .n = 2};
    double mean, half;
    pha__group_mean(&g, "x", &mean, &half);
    assert_true(mean == 4 && fabs(half - 12.706) < 1e-9);
    g.n = 1;
    pha__group_mean(&g, "x", &mean, &half);
    assert_true(mean == 3 && isnan(half));
    json_decref(a), json_decref(b);
}

static int steps_made;

/* Stops each training once, after its third step. */
static void stop_once(void *user, const pha_progress *p)
{
    if (strcmp(p->unit, "steps")) return;
    steps_made++;
    if (user && p->done == 3) pha_request_stop();
}

/* Nothing is run twice; stopped at any place it ends with the numbers of an undisturbed one. */
static void test_stops(void **state)
{
    (void)state;
    pha_repro_options o = repro(WHOLE, "stopped");
    char whole[300], *text;
    pha_repro_result result;
    snprintf(whole, sizeof whole, "%s", in_root("whole"));
    o.minutes = 1e-12;
    assert_int_equal(pha_repro(&o, &text, &result), PHA_STOPPED);
    assert_non_null(strstr(pha_errmsg(), "0 of 9"));
    assert_non_null(text);
    pha_free(text);
    assert_true(result.done == 0 && result.flops > 0 && result.seconds_left > 0);
    o.minutes = 0, o.progress = stop_once, o.user = &o;
    int calls = 0;
    for (pha_status status = PHA_STOPPED; status == PHA_STOPPED; calls++) {
        status = pha_repro(&o, &text, &result);
        pha_free(text);
        pha_clear_stop();
        assert_true(status == PHA_OK || status == PHA_STOPPED);
        assert_true(calls <= RUNS);
    }
    assert_int_equal(calls, RUNS + 1);
    json_t *a = results_of(whole), *b = results_of(folder), *value;
    const char *key;
    json_object_foreach(a, key, value) assert_true(number(a, key, "nll") == number(b, key, "nll"));
    assert_int_equal(json_object_size(a), json_object_size(b));
    json_decref(a), json_decref(b);
    steps_made = 0, o.user = NULL;
    run(&o, &result);
    assert_int_equal(steps_made, 0);
}

/* A run's time is that of its steps, however many calls made them, and also where its result got lost. */
static void test_times(void **state)
{
    (void)state;
    pha_repro_options o = repro(WHOLE, "stopped"); /* of the test before: each run was made by several calls */
    pha_repro_result result;
    char path[400];
    const char *key;
    json_t *value;
    snprintf(path, sizeof path, "%s/results.json", folder);
    json_t *before = results_of(folder);
    assert_int_equal(unlink(path), 0);
    run(&o, &result);
    json_t *after = results_of(folder);
    assert_int_equal(json_object_size(before), RUNS);
    json_object_foreach(before, key, value)
    {
        double seconds = number(before, key, "seconds"), tokens = 32 * number(before, key, "steps");
        assert_true(seconds > 0 && number(after, key, "seconds") == seconds);
        assert_true(fabs(number(before, key, "tokens_per_second") * seconds / tokens - 1) < 1e-9);
    }
    json_decref(before), json_decref(after);
}

static void test_a_plan(void **state)
{
    (void)state;
    pha_repro_options o = repro(WHOLE, "plan");
    const char *only[] = {"attn"};
    pha_repro_result all, some;
    char *text;
    o.dry_run = true;
    OK(pha_repro(&o, &text, &all));
    assert_non_null(strstr(text, "9 runs, 0 with a result; steps of 32 tokens, context 16"));
    pha_free(text);
    assert_false(pha__exists(folder));
    o.only = only, o.n_only = 1;
    OK(pha_repro(&o, &text, &some));
    assert_null(strstr(text, "pha "));
    pha_free(text);
    assert_int_equal(some.runs, 5);
    pha__cost forward, training;
    pha__config c;
    pha__config_rules rules = pha__rules();
    json_t *json;
    OK(pha__json_parse(&json, ATTN, strlen(ATTN), "attn"));
    OK(pha__config_parse(&c, json, "attn", &rules));
    json_decref(json);
    c.vocab_size = 257;
    OK(pha__cost_per_token(&c, 16, &forward, &training));
    assert_true(fabs(some.flops / (pha__cost_total(&training) * (2 * 128 + 2 * 256 + 320)) - 1) < 1e-12);
    only[0] = "attm";
    FAILS(USAGE, "no model 'attm' but pha, attn", pha_repro(&o, &text, NULL));
}

/* Speed and memory of models alone, at two contexts; nothing is trained. */
static void test_efficiency(void **state)
{
    (void)state;
    static const char text[] = "{\"title\": \"A <small> one\", \"data\": {\"vocab_size\": 257}, " MODELS
                               ", \"efficiency\": {\"contexts\": [16, 32], \"what\": \"prefill\", \"repeats\": 1}}";
    pha_repro_options o = repro(text, "speed");
    pha_repro_result result;
    run(&o, &result);
    assert_true(result.runs == 4 && result.done == 4 && result.seconds_left == 0);
    char *table = page(folder, "table.md");
    assert_non_null(strstr(table, "## Speed and memory: prefill"));
    assert_non_null(strstr(table, "| 32 | attn |"));
    assert_non_null(strstr(table, "| 1.000 | 1.000 |")); /* the first one */
    assert_null(strstr(table, "decode"));
    pha__free(table);
    table = page(folder, "speed.csv");
    assert_non_null(strstr(table, "\nattn,32,prefill,"));
    assert_non_null(strstr(table, ",weights_bytes,"));
    pha__free(table);
    json_t *runs = results_of(folder);
    const json_t *measured = json_object_get(json_object_get(runs, "attn@16"), "measured");
    assert_int_equal(json_array_size(json_object_get(measured, "results")), 1);
    json_decref(runs);
    steps_made = 0;
    char *again;
    OK(pha_repro(&o, &again, &result));
    pha_free(again);
    FAILS(BAD_INPUT, "contexts is no list", (o = repro("{\"data\": {\"vocab_size\": 257}, " MODELS
                                                      ", \"efficiency\": {}}", "speed-2"),
                                             pha_repro(&o, &again, NULL)));
}

/* The rate is the best of those that can be used; where none can, it is said. */
static void test_rates_that_diverge(void **state)
{
    (void)state;
    pha__repro *r = pha__alloc_zero(1, sizeof *r);
    r->o = repro(WHOLE, "diverged");
    OK(pha__experiment_open(&r->e, &r->o));
    r->results = json_pack("{s:{s:b}, s:{s:f}, s:{s:b}}", "pha-0.000128M-0.001-1", "diverged", 1,
                           "pha-0.000128M-0.01-1", "token_ppl", 90.0, "attn-0.000128M-0.001-1", "diverged", 1);
    OK(pha__plan_runs(r));
    for (size_t i = 4; i < r->n_runs; i++) /* behind the searches */
        assert_true(r->runs[i].lr == (strcmp(r->runs[i].system->name, "pha") ? 0 : 0.01));
    json_object_set_new(r->results, "attn-0.000128M-0.01-1", json_pack("{s:b}", "diverged", 1));
    pha__plan_update(r);
    for (size_t i = 4; i < r->n_runs; i++) assert_true(!strcmp(r->runs[i].system->name, "pha") == (r->runs[i].lr != 0));
    json_decref(r->results);
    pha__free(r->runs);
    pha__experiment_close(&r->e);
    pha__free(r);
}

/* Training that diverges with one rate and with all: each step multiplies the weights by 1 - 10 lr. */
static void test_divergence(void **state)
{
    (void)state;
    static const char form[] =
        "{\"data\": {\"train\": \"text.txt\", \"valid\": \"valid.txt\", \"tokenizer\": \"bytes\", "
        "\"vocab_size\": 257}, "
        "\"title\": \"A <small> one\", \"options\": {\"context\": 16, \"batch\": 2, \"clip\": 0, "
        "\"weight_decay\": 10, \"schedule\": \"constant\"}, \"rates\": {\"lr\": [%s], \"tokens\": 1600}, "
        "\"stages\": [{\"tokens\": 64, \"seeds\": [1]}], \"models\": {\"attn\": " ATTN "}}";
    char text[2000], *out;
    snprintf(text, sizeof text, form, "0.001, 10");
    pha_repro_options o = repro(text, "diverges");
    run(&o, NULL);
    json_t *runs = results_of(folder);
    const json_t *wild = json_object_get(runs, "attn-0.0016M-10-1");
    assert_true(json_is_true(json_object_get(wild, "diverged")) && isnan(pha__result_number(wild, "token_ppl")));
    assert_non_null(json_object_get(runs, "attn-6.4e-05M-0.001-1"));
    json_decref(runs);
    snprintf(text, sizeof text, form, "9, 10");
    o = repro(text, "diverges-too");
    FAILS(NUMERIC, "diverged with every rate", pha_repro(&o, &out, NULL));
}

/* Results are of the data that they were made with. */
static void test_other_data(void **state)
{
    (void)state;
    char moved[400], *out;
    pha_repro_options o = repro(WHOLE, "other-data");
    o.only = (const char *[]){"attn"}, o.n_only = 1;
    run(&o, NULL);
    snprintf(moved, sizeof moved, "%s/data", folder);
    OK(pha__remove_tree(moved));
    run(&o, NULL); /* the same text again */
    OK(pha__remove_tree(moved));
    write_text(in_root("text.txt"), 201);
    FAILS(USAGE, "not the data that the results", pha_repro(&o, &out, NULL));
    write_text(in_root("text.txt"), 200);
    OK(pha__remove_tree(moved));
    run(&o, NULL);
}

/* Options of one model over those of all: they count, and belong to its results. */
static void test_own_options(void **state)
{
    (void)state;
    static const char *const only[] = {"attn"};
    char whole[300], *out;
    snprintf(whole, sizeof whole, "%s", in_root("whole"));
    pha_repro_options o = repro("{" PLAIN ", " RATES ", " STAGES ", " MODELS
                                ", \"options_of\": {\"attn\": {\"optimizer\": \"muon\"}}}", "own");
    o.only = only, o.n_only = 1;
    run(&o, NULL);
    json_t *a = results_of(whole), *b = results_of(folder);
    const char *key = "attn-0.000128M-0.001-1";
    assert_true(number(b, key, "nll") > 0 && number(a, key, "nll") != number(b, key, "nll"));
    json_decref(a), json_decref(b);
    o = repro(WHOLE, "own");
    FAILS(USAGE, "other options of its model", pha_repro(&o, &out, NULL));
    refuses("{" PLAIN ", " MODELS ", \"options_of\": {\"attn\": {\"batch\": 3}}}", "those of all models");
    refuses("{" PLAIN ", " MODELS ", \"options_of\": {\"atn\": {}}}", "options_of names 'atn'");
}

/* Families of three sizes and budgets: points are gathered, fitted, asked of a size that was not trained. */
static void test_scaling(void **state)
{
    (void)state;
    char text[4000], models[1500] = "";
    for (int i = 0; i < 3; i++)
        snprintf(models + strlen(models), sizeof models - strlen(models),
                 "%s\"a%d\": {\"arch\": \"pha\", \"n_layer\": 1, \"n_head\": 2, \"n_kv_head\": 1, \"d_model\": %d, "
                 "\"d_ffn\": %d, \"branches\": [\"attn\"]}", i ? ", " : "", i, 8 << i, 16 << i);
    snprintf(text, sizeof text,
             "{%s, \"rates\": {\"lr\": [0.01]}, \"models\": {%s}, \"stages\": [{\"tokens\": 64, \"seeds\": [1]}, "
             "{\"tokens\": 320, \"seeds\": [1, 2]}, {\"tokens\": 640, \"seeds\": [1]}], \"scaling\": {\"families\": "
             "{\"A\": [\"a0\", \"a1\", \"a2\"]}, \"parameters\": 1000000, \"tokens\": 5000}}", PLAIN, models);
    pha_repro_options o = repro(text, "scaling");
    run(&o, NULL);
    char *table = page(folder, "table.md"), *html = page(folder, "index.html");
    assert_non_null(strstr(table, "1,000,000 parameters and 5,000 tokens"));
    assert_non_null(strstr(table, "| A | 9 | "));
    assert_non_null(strstr(html, "Loss over the work of training"));
    pha__free(table), pha__free(html);
    memcpy(strstr(text, "[\"a0\""), "[\"a9\"", 5);
    refuses(text, "family A names 'a9'");
}

static void test_another_one(void **state)
{
    (void)state;
    char *out, path[400];
    pha_repro_options o = repro("{" PLAIN ", \"split\": \"valid\", " RATES ", " STAGES ", " MODELS "}", "whole");
    FAILS(USAGE, "another experiment", pha_repro(&o, &out, NULL));
    o = repro("{" PLAIN ", " RATES ", " STAGES ", \"models\": {\"attn\": " PHA_MODEL
              "\"d_ffn\": 65, \"branches\": [\"attn\"]}}}", "whole");
    FAILS(USAGE, "another 'd_ffn'", pha_repro(&o, &out, NULL));
    pha__lock lock;
    o = repro(WHOLE, "whole");
    snprintf(path, sizeof path, "%s/lock", folder);
    OK(pha__lock_open(&lock, path));
    FAILS(USAGE, "another process", pha_repro(&o, &out, NULL));
    pha__lock_close(&lock);
    snprintf(path, sizeof path, "%s/results.json", folder);
    json_t *json;
    OK(pha__json_load(&json, path, 1 << 20));
    json_object_set_new(json_object_get(json_object_get(json, "runs"), "attn-0.000128M-0.001-1"), "token_ppl",
                        json_real(1));
    OK(pha__json_save(json, path));
    json_decref(json);
    FAILS(BAD_INPUT, "checksum", pha_repro(&o, &out, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_whole_one),
        cmocka_unit_test(test_intervals),
        cmocka_unit_test(test_stops),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_a_plan),
        cmocka_unit_test(test_efficiency),
        cmocka_unit_test(test_rates_that_diverge),
        cmocka_unit_test(test_divergence),
        cmocka_unit_test(test_other_data),
        cmocka_unit_test(test_own_options),
        cmocka_unit_test(test_scaling),
        cmocka_unit_test(test_another_one),
    };
    return cmocka_run_group_tests(tests, set_up_texts, root_teardown);
}
