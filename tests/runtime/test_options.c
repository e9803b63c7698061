/* test_options.c -- every row of the table of training options: its range, run.json, resuming with another value */
/* long file: what each field of a row means, with one setting */
#include <string.h>

#include "backend/backend.h"
#include "runtime/train/options.h"
#include "runtime/train/train.h"
#include "training.h"

#define EACH(row) (const pha__option *row = pha__train_options; row < pha__train_options + pha__n_train_options; row++)

/* ---- values ---------------------------------------------------------------------------------------------- */

static void *field(pha_train_options *o, const pha__option *row) { return (char *)o + row->offset; }

static void set(pha_train_options *o, const pha__option *row, double value)
{
    if (row->kind == PHA__OPTION_REAL) *(double *)field(o, row) = value;
    else if (row->size == 4) *(int32_t *)field(o, row) = (int32_t)value;
    else *(int64_t *)field(o, row) = (int64_t)value;
}

static double number(const pha_train_options *o, const pha__option *row)
{
    const void *at = (const char *)o + row->offset;
    if (row->kind == PHA__OPTION_REAL) return *(const double *)at;
    if (row->kind == PHA__OPTION_FLAG) return *(const bool *)at;
    return row->size == 4 ? *(const int32_t *)at : (double)*(const int64_t *)at;
}

static bool is(const pha__option *row, const char *field_name) { return !strcmp(row->field, field_name); }

static char other_config[300], other_data[300], model[300];

/* Another path to the same thing; weights to start from in place of a configuration. */
static void change_path(pha_train_options *o, const pha__option *row)
{
    const char **at = field(o, row);
    if (is(row, "config")) *at = other_config;
    else if (is(row, "data")) *at = other_data;
    else if (is(row, "init_from")) *at = model, o->config = NULL;
    else *at = "elsewhere";
}

/* Another value that is allowed. */
static void change(pha_train_options *o, const pha__option *row)
{
    double x = row->kind == PHA__OPTION_PATH ? 0 : number(o, row), next = row->kind == PHA__OPTION_REAL ? x / 2 : 2 * x;
    switch (row->kind) {
    case PHA__OPTION_PATH: change_path(o, row); break;
    case PHA__OPTION_FLAG: *(bool *)field(o, row) = !x; break;
    case PHA__OPTION_NATURAL: ++*(uint64_t *)field(o, row); break;
    case PHA__OPTION_ENUM: set(o, row, x + 1 < row->base + 2 ? x + 1 : row->base + (x == row->base)); break;
    case PHA__OPTION_INT:
    case PHA__OPTION_REAL: set(o, row, x != 0 ? next : is(row, "attn_dropout") ? 0.1 : 2); break;
    }
}

/* Options with every default in its place and every cadence given. */
static pha_train_options resolved(void)
{
    static pha__arena memory;
    pha_train_options o = options();
    o.eval_every = 5, o.checkpoint_every = 5, o.attn_dropout = 0; /* it does not go with carry */
    OK(pha__options_open(&o, &memory));
    pha__arena_free(&memory);
    o.config = config, o.data = data;
    return o;
}

/* ---- the table ------------------------------------------------------------------------------------------- */

static const struct {
    const char *field, *name, *text;
    double value;
} lines[] = {
#define OPTION(...) LINE(__VA_ARGS__)
#define LINE(field_, name_, kind_, text_, value_, ...) {#field_, name_, text_, value_},
#include "pha_train.def"
};

static int64_t choice_of(const pha__option *row, const char *text)
{
    const char *at = strstr(row->choices, text);
    int64_t n = row->base;
    assert_non_null(at);
    for (const char *s = row->choices; s < at; s++) n += *s == '|';
    return n;
}

/* Rows in the order of the struct, without a hole that a member could stand in; names, texts and values agree. */
static void test_table(void **state)
{
    (void)state;
    size_t end = 0;
    assert_int_equal(sizeof lines / sizeof *lines, pha__n_train_options);
    for (size_t i = 0; i < pha__n_train_options; i++) {
        const pha__option *row = &pha__train_options[i];
        size_t align = row->size;
        if (row->offset != (end + align - 1) / align * align) fail_msg("%s does not follow the row before", row->field);
        end = row->offset + row->size;
        assert_int_equal(strlen(lines[i].name), strlen(row->key));
        for (size_t k = 0; row->key[k]; k++) assert_int_equal(lines[i].name[k], row->key[k] == '_' ? '-' : row->key[k]);
        if (strcmp(row->key, row->field) && !row->invert) fail_msg("%s is called %s", row->field, row->key);
        if (!lines[i].text) continue;
        double value = row->kind == PHA__OPTION_ENUM ? (double)choice_of(row, lines[i].text) : atof(lines[i].text);
        if (value != lines[i].value) fail_msg("%s is %g by default, not %s", row->field, lines[i].value, lines[i].text);
        if (is(row, "keep_best")) assert_true(row->high == PHA__MAX_BEST);
    }
    assert_int_equal(end, offsetof(pha_train_options, command));
}

