/* test_lab_sweep.c -- many cells: they are known again, shown, left out where they cannot be; what cannot be is told */
#include "laboratory.h"

/* ---- sweeps ----------------------------------------------------------------------------------------------- */

static int trained; /* models, to the end */

static void count_models(void *user, const pha_progress *p)
{
    if (strcmp(p->unit, "steps") != 0 || p->done < p->total) return;
    trained++;
    if (user) pha_request_stop();
}

static pha_lab_options sweep(const char *const *models, const char *out)
{
    static const int32_t lengths[] = {8, 16}, pairs[] = {1, 2};
    pha_lab_options o = options("mqar", models, 1);
    o.lengths = lengths, o.n_lengths = 2, o.pairs = pairs, o.n_pairs = 2;
    o.vocab_size = 16, o.steps = 2, o.batch = 2, o.tests = 10;
    o.out = out, o.progress = count_models;
    return o;
}

static json_t *saved(const char *out)
{
    char path[420];
    json_t *file;
    snprintf(path, sizeof path, "%s/lab.json", out);
    OK(pha__json_load(&file, path, 1 << 20));
    json_t *cells = json_incref(json_object_get(file, "cells"));
    json_decref(file);
    return cells;
}

/* What lab.json has is not run again and stays; what another call asks for is added. */
static void known_again(void **state)
{
    (void)state;
    const char *models[] = {feed_forward()}, *out = in_root("sweep");
    pha_lab_options o = sweep(models, out);
    trained = 0;
    json_t *first = cells_of(&o);
    assert_true(json_array_size(first) == 4 && trained == 4);
    json_t *before = saved(out);
    trained = 0;
    json_t *second = cells_of(&o);
    assert_int_equal(trained, 0);
    assert_true(json_equal(first, second)); /* the seconds, too */
    o.steps = 3, o.n_lengths = 1;
    json_t *third = cells_of(&o);
    assert_int_equal(trained, 2);
    assert_int_equal(json_array_size(third), 2);
    json_t *file = saved(out);
    assert_int_equal(json_array_size(file), 6);
    for (size_t i = 0; i < 4; i++) assert_true(json_equal(json_array_get(file, i), json_array_get(before, i)));
    json_decref(file);
    json_decref(before);
    json_decref(first);
    json_decref(second);
    json_decref(third);
}

/* Also where an earlier build wrote them, whose configurations had fewer keys. */
static void known_from_before(void **state)
{
    (void)state;
    const char *models[] = {feed_forward()}, *out = in_root("before");
    char path[420];
    json_t *file, *cell;
    size_t i;
    pha_lab_options o = sweep(models, out);
    json_decref(cells_of(&o));
    snprintf(path, sizeof path, "%s/lab.json", out);
    OK(pha__json_load(&file, path, 1 << 20));
    json_array_foreach(json_object_get(file, "cells"), i, cell)
        assert_int_equal(json_object_del(json_object_get(json_object_get(cell, "setting"), "config"), "residual"), 0);
    OK(pha__json_save(file, path));
    json_decref(file);
    trained = 0;
    json_decref(cells_of(&o));
    assert_int_equal(trained, 0);
}

/* Whatever a result depends on makes another cell; what it does not depend on does not. */
static void settings(void **state)
{
    (void)state;
    const char *models[] = {feed_forward()}, *out = in_root("settings");
    const double rates[] = {2e-3};
    const char *set[] = {"embed_std=0.03"};
    pha_lab_options plain = sweep(models, out);
    plain.n_lengths = plain.n_pairs = 1;
    json_decref(cells_of(&plain));
    for (int k = 0; k < 10; k++) {
        pha_lab_options o = plain;
        if (k == 1) o.rates = rates, o.n_rates = 1;
        if (k == 2) o.batch = 3;
        if (k == 3) o.weight_decay = 0.2;
        if (k == 4) o.examples = 50;
        if (k == 5) o.tests = 11;
        if (k == 6) o.seed = 1;
        if (k == 7) o.vocab_size = 18;
        if (k == 8) o.layers = 1;
        if (k == 9) o.set = set, o.n_set = 1;
        if (k == 0) o.threads = 1;
        trained = 0;
        json_decref(cells_of(&o));
        assert_int_equal(trained > 0, k > 0);
    }
    json_t *file = saved(out);
    assert_int_equal(json_array_size(file), 10);
    json_decref(file);
}

/* The content of a configuration counts, not its name. */
static void content_counts(void **state)
{
    (void)state;
    const char *models[] = {write_config("one.json", ", \"d_aux\": 32, \"branches\": [\"aux\"]")};
    const char *others[] = {write_config("two.json", ", \"d_aux\": 32, \"branches\": [\"aux\"]")};
    const char *out = in_root("content");
    pha_lab_options o = sweep(models, out);
    json_decref(cells_of(&o));
    o.models = others, trained = 0;
    json_decref(cells_of(&o));
    assert_int_equal(trained, 0);
    write_config("two.json", ", \"d_aux\": 48, \"branches\": [\"aux\"]");
    json_decref(cells_of(&o));
    assert_int_equal(trained, 4);
}

