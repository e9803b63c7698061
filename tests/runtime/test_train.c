/* test_train.c -- training runs: bit-identical resume on any number of threads, guards, stops, crashes */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/log.h"
#include "runtime/trainer.h"
#include "support/check.h"

static char root[] = "/tmp/pha-train-XXXXXX";
static char data[64], config[64];

static const char *in_root(const char *name)
{
    static char path[4][128];
    static int next;
    char *out = path[next++ % 4];
    snprintf(out, sizeof path[0], "%s/%s", root, name);
    return out;
}

/* Sentences of a tiny grammar: something that can be learned in a few steps. */
static void write_text(const char *path, int sentences)
{
    static const char *const who[] = {"the cat", "a dog", "my old friend", "the river"};
    static const char *const does[] = {"sees", "follows", "forgets", "carries"};
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    unsigned x = 1;
    for (int i = 0; i < sentences; i++) {
        x = x * 1664525u + 1013904223u;
        fprintf(f, "%s %s %s.\n", who[x >> 8 & 3], does[x >> 12 & 3], who[x >> 16 & 3]);
    }
    fclose(f);
}

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(root));
    snprintf(data, sizeof data, "%s/data", root);
    snprintf(config, sizeof config, "%s/config.json", root);
    write_text(in_root("text.txt"), 1500);
    static const char json[] =
        "{\"arch\":\"pha\",\"d_model\":32,\"n_layer\":2,\"n_head\":4,\"n_kv_head\":2,\"d_state\":32,"
        "\"d_ffn\":48,\"d_aux\":32}";
    OK(pha__write_file(config, json, sizeof json - 1));
    const char *inputs[] = {in_root("text.txt")};
    pha_prepare_options o = {
        .inputs = inputs, .n_inputs = 1, .out = data, .tokenizer = "bytes", .valid_fraction = 0.1, .test_fraction = -1};
    pha_prepare_result result;
    OK(pha_prepare(&o, &result));
    assert_true(result.train.tokens > 10000);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    OK(pha__remove_tree(root));
    return 0;
}

static pha_train_options options(void)
{
    return (pha_train_options){.config = config,
                               .data = data,
                               .context = 33,
                               .batch = 4,
                               .micro_batch = 2,
                               .steps = 20,
                               .lr = 3e-3,
                               .dropout = 0.1,
                               .seed = 7,
                               .threads = 2,
                               .warmup = 3};
}

static pha_trainer *open_trainer(const pha_train_options *o)
{
    pha_trainer *t;
    OK(pha_trainer_open(&t, o));
    return t;
}

static void steps(pha_trainer *t, int n)
{
    for (int i = 0; i < n; i++) OK(pha_trainer_step(t, NULL));
}

static void assert_same_weights(const pha_trainer *a, const pha_trainer *b)
{
    size_t n = (size_t)a->program->trainable * sizeof(float);
    assert_memory_equal(a->optimizer.weights, b->optimizer.weights, n);
    assert_memory_equal(a->optimizer.m, b->optimizer.m, n);
    assert_memory_equal(a->optimizer.v, b->optimizer.v, n);
}

/* 20 steps against 10, a checkpoint, and 10 more in a new process's state with another number of threads. */
static void resume_is_bit_identical(pha_precision precision, pha_schedule schedule)
{
    pha_train_options o = options();
    o.precision = precision, o.schedule = schedule;
    pha_trainer *whole = open_trainer(&o), *first = open_trainer(&o);
    steps(whole, 20);
    steps(first, 10);
    OK(pha_trainer_save(first, in_root("checkpoint")));
    pha_trainer_close(first);
    o.threads = 3;
    pha_trainer *second = open_trainer(&o);
    OK(pha_trainer_load(second, in_root("checkpoint")));
    assert_int_equal(second->step, 10);
    steps(second, 10);
    assert_same_weights(whole, second);
    pha_trainer_close(whole);
    pha_trainer_close(second);
}

static void test_resume(void **state)
{
    (void)state;
    resume_is_bit_identical(PHA_FP32, PHA_SCHEDULE_COSINE);
    resume_is_bit_identical(PHA_BF16, PHA_SCHEDULE_PLATEAU);
}

static void test_recompute_and_threads_change_nothing(void **state)
{
    (void)state;
    pha_train_options o = options();
    pha_trainer *a = open_trainer(&o);
    o.recompute = true, o.threads = 1;
    pha_trainer *b = open_trainer(&o);
    steps(a, 5);
    steps(b, 5);
    assert_same_weights(a, b);
    pha_trainer_close(a);
    pha_trainer_close(b);
}

static void test_a_step_allocates_nothing(void **state)
{
    (void)state;
    pha_train_options o = options();
    pha_trainer *t = open_trainer(&o);
    steps(t, 1);
    uint64_t before = pha__mem_count();
    steps(t, 5);
    assert_true(pha__mem_count() == before);
    pha_trainer_close(t);
}

/* A value that is not finite stops an update before weights change, and a run of them ends the training. */
static void test_guard(void **state)
{
    (void)state;
    pha_train_options o = options();
    pha_trainer *t = open_trainer(&o);
    t->optimizer.weights[0] = NAN;
    float *before = malloc((size_t)t->program->trainable * sizeof *before);
    memcpy(before, t->optimizer.weights, (size_t)t->program->trainable * sizeof *before);
    pha_step s;
    OK(pha_trainer_step(t, &s));
    assert_true(s.skipped);
    assert_memory_equal(before, t->optimizer.weights, (size_t)t->program->trainable * sizeof *before);
    pha_status status = PHA_OK;
    for (int i = 0; i < 30 && !status; i++) status = pha_trainer_step(t, &s);
    assert_int_equal(status, PHA_NUMERIC);
    free(before);
    pha_trainer_close(t);
}