static void test_defaults(void **state)
{
    (void)state;
    pha__arena memory = {0};
    pha_train_options o = {.config = config, .data = data};
    OK(pha__options_open(&o, &memory));
    for (size_t i = 0; i < pha__n_train_options; i++) {
        const pha__option *row = &pha__train_options[i];
        if (row->kind != PHA__OPTION_PATH && number(&o, row) != lines[i].value)
            fail_msg("%s is %g by default", row->field, number(&o, row));
    }
    assert_ptr_not_equal(o.config, config);
    assert_string_equal(o.config, config);
    pha__arena_free(&memory);
}

/* ---- ranges ---------------------------------------------------------------------------------------------- */

static void opens(const pha__option *row, double value, bool allowed)
{
    pha__arena memory = {0};
    pha_train_options o = {.config = config, .data = data};
    set(&o, row, value);
    if (is(row, "micro_batch") && allowed) o.batch = o.micro_batch;
    pha_status status = pha__options_open(&o, &memory);
    pha__arena_free(&memory);
    if ((status == PHA_OK) != allowed) fail_msg("%s = %g: status %d", row->field, value, status);
    if (allowed && number(&o, row) != (value < 0 ? 0 : value)) fail_msg("%s = %g: off?", row->field, value);
    if (allowed) return;
    assert_int_equal(status, PHA_USAGE);
    if (strncmp(pha_errmsg(), row->field, strlen(row->field)) || !strstr(pha_errmsg(), "out of range"))
        fail_msg("%s: %s", row->field, pha_errmsg());
}

static void test_ranges(void **state)
{
    (void)state;
    for EACH(row) {
        if (row->kind != PHA__OPTION_INT && row->kind != PHA__OPTION_REAL) continue;
        bool real = row->kind == PHA__OPTION_REAL, off = row->zero_off || (row->low == 0 && !row->above);
        opens(row, -1, off);
        if (row->low > 0) opens(row, row->low, true);
        opens(row, row->high, !row->below);
        opens(row, real ? nextafter(row->high, INFINITY) : row->high + 1, false);
        if (real && row->below) opens(row, nextafter(row->high, 0), true);
        if (real) opens(row, NAN, false);
    }
}

static void test_choices(void **state)
{
    (void)state;
    for EACH(row) {
        if (row->kind != PHA__OPTION_ENUM) continue;
        int n = 1;
        for (const char *s = row->choices; *s; s++) n += *s == '|';
        for (int value = 0; value <= row->base + n; value++) {
            pha__arena memory = {0};
            pha_train_options o = {.config = config, .data = data};
            set(&o, row, value);
            pha_status status = pha__options_open(&o, &memory);
            pha__arena_free(&memory);
            assert_int_equal(status, value < row->base + n ? PHA_OK : PHA_USAGE);
        }
    }
}

/* ---- run.json -------------------------------------------------------------------------------------------- */

static double json_number(const pha__option *row, const json_t *value)
{
    if (json_is_boolean(value)) return json_is_true(value) != row->invert;
    if (json_is_string(value)) return (double)choice_of(row, json_string_value(value));
    return json_number_value(value);
}

static void test_run_json(void **state)
{
    (void)state;
    for EACH(row) {
        json_t *json;
        pha_train_options o = resolved();
        change(&o, row);
        if (!o.out) o.out = root;
        else OK(pha__mkdirs(o.out = in_root("elsewhere")));
        pha_trainer *t = open_trainer(&o);
        OK(pha__run_json_write(t));
        OK(pha__json_load(&json, in_root(o.out == root ? "run.json" : "elsewhere/run.json"), 1 << 20));
        const json_t *value = json_object_get(json_object_get(json, "options"), row->key);
        if (!value != (row->role == PHA__CALL)) fail_msg("%s is %s run.json", row->key, value ? "in" : "not in");
        if (value && row->kind == PHA__OPTION_PATH)
            assert_string_equal(json_string_value(value), *(const char **)field(&o, row));
        else if (value && json_number(row, value) != number(&t->o, row))
            fail_msg("%s is %g in run.json", row->key, json_number(row, value));
        json_decref(json);
        pha_trainer_close(t);
    }
}

/* ---- resuming -------------------------------------------------------------------------------------------- */

static struct {
    int n, level;
    char text[1000];
} told;

static void listen(void *context, int level, const char *message)
{
    (void)context;
    told.n++, told.level = level;
    snprintf(told.text, sizeof told.text, "%s", message);
}

