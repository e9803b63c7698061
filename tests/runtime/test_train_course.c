/* test_train_course.c -- what a run does when it is stopped or complete, and what it tells */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "telling.h"

/* Lines of a kind in the log of a run; *last: the last of them (to be released), or NULL. */
static int events(const char *run, const char *kind, json_t **last)
{
    char path[400], line[4096];
    int n = 0;
    *last = NULL;
    snprintf(path, sizeof path, "%s/log.jsonl", run);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        json_t *json = json_loads(line, 0, NULL);
        if (strcmp(json_string_value(json_object_get(json, "event")), kind) != 0) {
            json_decref(json);
            continue;
        }
        json_decref(*last);
        *last = json, n++;
    }
    fclose(f);
    return n;
}

static int count_events(const char *run, const char *kind)
{
    json_t *last;
    int n = events(run, kind, &last);
    json_decref(last);
    return n;
}

static void same_file(const char *a, const char *b, const char *name)
{
    char path[400], *x, *y;
    size_t n, m;
    snprintf(path, sizeof path, "%s/%s", a, name);
    OK(pha__read_file(&x, &n, path, 1 << 28));
    snprintf(path, sizeof path, "%s/%s", b, name);
    OK(pha__read_file(&y, &m, path, 1 << 28));
    if (n != m || memcmp(x, y, n)) fail_msg("%s and %s differ in %s", a, b, name);
    pha__free(x);
    pha__free(y);
}

/* Steps times batch beyond 64 bits: the run is of many epochs, and says so nowhere by a number that went around. */
static void test_an_absurd_course(void **state)
{
    (void)state;
    pha_train_options o = options();
    o.steps = 1000000000000000;
    pha_trainer *t = open_trainer(&o);
    assert_true(pha__many_epochs(t) && t->o.eval_every == o.steps);
    t->o.steps = (int64_t)1 << 44, t->o.batch = 1 << 20; /* a product of 2^64 */
    assert_true(pha__sequences(&t->o) == UINT64_MAX);
    assert_true(pha__many_epochs(t));
    t->o.batch = 1 << 19;
    assert_true(pha__sequences(&t->o) == (uint64_t)1 << 63);
    t->o.steps = 1, t->o.batch = 1;
    assert_false(pha__many_epochs(t));
    pha_trainer_close(t);
}

/* ---- stopping -------------------------------------------------------------------------------------------- */

static atomic_bool in_a_step;

static void *stop_soon(void *seconds)
{
    while (!atomic_load(&in_a_step)) usleep(100);
    usleep((useconds_t)(1e6 * *(double *)seconds));
    pha_request_stop();
    return NULL;
}

static void note_step(void *user, const pha_progress *p)
{
    (void)user, (void)p;
    atomic_store(&in_a_step, true);
}

/* A step of very many microbatches ends in its middle: the trainer is as before it, and makes the same step again. */
static void test_a_step_is_left_undone(void **state)
{
    (void)state;
    pha_train_options o = options();
    o.batch = 200, o.micro_batch = 1, o.context = 40, o.threads = 1;
    pha_trainer *whole = open_trainer(&o), *stopped = open_trainer(&o);
    pha_step s = {0}, again;
    steps(whole, 1);
    steps(stopped, 1);
    pha_step timed;
    OK(pha_trainer_step(whole, &timed));
    double soon = timed.seconds / 10; /* early: a machine may be busy while one is timed and idle afterwards */
    pthread_t thread;
    atomic_store(&in_a_step, true);
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, &soon), 0);
    FAILS(STOPPED, "in step 2, after ", pha_trainer_step(stopped, &s));
    pthread_join(thread, NULL);
    assert_non_null(strstr(pha_errmsg(), "of its 200 sequences"));
    assert_null(strstr(pha_errmsg(), "after 0 of"));
    assert_true(s.step == 0 && stopped->step == 1 && stopped->optimizer.updates == 1 && stopped->guard.seen == 1);
    FAILS(STOPPED, "after 0 of its 200", pha_trainer_step(stopped, NULL)); /* the request stands until it is cleared */
    pha_clear_stop();
    OK(pha_trainer_step(stopped, &again));
    assert_true(again.loss == timed.loss && again.gradient_norm == timed.gradient_norm && again.step == 2);
    same_training(whole, stopped);
    pha_trainer_close(whole);
    pha_trainer_close(stopped);
}