/* A stop leaves the cells that are done, and the same call goes on behind them. */
static void stopped(void **state)
{
    (void)state;
    const char *models[] = {feed_forward()}, *out = in_root("stopped");
    pha_lab_options o = sweep(models, out);
    char *text;
    o.user = &trained; /* asks to stop at the end of the training of the first cell */
    FAILS(STOPPED, "asked to stop", pha_lab(&o, &text));
    pha_free(text);
    pha_clear_stop();
    o.user = NULL, o.n_lengths = o.n_pairs = 1;
    json_decref(cells_of(&o));
    o.n_lengths = 2, o.user = &trained, o.n_pairs = 2;
    FAILS(STOPPED, "asked to stop", pha_lab(&o, &text));
    assert_non_null(text);
    assert_non_null(strstr(text, "accuracy"));
    pha_free(text);
    pha_clear_stop();
    json_t *file = saved(out);
    assert_int_equal(json_array_size(file), 1);
    json_decref(file);
    o.user = NULL, trained = 0;
    json_decref(cells_of(&o));
    assert_int_equal(trained, 3);
}

static void write_results(const char *out, const char *text)
{
    char path[420];
    OK(pha__mkdirs(out));
    snprintf(path, sizeof path, "%s/lab.json", out);
    OK(pha__write_file(path, text, strlen(text)));
}

/* A file that the laboratory has not written is told of and stays as it is. */
static void damaged(void **state)
{
    (void)state;
    static const struct { const char *text, *why; } bad[] = {
        {"{\"cells\": [", "line 1"},
        {"[]", "no list of cells"},
        {"{\"cells\": 3}", "no list of cells"},
        {"{\"cells\": [3]}", "cell 1 has no setting"},
        {"{\"cells\": [{\"setting\": {}}]}", "no result"},
        {"{\"cells\": [{\"setting\": {}, \"result\": {}}]}", "accuracy of cell 1"},
        {"{\"cells\": [{\"setting\": {}, \"result\": {\"accuracy\": 1.5}}]}", "accuracy of cell 1"},
        {"{\"cells\": [{\"setting\": {}, \"result\": {\"accuracy\": 1, \"depths\": [{\"accuracy\": \"x\"}]}}]}",
         "accuracy of cell 1"},
    };
    const char *models[] = {feed_forward()}, *out = in_root("damaged");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *text, *left, path[420];
        size_t size;
        write_results(out, bad[i].text);
        pha_lab_options o = sweep(models, out);
        FAILS(BAD_INPUT, bad[i].why, pha_lab(&o, &text));
        snprintf(path, sizeof path, "%s/lab.json", out);
        OK(pha__read_file(&left, &size, path, 1 << 20));
        assert_string_equal(left, bad[i].text);
        pha__free(left);
    }
}

/* One process at a time. */
static void locked(void **state)
{
    (void)state;
    const char *models[] = {feed_forward()}, *out = in_root("locked");
    pha_lab_options o = sweep(models, out);
    char *text, path[420];
    pha__lock lock;
    OK(pha__mkdirs(out));
    snprintf(path, sizeof path, "%s/lock", out);
    OK(pha__lock_open(&lock, path));
    FAILS(USAGE, "another process", pha_lab(&o, &text));
    pha__lock_close(&lock);
}

/* The table has a line for each cell; the figure a place for each, with the best of the rates. */
static void shown(void **state)
{
    (void)state;
    const char *models[] = {feed_forward()};
    pha_lab_options o = sweep(models, NULL);
    o.rates = (double[]){1e-3, 1e-2}, o.n_rates = 2;
    pha__lab l = {0};
    OK(pha__lab_plan(&l, &o));
    assert_int_equal(l.n_cells, 8);
    for (size_t i = 0; i < 8; i++) {
        l.cells[i].result = pha__json_object();
        pha__json_set(&l.cells[i].result, "accuracy", pha__json_decimal(i < 7 ? (double)(i + 1) / 10 : NAN));
    }
    pha__str table = {0}, figure = {0};
    pha__lab_table(&table, &l);
    pha__lab_figure(&figure, &l);
    assert_non_null(strstr(table.data, "mqar, vocabulary 16, layers 2, 2 steps of 2, 10 tests, seed 0\n"));
    assert_non_null(strstr(table.data, "aux       32      16      1     0.001   50.00 %"));
    int lines = 0, places = 0;
    for (const char *s = table.data; *s; s++) lines += *s == '\n';
    for (const char *s = figure.data; (s = strstr(s, "fill-opacity")); s++) places++;
    assert_true(lines == 10 && places == 4);
    static const char *const has[] = {">20.0 %<", ">40.0 %<", ">60.0 %<", ">70.0 %<", ">aux, D 32<", ">T 16, n 2<"};
    static const char *const has_not[] = {">10.0 %<", ">30.0 %<", ">50.0 %<", "nan"};
    for (int i = 0; i < 6; i++) assert_non_null(strstr(figure.data, has[i]));
    for (int i = 0; i < 4; i++) assert_null(strstr(figure.data, has_not[i]));
    pha__str_free(&table);
    pha__str_free(&figure);
    pha__lab_unplan(&l);
}