/* Loads root/checkpoint, and listens to what is said. */
static pha_status load(pha_trainer *t)
{
    told.n = 0, told.text[0] = 0;
    pha_set_log(listen, NULL);
    pha_status status = pha_trainer_load(t, in_root("checkpoint"));
    pha_set_log(NULL, NULL);
    return status;
}

static bool same_bits(const pha_trainer *a, const pha_trainer *b)
{
    static const pha__role roles[] = {PHA__WEIGHT, PHA__MOMENT_1, PHA__MOMENT_2};
    bool same = true;
    for (int r = 0; r < 3; r++) {
        size_t n, m;
        float *x = numbers(a, roles[r], &n), *y = numbers(b, roles[r], &m);
        same = same && n == m && !memcmp(x, y, n * sizeof *x);
        free(x);
        free(y);
    }
    return same;
}

/* Saves after 3 steps; makes 3 more. */
static pha_trainer *saved_run(void)
{
    pha_train_options o = resolved();
    pha_trainer *t = open_trainer(&o);
    steps(t, 3);
    OK(pha_trainer_save(t, in_root("checkpoint")));
    OK(pha_trainer_save_model(t, model));
    steps(t, 3);
    return t;
}

static void check_told(const pha__option *row)
{
    char name[64];
    snprintf(name, sizeof name, " %s = ", row->key);
    bool identity = row->role == PHA__IDENTITY, course = row->role == PHA__COURSE;
    if (told.n != (identity || course)) fail_msg("%s: %d messages, the last is: %s", row->key, told.n, told.text);
    if (!told.n) return;
    if (!strstr(told.text, name)) fail_msg("%s: what was told is: %s", row->key, told.text);
    assert_int_equal(told.level, identity ? PHA__LOG_WARN : PHA__LOG_NOTE);
    assert_true(!strstr(told.text, "another run") == course);
}

static void test_resume_with_another_value(void **state)
{
    (void)state;
    pha_trainer *as_it_was = saved_run();
    for EACH(row) {
        pha_train_options o = resolved();
        change(&o, row);
        pha_trainer *t = open_trainer(&o);
        pha_status status = load(t);
        if (row->role == PHA__FIXED) {
            if (status != PHA_BAD_INPUT || !strstr(pha_errmsg(), row->key))
                fail_msg("%s: %d, %s", row->key, status, pha_errmsg());
        } else {
            OK(status);
            check_told(row);
            steps(t, 3);
            bool free = row->role == PHA__FREE || row->role == PHA__BY_DEVICE || row->role == PHA__CALL;
            if (free && !same_bits(t, as_it_was))
                fail_msg("%s: other bits", row->key);
        }
        pha_trainer_close(t);
    }
    pha_trainer_close(as_it_was);
}

static void test_what_is_told(void **state)
{
    (void)state;
    pha_trainer_close(saved_run());
    static const struct {
        const char *field, *text;
    } said[] = {{"lr", "lr = 0.003 and goes on with 0.0015; from here it is another run"},
                {"schedule", "schedule = cosine and goes on with constant; from here it is another run"},
                {"no_fuse", "fuse = true and goes on with false; from here it is another run"},
                {"decay_all", "decay_all = false and goes on with true; from here it is another run"},
                {"steps", "steps = 20 and goes on with 40"}};
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        for EACH(row) {
            if (!is(row, said[i].field)) continue;
            pha_train_options o = resolved();
            change(&o, row);
            pha_trainer *t = open_trainer(&o);
            OK(load(t));
            if (!strstr(told.text, said[i].text)) fail_msg("%s", told.text);
            pha_trainer_close(t);
        }
}

/* Steps that show each option: losses for the plateau, a loss above what the guard knows. */
static pha_trainer *run_that_shows(const pha_train_options *o, const pha__option *row)
{
    pha_train_options shown = *o;
    bool plateau = !strncmp(row->field, "plateau", 7);
    if (plateau) shown.schedule = PHA_SCHEDULE_PLATEAU;
    pha_trainer *t = open_trainer(&shown);
    for (int i = 0; plateau && i < 5; i++) pha__schedule_observe(&t->schedule, i ? 2 : 1);
    if (is(row, "spike")) t->guard = (pha__guard){60, {2, 0.01}, {0, 1}};
    steps(t, 6);
    return t;
}

/* What is called part of a run's identity changes its bits. */
static void test_identity_changes_bits(void **state)
{
    (void)state;
    for EACH(row) {
        if (row->role != PHA__FIXED && row->role != PHA__IDENTITY) continue;
        pha_train_options o = resolved();
        pha_trainer *a = run_that_shows(&o, row);
        change(&o, row);
        pha_trainer *b = run_that_shows(&o, row);
        if (same_bits(a, b)) fail_msg("%s changes nothing", row->key);
        pha_trainer_close(a);
        pha_trainer_close(b);
    }
}

/* ---- facts that are no options --------------------------------------------------------------------------- */