static void test_another_run_is_refused(void **state)
{
    (void)state;
    pha_train_options o = options();
    pha_trainer *t = open_trainer(&o);
    OK(pha_trainer_save(t, in_root("checkpoint")));
    pha_trainer_close(t);
    o.batch = 8;
    t = open_trainer(&o);
    assert_int_equal(pha_trainer_load(t, in_root("checkpoint")), PHA_BAD_INPUT);
    assert_non_null(strstr(pha_errmsg(), "batch"));
    pha_trainer_close(t);
}

static void test_a_damaged_checkpoint_is_refused(void **state)
{
    (void)state;
    pha_train_options o = options();
    pha_trainer *t = open_trainer(&o);
    OK(pha_trainer_save(t, in_root("checkpoint")));
    FILE *f = fopen(in_root("checkpoint/m.safetensors"), "r+");
    assert_non_null(f);
    fseek(f, -3, SEEK_END);
    fputc(0x5a, f);
    fclose(f);
    assert_int_equal(pha_trainer_load(t, in_root("checkpoint")), PHA_BAD_INPUT);
    assert_non_null(strstr(pha_errmsg(), "checksum"));
    pha_trainer_close(t);
}

/* Killed at the n-th call that changes the file system, for every n until a save survives: the checkpoint is always a
 * whole one, the old or the new. */
static void test_kill_at_every_write_of_a_save(void **state)
{
    (void)state;
    pha_train_options o = options();
    o.threads = 1;
    const char *folder = in_root("killed");
    char path[128];
    snprintf(path, sizeof path, "%s", folder);
    for (int n = 1, alive = 0; !alive; n++) {
        assert_true(n < 500);
        pha_trainer *t = open_trainer(&o);
        steps(t, 1);
        OK(pha_trainer_save(t, path));
        pha_trainer_close(t);
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) {
            char text[16];
            pha_trainer *c;
            if (pha_trainer_open(&c, &o) || pha_trainer_load(c, path) || pha_trainer_step(c, NULL)) _exit(99);
            snprintf(text, sizeof text, "%d", n);
            setenv("PHA_FAULT_WRITE", text, 1);
            _exit(pha_trainer_save(c, path) ? 98 : 0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        alive = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        assert_true(alive || WIFSIGNALED(status) || WEXITSTATUS(status) == 137);
        t = open_trainer(&o);
        OK(pha_trainer_load(t, path));
        assert_true(t->step == 1 || t->step == 2);
        pha_trainer_close(t);
    }
}

/* A whole run, and the same run stopped in the middle and resumed, end with the same model. */
static void stop_after(void *user, const pha_progress *p)
{
    if (p->done >= *(double *)user) pha_request_stop();
}

/* The models that two runs ended with are equal to the byte. */
static void assert_same_model(const char *run_a, const char *run_b)
{
    char *x, *y, path[160];
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
    char a[128], b[128];
    snprintf(a, sizeof a, "%s", o.out);
    o.out = a;
    OK(pha_train(&o, &result));
    assert_int_equal(result.steps, 20);
    assert_true(isfinite(result.valid_ppl) && result.valid_ppl < 256);
    pha_train_result refused;
    assert_int_equal(pha_train(&o, &refused), PHA_USAGE); /* the folder holds a run */

    /* the model folder, read back, scores as the weights in memory did */
    char model[160];
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
    char a[128], b[128];
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

static void test_learns(void **state)
{
    (void)state;
    pha_train_options o = options();
    o.steps = 150, o.dropout = 0, o.micro_batch = 4;
    pha_trainer *t = open_trainer(&o);
    pha_step first, s;
    OK(pha_trainer_step(t, &first));
    for (int i = 1; i < 150; i++) OK(pha_trainer_step(t, &s));
    assert_true(first.loss > 5 && s.loss < 1.2); /* ln 257 = 5.55; the grammar needs about 0.4 nats a byte */
    pha_trainer_close(t);
}

static void test_errors(void **state)
{
    (void)state;
    pha_trainer *t;
    pha_train_options o = options();
    o.context = 1 << 18;
    assert_int_equal(pha_trainer_open(&t, &o), PHA_BAD_INPUT); /* the corpus is shorter than a window */
    assert_null(t);
    o = options();
    o.micro_batch = 3;
    assert_int_equal(pha_trainer_open(&t, &o), PHA_USAGE);
    o = options();
    o.data = in_root("nothing");
    assert_int_not_equal(pha_trainer_open(&t, &o), PHA_OK);
    assert_null(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_recompute_and_threads_change_nothing),
        cmocka_unit_test(test_a_step_allocates_nothing),
        cmocka_unit_test(test_guard),
        cmocka_unit_test(test_another_run_is_refused),
        cmocka_unit_test(test_a_damaged_checkpoint_is_refused),
        cmocka_unit_test(test_kill_at_every_write_of_a_save),
        cmocka_unit_test(test_stop_and_resume_a_run),
        cmocka_unit_test(test_a_disturbed_run_ends_the_same),
        cmocka_unit_test(test_learns),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
