/* test_train_run.c -- whole runs with their folder: stopped, killed, starved, resumed, their snapshots lost */
#include <signal.h>
#include <sys/wait.h>

#include "training.h"

/* A whole run, and the same run stopped in the middle and resumed, end with the same model. */
static void stop_after(void *user, const pha_progress *p)
{
    if (p->done >= *(double *)user) pha_request_stop();
}

/* The models that two runs ended with are equal to the byte. */
static void assert_same_model(const char *run_a, const char *run_b)
{
    char *x, *y, path[400];
    size_t nx, ny;
    snprintf(path, sizeof path, "%s/model/model.safetensors", run_a);
    OK(pha__read_file(&x, &nx, path, 1 << 28));
    snprintf(path, sizeof path, "%s/model/model.safetensors", run_b);
    OK(pha__read_file(&y, &ny, path, 1 << 28));
    assert_int_equal(nx, ny);
    assert_memory_equal(x, y, nx);
    pha__free(x);
    pha__free(y);
}

static void test_stop_and_resume_a_run(void **state)
{
    (void)state;
    pha_train_options o = options();
    pha_train_result result;
    o.out = in_root("run-a");
    char a[300], b[300];
    snprintf(a, sizeof a, "%s", o.out);
    o.out = a;
    OK(pha_train(&o, &result));
    assert_int_equal(result.steps, 20);
    assert_true(isfinite(result.valid_ppl) && result.valid_ppl < 256);
    pha_train_result refused;
    assert_int_equal(pha_train(&o, &refused), PHA_USAGE); /* the folder holds a run */

    /* the model folder, read back, scores as the weights in memory did */
    char model[400];
    snprintf(model, sizeof model, "%s/model", a);
    pha_eval_options e = {.model = model, .data = data, .context = 33};
    pha_eval_result score;
    OK(pha_eval(&e, &score));
    double best = fmin(result.valid_ppl, result.averaged_valid_ppl);
    if (!(fabs(score.token_ppl / best - 1) < 1e-4))
        fail_msg("perplexity %.6f from the file, %.6f in memory", score.token_ppl, best);

    snprintf(b, sizeof b, "%s", in_root("run-b"));
    double at = 7;
    o.out = b, o.progress = stop_after, o.user = &at;
    assert_int_equal(pha_train(&o, &result), PHA_STOPPED);
    pha_clear_stop();
    o.resume = true, o.progress = NULL;
    OK(pha_train(&o, &result));
    assert_same_model(a, b);

    /* once more over the finished run: nothing is left to do, and what is known is told */
    double before = result.valid_loss;
    OK(pha_train(&o, &result));
    assert_true(result.steps == 20 && result.valid_loss == before);
}

static json_t *trainer_json(const char *run)
{
    char path[400];
    json_t *json;
    snprintf(path, sizeof path, "%s/checkpoint/trainer.json", run);
    OK(pha__json_load(&json, path, 1 << 20));
    return json;
}

static void assert_same_state(const char *run_a, const char *run_b)
{
    json_t *a = trainer_json(run_a), *b = trainer_json(run_b);
    char *x = json_dumps(a, JSON_SORT_KEYS), *y = json_dumps(b, JSON_SORT_KEYS);
    assert_string_equal(x, y);
    free(x), free(y);
    json_decref(a), json_decref(b);
}

/* Evaluations in the log of a run, of all steps or (step > 0) of one. */
static int evaluations(const char *run, json_int_t step)
{
    char path[400], line[4096];
    int n = 0;
    snprintf(path, sizeof path, "%s/log.jsonl", run);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        json_t *json = json_loads(line, 0, NULL);
        bool eval = !strcmp(json_string_value(json_object_get(json, "event")), "eval");
        n += eval && (!step || json_integer_value(json_object_get(json, "step")) == step);
        json_decref(json);
    }
    fclose(f);
    return n;
}

static double member(const char *run, const char *key)
{
    json_t *json = trainer_json(run);
    double x = json_number_value(json_object_get(json, key));
    json_decref(json);
    return x;
}

/* A stop that comes while the model is evaluated: the evaluation is made up for, before the next step. The rate is so
 * small that no loss is better than the first by a part in 10^4, on any processor: with a patience of 1 the plateau
 * cuts at every second of the nine that follow, and each loss that is missing or told twice moves the cuts. */
static void test_stop_in_an_evaluation(void **state)
{
    (void)state;
    char a[300], b[300];
    snprintf(a, sizeof a, "%s/plateau-a", root);
    snprintf(b, sizeof b, "%s/plateau-b", root);
    pha_train_options o = options();
    pha_train_result result;
    o.schedule = PHA_SCHEDULE_PLATEAU, o.plateau_patience = 1, o.plateau_factor = 0.5, o.lr = 1e-8;
    o.eval_every = 2, o.eval_tokens = 330, o.warmup = -1;
    o.out = a;
    OK(pha_train(&o, &result));
    assert_int_equal(evaluations(a, 0), 10);
    assert_true(member(a, "plateau_scale") == 0.0625 && member(a, "plateau_bad") == 1);
    double at = 4; /* progress is told before the evaluation after step 4 */
    o.out = b, o.progress = stop_after, o.user = &at;
    assert_int_equal(pha_train(&o, &result), PHA_STOPPED);
    pha_clear_stop();
    json_t *json = trainer_json(b);
    assert_true(json_is_true(json_object_get(json, "eval_due")));
    json_decref(json);
    assert_true(evaluations(b, 0) == 1 && member(b, "step") == 4);
    o.resume = true, o.progress = NULL;
    OK(pha_train(&o, &result));
    assert_true(evaluations(b, 0) == 10 && evaluations(b, 4) == 1);
    assert_same_state(a, b);
    assert_same_model(a, b);
}