/* trainer.json with `section`.`key` replaced, or left out if value is NULL. */
static void edit(const char *section, const char *key, json_t *value)
{
    json_t *json;
    OK(pha__json_load(&json, in_root("checkpoint/trainer.json"), 1 << 20));
    json_t *object = json_object_get(json, section);
    if (value) json_object_set_new(object, key, value);
    else assert_int_equal(json_object_del(object, key), 0);
    json_object_del(json, "checksum"); /* as in those of earlier builds; a wrong one is refused */
    OK(pha__json_save(json, in_root("checkpoint/trainer.json")));
    json_decref(json);
}

static void test_other_kernels_are_told(void **state)
{
    (void)state;
    pha_trainer *t = saved_run();
    OK(load(t));
    assert_int_equal(told.n, 0);
    edit("course", "isa", json_string("abacus"));
    OK(load(t));
    char text[160];
    snprintf(text, sizeof text, "isa = abacus and goes on with %s; from here it is another run", pha_isa());
    assert_int_equal(told.n, 1);
    assert_non_null(strstr(told.text, text));
    edit("course", "isa", json_string(pha_isa()));
    edit("course", "kernels", json_integer(PHA__KERNELS + 1));
    OK(load(t));
    assert_int_equal(told.n, 1);
    assert_non_null(strstr(told.text, "kernels = "));
    pha_trainer_close(t);
}

/* What an earlier build had no option for was as the default is now. */
static void test_earlier_builds(void **state)
{
    (void)state;
    pha_trainer *t = saved_run();
    edit("identity", "carry", NULL);
    edit("identity", "rope_theta", NULL);
    OK(load(t));
    assert_int_equal(told.n, 0);
    pha_trainer_close(t);
    pha_train_options o = resolved();
    o.carry = true, o.attn_dropout = -1;
    t = open_trainer(&o);
    FAILS(BAD_INPUT, "another 'carry'", load(t));
    pha_trainer_close(t);
    t = saved_run();
    edit("identity", "context", NULL);
    FAILS(BAD_INPUT, "another 'context'", load(t));
    pha_trainer_close(t);
}

/* Whatever a damaged or foreign checkpoint says of the course is told, and no more. */
static void test_strange_values(void **state)
{
    (void)state;
    pha_trainer *t = saved_run();
    for EACH(row) {
        if (row->role != PHA__IDENTITY && row->role != PHA__COURSE) continue;
        json_t *values[] = {json_integer(INT64_MIN), json_integer(INT64_MAX), json_real(-0.5), json_string("x"),
                            json_null(), json_pack("[i]", 1)};
        for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
            edit("course", row->key, values[i]);
            OK(load(t));
            if (told.n != 1 || !strstr(told.text, row->key)) fail_msg("%s, %zu: %s", row->key, i, told.text);
        }
        edit("course", row->key, pha__option_stored(row, &t->o));
    }
    pha_trainer_close(t);
}

/* A checkpoint from before these keys were written goes on in silence. */
static void test_an_older_checkpoint(void **state)
{
    (void)state;
    pha_trainer *t = saved_run();
    static const char *const keys[] = {"isa", "kernels", "fuse", "keep_best", "average_best"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) edit("course", keys[i], NULL);
    OK(load(t));
    assert_int_equal(told.n, 0);
    edit("identity", "config", NULL); /* this one they all have */
    assert_int_equal(load(t), PHA_BAD_INPUT);
    assert_non_null(strstr(pha_errmsg(), "config"));
    pha_trainer_close(t);
}

static int set_up_options(void **state)
{
    char *text;
    size_t size;
    if (set_up(state)) return 1;
    char windowed[200]; /* so that every option may be set */
    snprintf(windowed, sizeof windowed, "%s, \"window\": 40", training_sizes);
    lab_write_config(config, &(lab_variant){"training", "pha", windowed}, 0);
    snprintf(other_config, sizeof other_config, "%s/other.json", root);
    snprintf(other_data, sizeof other_data, "%s/./data", root);
    snprintf(model, sizeof model, "%s/model", root);
    OK(pha__read_file(&text, &size, config, 1 << 20));
    OK(pha__write_file(other_config, text, size));
    pha__free(text);
    pha_trainer_close(saved_run());
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_choices),
        cmocka_unit_test(test_run_json),
        cmocka_unit_test(test_resume_with_another_value),
        cmocka_unit_test(test_what_is_told),
        cmocka_unit_test(test_identity_changes_bits),
        cmocka_unit_test(test_other_kernels_are_told),
        cmocka_unit_test(test_earlier_builds),
        cmocka_unit_test(test_strange_values),
        cmocka_unit_test(test_an_older_checkpoint),
    };
    return cmocka_run_group_tests(tests, set_up_options, root_teardown);
}