/* The same in a run: the checkpoint is that of the last whole step, and the resumed run ends as the undisturbed one. */
static void test_a_run_stops_in_a_step(void **state)
{
    (void)state;
    char a[300], b[300];
    keep_path(a, "whole"), keep_path(b, "stopped");
    pha_train_options o = options();
    pha_train_result result;
    o.batch = 200, o.micro_batch = 1, o.context = 40, o.threads = 1, o.steps = 4, o.eval_tokens = 100;
    o.eval_every = o.checkpoint_every = 4, o.out = a;
    OK(train(&o, &result));
    double soon = result.seconds / 4 / 10;
    pthread_t thread;
    o.out = b, o.progress = note_step;
    atomic_store(&in_a_step, false);
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, &soon), 0);
    assert_int_equal(train(&o, &result), PHA_STOPPED);
    pthread_join(thread, NULL);
    pha_clear_stop();
    tells("the step is left undone; writing the checkpoint of step ");
    assert_in_range(result.steps, 1, 3);
    assert_int_equal(count_events(b, "step"), result.steps);
    o.resume = true, o.progress = NULL;
    OK(train(&o, &result));
    same_file(a, b, "model/model.safetensors");
    same_file(a, b, "checkpoint/trainer.json");
    assert_int_equal(count_events(b, "step"), 4);
}

/* An evaluation that is asked to stop says how far it has come. */
static void stop_at_once(void *user, const pha_progress *p)
{
    (void)user, (void)p;
    pha_request_stop();
}

static void test_an_evaluation_stops(void **state)
{
    (void)state;
    char folder[300];
    keep_path(folder, "evaluated");
    pha_train_options o = options();
    pha_trainer *t = open_trainer(&o);
    OK(pha_trainer_save_model(t, folder));
    pha_trainer_close(t);
    pha_eval_options e = {.model = folder, .data = data, .context = 33, .progress = stop_at_once};
    pha_eval_result score;
    pha_request_stop();
    FAILS(STOPPED, "with 0 of ", pha_eval(&e, &score));
    pha_clear_stop();
}

/* A stop while the snapshots are averaged at the end: the steps are all made, the rest comes with the next call. */
static void stop_at_the_end(void *user, const pha_progress *p)
{
    int *lines = user; /* the second line of the last step comes when all is evaluated */
    if (p->done == p->total && ++*lines == 2) pha_request_stop();
}

static void test_averaging_stops(void **state)
{
    (void)state;
    char a[300], b[300];
    int lines = 0;
    keep_path(a, "averaged"), keep_path(b, "not-averaged");
    pha_train_options o = options();
    pha_train_result result;
    o.steps = 8, o.eval_every = 2, o.eval_tokens = 330, o.out = a;
    OK(train(&o, &result));
    o.out = b, o.progress = stop_at_the_end, o.user = &lines;
    assert_int_equal(train(&o, &result), PHA_STOPPED);
    assert_non_null(strstr(pha_errmsg(), "--resume"));
    pha_clear_stop();
    assert_int_equal(count_events(b, "end"), 0);
    assert_int_equal(result.steps, 8);
    o.resume = true, o.progress = NULL;
    OK(train(&o, &result));
    assert_int_equal(count_events(b, "end"), 1);
    same_file(a, b, "model/model.safetensors");
    char model[400];
    snprintf(model, sizeof model, "%s/model", a);
    pha_request_stop();
    FAILS(STOPPED, "no mean was written", pha_model_average((const char *[]){model}, 1, in_root("mean")));
    assert_false(pha__exists(in_root("mean")));
    pha_clear_stop();
}

/* ---- the end --------------------------------------------------------------------------------------------- */

/* A run that has come to its end is left as it is, and its result is told again; a longer one goes on from there. */
static void test_a_complete_run(void **state)
{
    (void)state;
    char a[300];
    keep_path(a, "complete");
    pha_train_options o = options();
    pha_train_result first, again;
    json_t *end;
    o.steps = 8, o.eval_every = 2, o.eval_tokens = 330, o.out = a;
    OK(train(&o, &first));
    o.resume = true;
    OK(train(&o, &again));
    tells("the run is complete, with step 8 of 8");
    assert_true(again.steps == 8 && again.valid_loss == first.valid_loss);
    assert_true(fabs(again.train_loss / first.train_loss - 1) < 1e-8);
    assert_true(fabs(again.averaged_valid_ppl / first.averaged_valid_ppl - 1) < 1e-8);
    assert_int_equal(events(a, "end", &end), 1);
    assert_true(json_is_number(json_object_get(end, "train_loss")));
    assert_int_equal(json_integer_value(json_object_get(end, "refused")), 0);
    json_decref(end);
    o.steps = 12;
    OK(train(&o, &again));
    tells_not("run is complete");
    assert_int_equal(count_events(a, "end"), 2);
    char model[400];
    snprintf(model, sizeof model, "%s/model", a);
    OK(pha__remove_tree(model)); /* without its result it is not complete */
    OK(train(&o, &again));
    tells_not("run is complete");
    assert_true(pha__is_dir(model));
    o.steps = 10; /* fewer than have been made, and model/ is that of step 12: complete as it is */
    OK(train(&o, &again));
    tells("the run is complete, with step 12 of 10");
    snprintf(model, sizeof model, "%s/checkpoint/trainer.json", a);
    OK(pha__write_file(model, "{", 1)); /* the one before it is of step 10: the end in the log is not its end */
    OK(train(&o, &again));
    tells_not("run is complete");
    assert_true(again.steps == 10);
}

