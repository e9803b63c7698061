/* test_train_state.c -- what a step depends on besides its batch: the guard, the counters, the seed, the model to begin
 * with */
#include "support/allocations.h"
#include "training.h"

/* What a checkpoint says, without its checksum, as the tests change it. */
static json_t *state_of(pha_trainer *t)
{
    json_t *json;
    char path[400];
    OK(pha_trainer_save(t, in_root("state")));
    snprintf(path, sizeof path, "%s/trainer.json", in_root("state"));
    OK(pha__json_load(&json, path, 1 << 20));
    assert_int_equal(json_object_del(json, "checksum"), 0);
    return json;
}

static json_int_t count(const json_t *json, const char *key)
{
    assert_true(json_is_integer(json_object_get(json, key)));
    return json_integer_value(json_object_get(json, key));
}

static char *model_bytes(pha_trainer *t, size_t *size)
{
    char path[400], *bytes;
    OK(pha_trainer_save_model(t, in_root("bytes")));
    snprintf(path, sizeof path, "%s/model.safetensors", in_root("bytes"));
    OK(pha__read_file(&bytes, size, path, 1 << 28));
    return bytes;
}

/* Are the weights the same to the bit? Both are freed. */
static bool same(char *a, size_t n, char *b, size_t m)
{
    bool yes = n == m && !memcmp(a, b, n);
    pha__free(a);
    pha__free(b);
    return yes;
}

/* ---- defaults ---- */

/* What pha.h says of an option that is left out, and of a negative one. */
static void test_defaults(void **state)
{
    (void)state;
    pha_trainer *t = open_trainer(&(pha_train_options){.config = config, .data = data, .context = 33});
    const pha_train_options *o = &t->o;
    assert_true(o->batch == 24 && o->micro_batch == 1 && o->warmup == 0 && o->schedule == PHA_SCHEDULE_COSINE);
    assert_true(o->lr == 4.5e-4 && o->lr_min_ratio == 0.1 && o->plateau_factor == 0.75 && o->plateau_patience == 3);
    assert_true(o->beta1 == 0.9 && o->beta2 == 0.999 && o->eps == 1e-8 && o->weight_decay == 0.1 && o->clip == 1);
    assert_true(o->dropout == 0 && o->precision == PHA_FP32 && o->spike == 8 && o->detail_every == 100);
    assert_true(o->keep_best == 5 && o->average_best == 3);
    uint64_t steps = pha__loader_windows(&t->loader) / 24; /* one pass */
    assert_int_equal(o->steps, steps);
    assert_int_equal(o->eval_every, steps / 4);
    assert_int_equal(o->checkpoint_every, steps / 4);
    pha_trainer_close(t);
    t = open_trainer(&(pha_train_options){.config = config, .data = data, .context = 33, .lr_min_ratio = -1, .clip = -1,
                                          .warmup = -1, .weight_decay = -1, .dropout = -1, .spike = -1});
    o = &t->o;
    assert_true(o->lr_min_ratio == 0 && o->clip == 0 && o->warmup == 0 && o->weight_decay == 0 && o->dropout == 0);
    assert_true(o->spike == 0 && o->lr == 4.5e-4);
    pha_trainer_close(t);
    static const struct {
        int32_t batch;
        double given, is;
    } guards[] = {{7, 0, 0}, {7, 5, 5}, {8, 0, 8}, {8, -1, 0}, {8, 2.5, 2.5}}; /* none where a step is small */
    for (int i = 0; i < 5; i++) {
        t = open_trainer(&(pha_train_options){.config = config, .data = data, .context = 33, .batch = guards[i].batch,
                                              .spike = guards[i].given});
        assert_true(t->o.spike == guards[i].is);
        pha_trainer_close(t);
    }
}

/* ---- the guard ---- */

/* A loss far above what the guard has seen is refused, step by step, and changes no weight, until the guard has learned
 * that such is the data: then it is an update. Every step counts for the guard, which a checkpoint keeps to the bit. */
static void test_a_run_of_refusals_ends(void **state)
{
    (void)state;
    pha_train_options o = options();
    o.steps = 200, o.warmup = -1, o.spike = 8;
    pha_trainer *t = open_trainer(&o), *again = open_trainer(&o);
    t->step = 100, t->guard = (pha__guard){100, {1.5, 0.01}, {0, 1}}; /* losses here are above 5 */
    int refused = 0;
    pha_step s = {.skipped = true};
    for (int i = 0; i < 20 && s.skipped; i++) {
        size_t n, m;
        char *before = model_bytes(t, &n), *after;
        pha__guard want = t->guard;
        OK(pha_trainer_step(t, &s));
        after = model_bytes(t, &m);
        assert_true(same(before, n, after, m) == s.skipped);
        assert_true(s.skipped == pha__guard_refuses(&want, 8, s.loss, s.gradient_norm));
        pha__guard_see(&want, 8, s.loss, s.gradient_norm);
        assert_memory_equal(&want, &t->guard, sizeof want);
        assert_true(s.step == i + 101 && t->skipped_in_row == (s.skipped ? i + 1 : 0));
        refused += s.skipped;
        if (i) continue;
        OK(pha_trainer_save(t, in_root("refusing")));
        OK(pha_trainer_load(again, in_root("refusing")));
    }
    assert_in_range(refused, 2, 12);
    json_t *json = state_of(t);
    assert_int_equal(count(json, "step"), refused + 101);
    assert_int_equal(count(json, "updates"), 1);
    assert_int_equal(count(json, "skipped"), refused);
    assert_int_equal(count(json, "skipped_in_row"), 0);
    json_decref(json);
    steps(again, refused);
    assert_memory_equal(&t->guard, &again->guard, sizeof t->guard);
    same_training(t, again);
    pha_trainer_close(t);
    pha_trainer_close(again);
}