/* Several passes over data that is not a whole number of steps: the plateau is told one loss per pass. */
static void test_plateau_by_epochs(void **state)
{
    (void)state;
    char a[300];
    snprintf(a, sizeof a, "%s/epochs", root);
    pha_train_options o = options();
    pha_trainer *t = open_trainer(&o);
    int32_t windows = (int32_t)pha__loader_windows(&t->loader);
    pha_trainer_close(t);
    o.batch = windows / 3 - 1, o.micro_batch = 1, o.steps = 0, o.epochs = 6; /* 3 steps and a bit */
    while (windows % o.batch == 0) o.batch--;
    o.schedule = PHA_SCHEDULE_PLATEAU, o.plateau_patience = 1, o.lr = 1e-12, o.eval_tokens = 330, o.dropout = -1;
    o.keep_best = -1, o.eval_every = 1, o.out = a; /* also within a pass */
    pha_train_result result;
    OK(pha_train(&o, &result));
    double scale = member(a, "plateau_scale");
    /* losses 1 to 5 (the 6th pass may end a step short): 2 and 3 are bad, then 4 and 5 */
    if (fabs(scale - 0.75 * 0.75) > 1e-12) fail_msg("the rate was multiplied by %g", scale);
}

static void test_a_failed_start_leaves_nothing(void **state)
{
    (void)state;
    pha_train_options o = options();
    pha_train_result result;
    o.out = in_root("started"), o.data = in_root("nothing"), o.steps = 1;
    assert_int_not_equal(pha_train(&o, &result), PHA_OK);
    assert_false(pha__exists(o.out));
    OK(pha__mkdirs(o.out)); /* a folder of the user's stays, and so does the lock of a start that was killed */
    assert_int_not_equal(pha_train(&o, &result), PHA_OK);
    assert_true(pha__is_dir(o.out));
    char lock[400];
    snprintf(lock, sizeof lock, "%s/lock", o.out);
    OK(pha__write_file(lock, "", 0));
    o.data = data;
    OK(pha_train(&o, &result));
}

/* Snapshots that were removed by hand cost the average, not the run. */
static void test_lost_snapshots(void **state)
{
    (void)state;
    char best[400], model[400];
    pha_train_options o = options();
    pha_train_result result;
    o.out = in_root("lost"), o.steps = 8, o.eval_every = 2;
    snprintf(best, sizeof best, "%s/best", o.out);
    snprintf(model, sizeof model, "%s/model/model.safetensors", o.out);
    double at = 7;
    o.progress = stop_after, o.user = &at;
    assert_int_equal(pha_train(&o, &result), PHA_STOPPED);
    pha_clear_stop();
    OK(pha__remove_tree(best));
    o.resume = true, o.progress = NULL;
    OK(pha_train(&o, &result));
    assert_true(pha__exists(model));
    assert_true(isnan(result.averaged_valid_ppl));
}

/* A run that is killed again and again, at random moments and at chosen writes, and starved of disk space, ends with
 * the model of the undisturbed one. */
static int disturbed(const pha_train_options *options, int n)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        char text[16];
        pha_train_result result;
        snprintf(text, sizeof text, "%d", 3 + 11 * n);
        if (n % 3 != 2) setenv(n % 3 ? "PHA_FAULT_WRITE" : "PHA_FAULT_ENOSPC", text, 1);
        _exit(pha_train(options, &result));
    }
    if (n % 3 == 2) {
        usleep((useconds_t)(5000 * (n + 1)));
        kill(child, SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) == 137) return -1;
    assert_true(WEXITSTATUS(status) == PHA_OK || WEXITSTATUS(status) == PHA_IO);
    return WEXITSTATUS(status);
}

static void test_a_disturbed_run_ends_the_same(void **state)
{
    (void)state;
    char a[300], b[300];
    snprintf(a, sizeof a, "%s/quiet", root);
    snprintf(b, sizeof b, "%s/disturbed", root);
    pha_train_options o = options();
    pha_train_result result;
    o.threads = 1, o.eval_every = 2, o.checkpoint_every = 3, o.keep_best = 2, o.average_best = 2, o.eval_tokens = 200;
    o.out = a;
    OK(pha_train(&o, &result));
    o.out = b, o.resume = true;
    for (int n = 0; n < 60; n++)
        if (disturbed(&o, n) == PHA_OK) break;
    OK(pha_train(&o, &result));
    assert_same_model(a, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stop_and_resume_a_run),
        cmocka_unit_test(test_stop_in_an_evaluation),
        cmocka_unit_test(test_plateau_by_epochs),
        cmocka_unit_test(test_a_failed_start_leaves_nothing),
        cmocka_unit_test(test_lost_snapshots),
        cmocka_unit_test(test_a_disturbed_run_ends_the_same),
    };
    return cmocka_run_group_tests(tests, set_up, root_teardown);
}