static void keep_line(void *user, const pha_progress *p) { snprintf(user, 200, "%s", p->line); }

/* The last line of progress has the last evaluation. */
static void test_the_last_line(void **state)
{
    (void)state;
    char a[300], line[200] = "", want[40];
    keep_path(a, "line");
    pha_train_options o = options();
    pha_train_result result;
    o.steps = 6, o.eval_every = 3, o.eval_tokens = 330, o.out = a, o.progress = keep_line, o.user = line;
    OK(train(&o, &result));
    snprintf(want, sizeof want, "valid ppl %.2f ", result.valid_ppl);
    if (!strstr(line, want)) fail_msg("'%s' without '%s'", line, want);
    assert_non_null(strstr(line, "step 6/6 "));
}

/* A run that explodes: how many steps were refused stands in its result and its log, and the log is told. */
static void test_refused_steps_are_told(void **state)
{
    (void)state;
    char a[300];
    keep_path(a, "refused");
    pha_train_options o = options();
    pha_train_result result;
    json_t *end;
    o.steps = 12, o.eval_every = 12, o.eval_tokens = 330, o.warmup = -1, o.out = a, o.spike = -1;
    OK(train(&o, &result));
    assert_int_equal(result.refused, 0);
    tells_not("were refused");
    keep_path(a, "refused-2");
    o.lr = 10, o.clip = -1, o.beta2 = 0.5, o.steps = 19; /* it explodes */
    OK(train(&o, &result));
    tells("were refused (");
    assert_in_range(result.refused, 1, 19);
    assert_int_equal(count_events(a, "skip"), result.refused);
    assert_int_equal(events(a, "end", &end), 1);
    assert_int_equal(json_integer_value(json_object_get(end, "refused")), result.refused);
    json_decref(end);
}

/* Four fifths are one line over and over, a fifth is letters drawn at random, in stretches of some contexts: a step of
 * one sequence is the one or the other, and the guard, which is off by default there, is on. */
static void test_hard_text_is_learned(void **state)
{
    (void)state;
    char folder[300], run[300];
    keep_path(folder, "two-kinds"), keep_path(run, "over-two-kinds");
    enum { SIZE = 60000, STRETCH = 200 };
    char *text = malloc(SIZE);
    unsigned x = 1;
    for (int i = 0; i < SIZE; i++) {
        x = x * 1664525u + 1013904223u;
        text[i] = i / STRETCH % 5 == 4 ? (char)('a' + (x >> 20) % 26) : "all rights reserved.\n"[i % 21];
    }
    OK(pha__write_file(in_root("text.txt"), text, SIZE));
    free(text);
    const char *inputs[] = {in_root("text.txt")};
    pha_prepare_options p = {.inputs = inputs, .n_inputs = 1, .out = folder, .tokenizer = "bytes",
                             .valid_fraction = 0.1, .test_fraction = -1};
    OK(pha_prepare(&p, NULL));
    pha_train_options o = options();
    pha_train_result result;
    o.data = folder, o.out = run, o.batch = o.micro_batch = 1, o.steps = 400, o.spike = 8, o.dropout = -1;
    o.eval_every = 400, o.keep_best = -1;
    OK(train(&o, &result));
    json_t *json = NULL;
    double easy = 0, hard = 0;
    char line[4096], path[400];
    snprintf(path, sizeof path, "%s/log.jsonl", run);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) { /* it has come to where a fixed multiple of the mean refuses the letters */
        json = json_loads(line, 0, NULL);
        double loss = json_number_value(json_object_get(json, "loss"));
        if (json_integer_value(json_object_get(json, "step")) > 300 && loss > 0) {
            easy = easy == 0 || loss < easy ? loss : easy;
            hard = loss > hard ? loss : hard;
        }
        json_decref(json);
    }
    fclose(f);
    if (!(hard > 6 * easy)) fail_msg("no two kinds: losses from %g to %g", easy, hard);
    if (result.refused > 8) fail_msg("%d of 400 steps were refused", (int)result.refused);
}

/* ---- the data -------------------------------------------------------------------------------------------- */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_absurd_course),
        cmocka_unit_test(test_a_step_is_left_undone),
        cmocka_unit_test(test_a_run_stops_in_a_step),
        cmocka_unit_test(test_an_evaluation_stops),
        cmocka_unit_test(test_averaging_stops),
        cmocka_unit_test(test_a_complete_run),
        cmocka_unit_test(test_the_last_line),
        cmocka_unit_test(test_refused_steps_are_told),
        cmocka_unit_test(test_hard_text_is_learned),
    };
    return cmocka_run_group_tests(tests, set_up, root_teardown);
}