/* A checkpoint of before has a mean of the loss alone. */
static void test_an_older_guard(void **state)
{
    (void)state;
    pha_train_options o = options();
    pha_trainer *t = open_trainer(&o);
    steps(t, 2);
    json_t *json = state_of(t);
    static const char *const keys[] = {"guard_seen", "loss_mean", "loss_variance", "norm_mean", "norm_variance"};
    for (int i = 0; i < 5; i++) assert_int_equal(json_object_del(json, keys[i]), 0);
    json_object_set_new(json, "mean_loss", json_real(5));
    char path[400];
    snprintf(path, sizeof path, "%s/trainer.json", in_root("state"));
    OK(pha__json_save(json, path));
    OK(pha_trainer_load(t, in_root("state")));
    assert_int_equal(t->guard.seen, 0);
    json_object_set_new(json, "guard_seen", json_integer(2));
    OK(pha__json_save(json, path));
    FAILS(BAD_INPUT, "loss_mean", pha_trainer_load(t, in_root("state")));
    json_decref(json);
    pha_trainer_close(t);
}

static void put(const char *folder, json_t *json)
{
    char path[400];
    snprintf(path, sizeof path, "%s/trainer.json", folder);
    OK(pha__json_save(json, path));
}

/* Weights that make no finite loss any more. */
static void spoil(pha_trainer *t)
{
    float bad[48 * 32] = {NAN};
    int up = pha__find_param(t->program, "layer0.ffn.up")->index;
    assert_int_equal(pha__param_size(t->program, up), 48 * 32);
    OK(pha__store_copy_in(t->store, PHA__WEIGHT, up, bad));
}

/* The twentieth refusal in a row ends the run, also if the first were before a resume and without a guard. */
static void test_twenty_in_a_row(void **state)
{
    (void)state;
    pha_train_options o = options();
    o.steps = 200, o.spike = -1;
    pha_trainer *t = open_trainer(&o);
    pha_step s;
    steps(t, 5);
    OK(pha_trainer_save(t, in_root("good")));
    spoil(t);
    for (int i = 0; i < 12; i++) {
        OK(pha_trainer_step(t, &s));
        assert_true(s.skipped);
    }
    json_t *json = state_of(t);
    assert_int_equal(count(json, "skipped"), 12);
    assert_int_equal(count(json, "skipped_in_row"), 12);
    pha_trainer_close(t);
    t = open_trainer(&o);
    OK(pha_trainer_load(t, in_root("state")));
    spoil(t);
    for (int i = 12; i < 19; i++) OK(pha_trainer_step(t, &s));
    FAILS(NUMERIC, "20 steps in a row", pha_trainer_step(t, &s));
    OK(pha_trainer_load(t, in_root("good")));
    t->skipped_in_row = 12;
    OK(pha_trainer_step(t, &s));
    assert_true(!s.skipped && t->skipped_in_row == 0);
    json_decref(json);
    pha_trainer_close(t);
}

/* ---- counters ---- */

/* Every number of trainer.json is read and written again. */
static void test_state_survives(void **state)
{
    (void)state;
    pha_train_options o = options();
    o.schedule = PHA_SCHEDULE_PLATEAU;
    pha_trainer *t = open_trainer(&o);
    steps(t, 2);
    json_t *json = state_of(t);
    pha_trainer_close(t);
    static const char *const whole[] = {"step", "updates", "skipped", "skipped_in_row", "plateau_bad", "guard_seen"};
    static const char *const real[] = {"loss_mean", "last_valid",    "plateau_best", "plateau_scale",
                                       "norm_mean", "loss_variance", "norm_variance"};
    for (int i = 0; i < 6; i++) {
        assert_non_null(json_object_get(json, whole[i]));
        json_object_set_new(json, whole[i], json_integer(90 - 17 * i));
    }
    for (int i = 0; i < 7; i++) {
        assert_non_null(json_object_get(json, real[i]));
        json_object_set_new(json, real[i], json_real(70.5 + i / 3.));
    }
    json_object_set_new(json, "eval_due", json_true());
    json_object_set_new(json, "best",
                        json_pack("[{s:i,s:f},{s:i,s:f}]", "step", 5, "loss", 1.25, "step", 3, "loss", 1.5));
    put(in_root("state"), json);

    t = open_trainer(&o);
    OK(pha_trainer_load(t, in_root("state")));
    json_t *again = state_of(t);
    char *x = json_dumps(json, JSON_SORT_KEYS), *y = json_dumps(again, JSON_SORT_KEYS);
    assert_string_equal(x, y);
    free(x), free(y);
    pha_step s;
    OK(pha_trainer_step(t, &s)); /* and used: the plateau's scale is the fourth real */
    assert_true(s.step == 91 && !s.skipped);
    assert_true(fabs(s.lr / (o.lr * 71.5) - 1) < 1e-12);
    json_decref(json), json_decref(again);
    pha_trainer_close(t);
}