/* ---- what cannot be --------------------------------------------------------------------------------------- */

static char notes[2000];

static void note(void *context, int level, const char *message)
{
    (void)context, (void)level;
    snprintf(notes + strlen(notes), sizeof notes - strlen(notes), "%s\n", message);
}

/* Of a sweep it is left out, with a note; alone it is an error. */
static void left_out(void **state)
{
    (void)state;
    const char *models[] = {feed_forward()};
    pha_lab_options o = sweep(models, NULL);
    o.pairs = (int32_t[]){2, 3};
    pha_set_log(note, NULL);
    json_t *cells = cells_of(&o);
    pha_set_log(NULL, NULL);
    assert_int_equal(json_array_size(cells), 3);
    assert_non_null(strstr(notes, "1 of 4 combinations cannot be and are left out: mqar: 3 pairs need a length"));
    json_decref(cells);
}

static void refused(pha_lab_options o, pha_status status, const char *why)
{
    char *text;
    pha_status got = pha_lab(&o, &text);
    if (got != status || !strstr(pha_errmsg(), why)) fail_msg("status %d: %s; wanted %s", got, pha_errmsg(), why);
    assert_null(text);
}

static void impossible(void **state)
{
    (void)state;
    const char *models[] = {attention()}, *none[] = {"nowhere/x.json"};
    pha_lab_options plain = options("mqar", models, 1), o = plain;
    o.task = "recal", refused(o, PHA_USAGE, "there is no task 'recal'");
    o.task = "selectiv", refused(o, PHA_USAGE, "did you mean selective?");
    o.task = NULL, refused(o, PHA_USAGE, "no task was named");
    o = plain, o.n_models = 0, refused(o, PHA_USAGE, "needs a model");
    o = plain, o.models = none, refused(o, PHA_IO, "nowhere/x.json");
    o = plain, o.models = none, o.test_only = true, refused(o, PHA_IO, "nowhere/x.json");
    o = plain, o.lengths = (int32_t[]){63}, o.n_lengths = 1, refused(o, PHA_USAGE, "63 is odd");
    o = plain, o.vocab_size = 9, refused(o, PHA_USAGE, "at least 10 tokens");
    o = plain, o.widths = (int32_t[]){33}, o.n_widths = 1, refused(o, PHA_BAD_INPUT, "2 layers of width 33");
    o = plain, o.n_widths = 1, refused(o, PHA_USAGE, "widths is NULL");
    o = plain, o.rates = (double[]){NAN}, o.n_rates = 1, refused(o, PHA_USAGE, "learning rate");
    o = plain, o.depths = (int32_t[]){5}, o.n_depths = 1, refused(o, PHA_USAGE, "has no depth");
    o = plain, o.steps = -1, refused(o, PHA_USAGE, "steps = -1");
    o = plain, o.layers = 257, refused(o, PHA_USAGE, "layers = 257");
    o = plain, o.test_only = true, o.steps = 5, refused(o, PHA_USAGE, "only tested");
    o = plain, o.set = (const char *[]){"n_head"}, o.n_set = 1, refused(o, PHA_USAGE, "key=value");
    o = plain, o.set = (const char *[]){"n_heat=1"}, o.n_set = 1, refused(o, PHA_BAD_INPUT, "did you mean n_head?");
    const char *gpt2[] = {write_config("gpt2.json", "\"arch\": \"gpt2\", \"d_model\": 32, \"n_layer\": 4, "
                                                    "\"n_head\": 2, \"d_ffn\": 32, \"n_positions\": 32")};
    o = plain, o.models = gpt2, refused(o, PHA_USAGE, "at most 32 tokens, not of 64; set n_positions=64");
    o.set = (const char *[]){"n_positions=64"}, o.n_set = 1, o.steps = o.batch = 1, o.tests = 1, o.vocab_size = 64;
    json_decref(cells_of(&o));
}

static pha_status attempt(void *context)
{
    char *text;
    pha_status status = pha_lab(context, &text);
    pha_free(text);
    return status;
}

/* Every allocation may fail. */
static void no_memory(void **state)
{
    (void)state;
    const char *models[] = {feed_forward()};
    pha_lab_options o = sweep(models, in_root("memory"));
    o.steps = o.batch = 1, o.tests = 2, o.n_lengths = o.n_pairs = 1, o.progress = NULL;
    fail_allocations(attempt, &o, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_again),
        cmocka_unit_test(known_from_before), cmocka_unit_test(settings), cmocka_unit_test(content_counts),
        cmocka_unit_test(stopped),
        cmocka_unit_test(damaged),     cmocka_unit_test(locked),         cmocka_unit_test(shown),
        cmocka_unit_test(left_out),    cmocka_unit_test(impossible),     cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, root_setup, root_teardown);
}
