/* test_train.c -- steps of training: bit-identical resume on any number of threads, guards, crashes in a save */
#include <signal.h>
#include <sys/wait.h>

#include "training.h"

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
    same_training(whole, second);
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
    same_training(a, b);
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
    float bad[48 * 32] = {NAN};
    int up = pha__find_param(t->program, "layer0.ffn.up")->index;
    assert_int_equal(pha__param_size(t->program, up), 48 * 32);
    OK(pha__store_copy_in(t->store, PHA__WEIGHT, up, bad));
    size_t n;
    float *before = numbers(t, PHA__WEIGHT, &n), *after;
    pha_step s;
    OK(pha_trainer_step(t, &s));
    assert_true(s.skipped);
    after = numbers(t, PHA__WEIGHT, &n);
    assert_memory_equal(before, after, n * sizeof *before);
    free(after);
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

static void test_a_checkpoint_replaces_only_its_like(void **state)
{
    (void)state;
    char folder[300], file[400];
    snprintf(folder, sizeof folder, "%s/project", root);
    snprintf(file, sizeof file, "%s/thesis.txt", folder);
    OK(pha__mkdirs(folder));
    OK(pha__write_file(file, "years", 5));
    pha_train_options o = options();
    pha_trainer *t = open_trainer(&o);
    FAILS(USAGE, "thesis.txt", pha_trainer_save(t, folder));
    assert_true(pha__exists(file));
    OK(pha_trainer_save(t, in_root("saved")));
    OK(pha_trainer_save(t, in_root("saved")));
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
    char path[300];
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

/* Without a wish the context is what the corpus allows; a model with another tokenizer isn't a place to start from. */
static void test_small_corpus(void **state)
{
    (void)state;
    char folder[300], model[300], text[300];
    snprintf(folder, sizeof folder, "%s/small", root);
    snprintf(model, sizeof model, "%s/small-model", root);
    snprintf(text, sizeof text, "%s/small.txt", root);
    write_text(text, 30);
    const char *inputs[] = {text};
    pha_prepare_options p = {.inputs = inputs, .n_inputs = 1, .out = folder, .vocab_size = 270, .valid_fraction = -1,
                             .test_fraction = -1};
    pha_prepare_result prepared;
    OK(pha_prepare(&p, &prepared));
    pha_train_options o = options();
    o.data = folder, o.context = 0, o.batch = 1, o.micro_batch = 1;
    pha_trainer *t = open_trainer(&o);
    assert_int_equal(t->o.context, prepared.train.tokens > 1024 ? 1024 : prepared.train.tokens - 1);
    assert_true(t->o.context < 1024);
    OK(pha_trainer_save_model(t, model));
    pha_trainer_close(t);
    o.config = NULL, o.init_from = model;
    pha_trainer_close(open_trainer(&o));
    o.data = data;
    assert_int_equal(pha_trainer_open(&t, &o), PHA_BAD_INPUT);
    assert_non_null(strstr(pha_errmsg(), "tokenizer"));
}

void pha__muon_reference(double *o, const double *u, int rows, int width); /* ops/muon/muon_test.c */

/* One step from zero momentum: u = 1.95 g, and the scale of the clip does not matter. */
static void check_muon(const pha_trainer *t, const char *path, const float *before, double lr, double decay)
{
    const pha__node *v = pha__find_param(t->program, path);
    size_t n = (size_t)pha__param_size(t->program, v->index);
    float *after = malloc(2 * n * sizeof *after), *g = after + n;
    double *u = malloc(2 * n * sizeof *u), *o = u + n, error = 0, size = 0;
    OK(pha__store_copy_out(t->store, PHA__WEIGHT, v->index, after));
    OK(pha__store_copy_out(t->store, PHA__GRADIENT, v->index, g));
    for (size_t i = 0; i < n; i++) u[i] = g[i];
    pha__muon_reference(o, u, v->rows, v->width);
    for (size_t i = 0; i < n; i++) {
        double step = -lr * decay * before[i] - lr * 0.2 * sqrt(v->rows > v->width ? v->rows : v->width) * o[i];
        error += (after[i] - before[i] - step) * (after[i] - before[i] - step), size += step * step;
    }
    if (!(sqrt(error / size) < 1e-3)) fail_msg("%s: E2 of the step is %g", path, sqrt(error / size));
    free(after), free(u);
}

/* Matrices of the layers take Muon's step, all else AdamW's, to the bit. */
static void test_muon(void **state)
{
    (void)state;
    pha_train_options o = options();
    o.warmup = -1, o.schedule = PHA_SCHEDULE_CONSTANT, o.weight_decay = 0.5;
    pha_trainer *adam = open_trainer(&o);
    o.optimizer = PHA_OPTIMIZER_MUON;
    pha_trainer *t = open_trainer(&o);
    size_t n, m;
    float *before = numbers(t, PHA__WEIGHT, &n);
    steps(adam, 1), steps(t, 1);
    float *x = numbers(adam, PHA__WEIGHT, &n), *y = numbers(t, PHA__WEIGHT, &m);
    int matrices = 0;
    for (size_t i = 0, at = 0; i < (size_t)t->program->n_params; i++) {
        const pha__node *v = t->program->params[i];
        size_t size = (size_t)pha__param_size(t->program, (int)i);
        bool its = v->kind == PHA__MATRIX && strcmp(v->path, "embed") != 0;
        if (v->kind == PHA__CONSTANT) continue;
        if (its == !memcmp(x + at, y + at, size * sizeof *x)) fail_msg("%s is %sof Muon", v->path, its ? "not " : "");
        if (its) check_muon(t, v->path, before + at, o.lr, 0.5);
        matrices += its, at += size;
    }
    assert_int_equal(matrices, 2 * (4 + 4 + 3 + 3));
    free(before), free(x), free(y);
    pha_trainer_close(adam), pha_trainer_close(t);
}

/* The momentum is in the checkpoint; the number of threads and a repeated forward pass change nothing. */
static void test_muon_goes_on(void **state)
{
    (void)state;
    pha_train_options o = options();
    o.optimizer = PHA_OPTIMIZER_MUON, o.threads = 1;
    pha_trainer *a = open_trainer(&o);
    o.threads = 3, o.recompute = true;
    pha_trainer *b = open_trainer(&o), *c = open_trainer(&o);
    steps(a, 3), steps(b, 2);
    OK(pha_trainer_save(b, in_root("muon")));
    OK(pha_trainer_load(c, in_root("muon")));
    steps(c, 1);
    same_training(a, c);
    o.optimizer = PHA_OPTIMIZER_ADAMW;
    pha_trainer *other = open_trainer(&o);
    FAILS(BAD_INPUT, "optimizer", pha_trainer_load(other, in_root("muon")));
    pha_trainer_close(a), pha_trainer_close(b), pha_trainer_close(c), pha_trainer_close(other);
}

/* A folder of GPT-2 is a place to start from, as one of ours is. */
static void test_from_the_hub(void **state)
{
    (void)state;
    char ours[300], theirs[300], file[300];
    snprintf(ours, sizeof ours, "%s", in_root("gpt2"));
    snprintf(theirs, sizeof theirs, "%s", in_root("gpt2-hub"));
    snprintf(file, sizeof file, "%s", in_root("gpt2.json"));
    lab_write_config(file, &(lab_variant){"hub", "gpt2", "\"d_model\": 32, \"n_kv_head\": 4, \"d_ffn\": 128"}, 257);
    OK(pha_model_init(file, 5, "bytes", ours));
    OK(pha_export(&(pha_export_options){.model = ours, .format = PHA_EXPORT_GPT2, .out = theirs}));
    pha_train_options o = options();
    o.config = NULL, o.init_from = ours;
    pha_trainer *a = open_trainer(&o);
    o.init_from = theirs;
    pha_trainer *b = open_trainer(&o);
    steps(a, 2), steps(b, 2);
    same_training(a, b);
    pha_trainer_close(a), pha_trainer_close(b);
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
        cmocka_unit_test(test_a_checkpoint_replaces_only_its_like),
        cmocka_unit_test(test_kill_at_every_write_of_a_save),
        cmocka_unit_test(test_learns),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_small_corpus),
        cmocka_unit_test(test_from_the_hub),
        cmocka_unit_test(test_muon),
        cmocka_unit_test(test_muon_goes_on),
    };
    return cmocka_run_group_tests(tests, set_up, root_teardown);
}