/* ---- the seed, and the model to begin with ---- */

static double first_loss(const pha_train_options *o)
{
    pha_trainer *t = open_trainer(o);
    pha_step s;
    OK(pha_trainer_step(t, &s));
    pha_trainer_close(t);
    return s.loss;
}

/* The seed makes the initial weights, the order of the data, and the masks. */
static void test_seed(void **state)
{
    (void)state;
    char few[300], begin[300];
    snprintf(few, sizeof few, "%s/few", root);
    prepare_text(few, 150);
    pha_train_options o = options(), other;
    o.data = few, other = o, other.seed = o.seed + 1;
    size_t n, m;
    pha_trainer *a = open_trainer(&o), *b = open_trainer(&other), *c = open_trainer(&o);
    char *x = model_bytes(a, &n), *y = model_bytes(b, &m);
    assert_false(same(x, n, y, m));
    x = model_bytes(a, &n), y = model_bytes(c, &m);
    assert_true(same(x, n, y, m));
    snprintf(begin, sizeof begin, "%s/begin", root);
    OK(pha_trainer_save_model(a, begin));
    pha_trainer_close(a), pha_trainer_close(b), pha_trainer_close(c);

    o.config = other.config = NULL, o.init_from = other.init_from = begin;
    o.dropout = other.dropout = o.attn_dropout = other.attn_dropout = -1;
    double order = first_loss(&o);
    assert_true(order == first_loss(&o) && order != first_loss(&other));
    uint64_t windows;
    a = open_trainer(&o);
    windows = pha__loader_windows(&a->loader);
    pha_trainer_close(a);
    o.batch = other.batch = (int32_t)windows, o.micro_batch = other.micro_batch = 1; /* all there is, in any order */
    order = first_loss(&o);
    assert_true(fabs(order / first_loss(&other) - 1) < 1e-6);
    o.dropout = other.dropout = 0.3;
    assert_true(fabs(first_loss(&o) / first_loss(&other) - 1) > 1e-6); /* the masks */
}

/* Training goes on from the weights of a model, whatever the seed. */
static void test_init_from(void **state)
{
    (void)state;
    pha_train_options o = options();
    pha_trainer *t = open_trainer(&o);
    steps(t, 5);
    size_t n, m;
    char *x = model_bytes(t, &n), five[300];
    snprintf(five, sizeof five, "%s/five", root);
    OK(pha_trainer_save_model(t, five));
    pha_trainer_close(t);
    o.config = NULL, o.init_from = five, o.seed = 99;
    t = open_trainer(&o);
    char *y = model_bytes(t, &m);
    assert_true(same(x, n, y, m));
    pha_step s;
    OK(pha_trainer_step(t, &s));
    assert_int_equal(s.step, 1); /* a new run */
    y = model_bytes(t, &m);
    pha_trainer_close(t);
    o.precision = PHA_BF16; /* also where the products read copies */
    t = open_trainer(&o);
    pha_step h;
    OK(pha_trainer_step(t, &h));
    assert_true(fabs(h.loss / s.loss - 1) < 1e-2);
    pha__free(y);
    pha_trainer_close(t);
}

/* ---- memory ---- */

static pha_status open_and_load(void *options)
{
    pha_trainer *t = (void *)1;
    pha_status status = pha_trainer_open(&t, options);
    if (status) {
        assert_null(t);
        return status;
    }
    status = pha_trainer_load(t, in_root("state"));
    pha_trainer_close(t);
    return status;
}

/* Every allocation of opening a run and of taking it up again may fail. */
static void test_no_memory(void **state)
{
    (void)state;
    pha_train_options o = options();
    o.threads = 1;
    pha_trainer *t = open_trainer(&o);
    json_decref(state_of(t));
    pha_trainer_close(t);
    assert_true(fail_allocations(open_and_load, &o, 80) > 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_a_run_of_refusals_ends), cmocka_unit_test(test_an_older_guard),
        cmocka_unit_test(test_twenty_in_a_row), cmocka_unit_test(test_state_survives),
        cmocka_unit_test(test_seed),   cmocka_unit_test(test_init_from),       cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, set_up, root_teardown);
}
