/* test_run_folder.c -- what a run folder survives: checkpoints that are damaged or gone, kills within a save and within
 * the start, a log that can't be written; and what in it is never touched */
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "runtime/train/run_folder.h"
#include "training.h"

static char quiet[300]; /* an undisturbed run of run_options */
static char said[4000];

static void hear(void *context, pha__log_level level, const char *text)
{
    (void)context, (void)level;
    strncat(said, text, sizeof said - strlen(said) - 2);
    strcat(said, "\n");
}

static pha_train_options run_options(const char *out)
{
    pha_train_options o = options();
    o.out = out, o.steps = 8, o.eval_every = 2, o.eval_tokens = 200, o.keep_best = 1, o.average_best = -1;
    o.threads = 1, o.command = "pha train here";
    return o;
}

static char *bytes_of(const char *folder, const char *name, size_t *size)
{
    char path[500], *bytes;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    OK(pha__read_file(&bytes, size, path, 1 << 28));
    return bytes;
}

static void assert_ends_as_quiet(const char *folder)
{
    size_t n, m;
    char *x = bytes_of(quiet, "model/model.safetensors", &n), *y = bytes_of(folder, "model/model.safetensors", &m);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    pha__free(x), pha__free(y);
}

static void stop_after(void *user, const pha_progress *p)
{
    if (p->done >= *(double *)user) pha_request_stop();
}

static void stopped_run(pha_train_options *o, double at)
{
    pha_train_result result;
    o->progress = stop_after, o->user = &at;
    assert_int_equal(pha_train(o, &result), PHA_STOPPED);
    pha_clear_stop();
    o->progress = NULL, o->resume = true;
}

static const char *in(const char *folder, const char *name)
{
    static char path[6][600];
    static int next;
    char *out = path[next++ % 6];
    snprintf(out, sizeof path[0], "%s/%s", folder, name);
    return out;
}

static void flip(const char *path)
{
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    fseek(f, -5, SEEK_END);
    int c = fgetc(f);
    fseek(f, -5, SEEK_END);
    fputc(c ^ 1, f);
    fclose(f);
}

/* ---- generations ---- */

static void goes_on(pha_train_options *o, const char *part)
{
    pha_train_result result;
    said[0] = 0;
    pha__log_to(hear, NULL);
    OK(pha_train(o, &result));
    pha__log_to(NULL, NULL);
    if (!strstr(said, part) || !strstr(said, "goes on from")) fail_msg("'%s' was said, not '%s'", said, part);
    assert_ends_as_quiet(o->out);
}

/* The older checkpoint is taken where the last is damaged, half gone or gone, and that is told; the damaged one is
 * kept. The run ends as if nothing had been. */
static void falls_back(void **state)
{
    (void)state;
    char out[300];
    for (int k = 0; k < 4; k++) {
        snprintf(out, sizeof out, "%s/back-%d", root, k);
        pha_train_options o = run_options(out);
        stopped_run(&o, 5);
        if (k == 0) flip(in(out, "checkpoint/m.safetensors"));
        if (k == 1) OK(pha__write_file(in(out, "checkpoint/trainer.json"), "{}", 2));
        if (k == 2) unlink(in(out, "checkpoint/trainer.json"));
        if (k == 3) OK(pha__remove_tree(in(out, "checkpoint")));
        static const char *const parts[] = {"checksum", "version", "No such file", "checkpoint: is missing"};
        goes_on(&o, parts[k]);
        assert_true(pha__is_dir(in(out, "checkpoint.damaged")) == (k < 3));
    }
}

/* Neither can be used: both reasons are told. One that belongs to another run is refused for that reason alone. */
static void both_damaged(void **state)
{
    (void)state;
    char out[300];
    snprintf(out, sizeof out, "%s/both", root);
    pha_train_options o = run_options(out);
    pha_train_result result;
    stopped_run(&o, 5);
    o.seed = 8;
    FAILS(BAD_INPUT, "another 'seed'", pha_train(&o, &result));
    assert_null(strstr(pha_errmsg(), "previous"));
    o.seed = 7;
    flip(in(out, "checkpoint/v.safetensors"));
    unlink(in(out, "checkpoint.previous/m.safetensors"));
    FAILS(BAD_INPUT, "checksum", pha_train(&o, &result));
    assert_non_null(strstr(pha_errmsg(), "checkpoint.previous/m.safetensors: cannot open"));
    assert_true(pha__is_dir(in(out, "checkpoint")) && pha__is_dir(in(out, "checkpoint.previous")));
}

/* A run that has made steps and has no checkpoint any more is not started over, and nothing of it is touched. */
static void lost(void **state)
{
    (void)state;
    char out[300];
    snprintf(out, sizeof out, "%s/lost", root);
    pha_train_options o = run_options(out);
    pha_train_result result;
    stopped_run(&o, 5);
    OK(pha__remove_tree(in(out, "checkpoint")));
    OK(pha__remove_tree(in(out, "checkpoint.previous")));
    size_t n, m;
    char *before = bytes_of(out, "log.jsonl", &n);
    FAILS(BAD_INPUT, "does not start over by itself", pha_train(&o, &result));
    char *after = bytes_of(out, "log.jsonl", &m);
    assert_true(n == m && pha__is_dir(in(out, "best")));
    pha__free(before), pha__free(after);
    unlink(in(out, "log.jsonl"));
    FAILS(BAD_INPUT, "best/", pha_train(&o, &result));
}

static int whole(const pha_train_options *o, const char *name)
{
    const char *path = in(o->out, name);
    if (!pha__exists(path)) return 0;
    pha_trainer *t = open_trainer(o);
    pha_status status = pha_trainer_load(t, path);
    pha_trainer_close(t);
    return status == PHA_OK;
}

/* Killed at every system call of the third save, also where names cannot be swapped: two whole checkpoints are there,
 * and the run goes on from the last or the one before. */
static void killed_saves(void **state)
{
    (void)state;
    char out[300];
    snprintf(out, sizeof out, "%s/saves", root);
    pha_train_options o = options();
    o.out = out, o.threads = 1;
    int status = 1, news = 0, olds = 0;
    for (int n = 1; n < 200 && status; n++) {
        OK(pha__remove_tree(out));
        OK(pha__mkdirs(out));
        pha_trainer *t = open_trainer(&o);
        for (int i = 0; i < 2; i++) {
            OK(pha__checkpoint_save(t));
            steps(t, 1);
        }
        fflush(NULL);
        pid_t child = fork();
        if (!child) {
            char text[16];
            snprintf(text, sizeof text, "%d", n);
            setenv("PHA_FAULT_EXCHANGE", "ENOSYS", 1);
            setenv("PHA_FAULT_WRITE", text, 1);
            _exit(pha__checkpoint_save(t));
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(!status || WIFSIGNALED(status));
        pha_trainer_close(t);
        int there = whole(&o, "checkpoint") + whole(&o, "checkpoint.previous") + whole(&o, "checkpoint.new");
        if (there < 2) fail_msg("killed at call %d: %d whole checkpoints", n, there);
        bool loaded;
        t = open_trainer(&o);
        OK(pha__checkpoint_load(t, &loaded));
        assert_true(loaded && (t->step == 1 || t->step == 2));
        news += t->step == 2, olds += t->step == 1;
        pha_trainer_close(t);
    }
    assert_true(!status && news > 5 && olds > 10);
}

/* ---- snapshots ---- */

static int64_t best_of(const char *out, const char *checkpoint)
{
    json_t *json;
    char path[500];
    snprintf(path, sizeof path, "%s/%s/trainer.json", out, checkpoint);
    OK(pha__json_load(&json, path, 1 << 20));
    const json_t *best = json_object_get(json, "best");
    assert_int_equal(json_array_size(best), 1);
    int64_t step = json_integer_value(json_object_get(json_array_get(best, 0), "step"));
    json_decref(json);
    return step;
}

static void copy_model(const char *from, const char *to)
{
    static const char *const parts[] = {"config.json", "model.safetensors", "README.md"};
    OK(pha__mkdirs(to));
    for (int i = 0; i < 3; i++) {
        size_t n;
        char *bytes = bytes_of(from, parts[i], &n);
        OK(pha__write_file(in(to, parts[i]), bytes, n));
        pha__free(bytes);
    }
}

/* What either checkpoint names stays. What goes is only a snapshot of ours: not notes, not a link, not a model that
 * somebody put there, not one with something else in it. */
static void prunes_its_own(void **state)
{
    (void)state;
    char out[300], text[64];
    snprintf(out, sizeof out, "%s/pruned", root);
    pha_train_options o = run_options(out);
    pha_train_result result;
    stopped_run(&o, 3); /* a snapshot at step 2 */
    int64_t last = best_of(out, "checkpoint");
    assert_int_equal(last, 2);
    OK(pha__write_file(in(out, "best/notes.txt"), "n", 1));
    copy_model(in(out, "best/step-2"), in(out, "best/step-900")); /* the card speaks of step 2 */
    copy_model(in(out, "best/step-2"), in(out, "best/keep"));
    copy_model(in(out, "best/step-2"), in(out, "elsewhere"));
    OK(pha__write_file(in(out, "elsewhere/README.md"), "\nSnapshot at step 901, validation loss 5.\n", 41));
    assert_int_equal(symlink("../elsewhere", in(out, "best/step-901")), 0);
    OK(pha_train(&o, &result));
    int64_t a = best_of(out, "checkpoint"), b = best_of(out, "checkpoint.previous");
    assert_true(a == 8 && b == 6); /* each was better than the one before */
    static const int steps_of[] = {2, 4, 6, 8, 900, 901};
    for (int i = 0; i < 6; i++) {
        snprintf(text, sizeof text, "best/step-%d", steps_of[i]);
        if (pha__is_dir(in(out, text)) != (steps_of[i] > 4)) fail_msg("%s: wrong", text);
    }
    assert_true(pha__is_dir(in(out, "best/keep")) && pha__exists(in(out, "best/notes.txt")));
    assert_true(pha__exists(in(out, "elsewhere/config.json")));

    OK(pha__write_file(in(out, "best/step-6/thesis.txt"), "t", 1));
    o.steps = 12;
    OK(pha_train(&o, &result)); /* 6 is named no more, but holds a thesis */
    assert_true(pha__exists(in(out, "best/step-6/thesis.txt")) && !pha__exists(in(out, "best/step-8")));
}

/* best/ behind a link may be anybody's: nothing is removed there. */
static void linked_best(void **state)
{
    (void)state;
    char out[300];
    snprintf(out, sizeof out, "%s/linked", root);
    pha_train_options o = run_options(out);
    pha_train_result result;
    stopped_run(&o, 3);
    OK(pha__remove_tree(in(out, "kept")));
    assert_int_equal(rename(in(out, "best"), in(out, "kept")), 0);
    assert_int_equal(symlink("kept", in(out, "best")), 0);
    OK(pha_train(&o, &result));
    assert_ends_as_quiet(out);
    assert_true(pha__is_dir(in(out, "kept/step-2")) && pha__is_dir(in(out, "kept/step-8")));
}

/* ---- the start ---- */

static pha_status in_child(const pha_train_options *o, int n, bool *killed)
{
    fflush(NULL);
    pid_t child = fork();
    if (!child) {
        char text[16];
        pha_train_result result;
        snprintf(text, sizeof text, "%d", n);
        setenv("PHA_FAULT_WRITE", text, 1);
        _exit(pha_train(o, &result));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    *killed = WIFSIGNALED(status);
    return *killed ? PHA_OK : (pha_status)WEXITSTATUS(status);
}

/* The names in a folder, one after another. */
static const char *names_in(const char *folder)
{
    static char text[2000];
    char **names;
    size_t n;
    text[0] = 0;
    OK(pha__list_dir(&names, &n, folder));
    for (size_t i = 0; i < n; i++)
        if (strncmp(names[i], "events.", 7)) strcat(strcat(text, names[i]), " ");
    pha__free_list(names, n);
    return text;
}

/* Killed at each of its first writes: the same command works, or says that there is a run, which can be resumed. */
static void killed_starts(void **state)
{
    (void)state;
    char out[300];
    snprintf(out, sizeof out, "%s/started", root);
    int same = 0, resumed = 0;
    for (int n = 1; n < 80; n += n < 40 ? 1 : 4) {
        OK(pha__remove_tree(out));
        pha_train_options o = run_options(out);
        pha_train_result result;
        bool killed;
        in_child(&o, n, &killed);
        assert_true(killed);
        pha_status status = pha_train(&o, &result);
        same += !status;
        if (status) {
            assert_int_equal(status, PHA_USAGE);
            assert_non_null(strstr(pha_errmsg(), "resume it with --resume"));
            o.resume = true, resumed++;
            OK(pha_train(&o, &result));
        }
        assert_ends_as_quiet(out);
        assert_string_equal(names_in(out), "best checkpoint checkpoint.previous config.json log.jsonl model run.json ");
    }
    assert_true(same > 20 && resumed > 5);
}

/* A start is not begun over that of another command, nor over files that are no run's. */
static void other_starts(void **state)
{
    (void)state;
    char out[300];
    snprintf(out, sizeof out, "%s/other", root);
    pha_train_options o = run_options(out);
    pha_train_result result;
    OK(pha__mkdirs(out));
    OK(pha__write_file(in(out, "config.json"), "{}", 2));
    FAILS(USAGE, "not a run", pha_train(&o, &result));
    OK(pha__write_file(in(out, "run.json"), "{\"command\": \"pha train there\"}", 30));
    FAILS(USAGE, "holds a run", pha_train(&o, &result));
    o.command = NULL;
    FAILS(USAGE, "holds a run", pha_train(&o, &result));
    assert_int_equal(pha__file_size(in(out, "run.json")), 30);
}

/* What a killed process left half made is gone when the run has ended; what is somebody's is not. */
static void sweeps(void **state)
{
    (void)state;
    char out[300];
    snprintf(out, sizeof out, "%s/swept", root);
    pha_train_options o = run_options(out);
    pha_train_result result;
    stopped_run(&o, 3);
    static const char *const left[] = {"checkpoint.new.writing/m.safetensors.tmp", "model.writing/config.json",
                                       "best/step-3.writing/model.safetensors.tmp", ".model.average/config.json",
                                       "best/.step-3.lock", "run.json.tmp", ".model.lock", "config.json.tmp"};
    static const char *const foreign[] = {"checkpoint.writing/thesis.txt", "best/step-5.writing/thesis.txt",
                                          "notes.tmp", "best/other.writing/config.json", ".git/config"};
    for (int i = 0; i < 13; i++) {
        const char *path = in(out, i < 8 ? left[i] : foreign[i - 8]);
        char folder[600];
        snprintf(folder, sizeof folder, "%s", path);
        *strrchr(folder, '/') = 0;
        OK(pha__mkdirs(folder));
        OK(pha__write_file(path, "", 0));
    }
    OK(pha_train(&o, &result));
    for (int i = 0; i < 8; i++)
        if (pha__exists(in(out, left[i]))) fail_msg("%s is still there", left[i]);
    for (int i = 0; i < 5; i++)
        if (!pha__exists(in(out, foreign[i]))) fail_msg("%s is gone", foreign[i]);
    assert_false(pha__exists(in(out, "best/step-3.writing")) || pha__exists(in(out, "checkpoint.new.writing")));
}

/* ---- failures beside the training ---- */

static void spoil_log(void *user, const pha_progress *p)
{
    if (p->done != 5) return;
    const char *log = in(user, "log.jsonl");
    assert_int_equal(rename(log, in(user, "saved")), 0);
    assert_int_equal(mkfifo(log, 0600), 0);
}

/* The log can't be written from step 6 on: the steps made so far are saved before the run ends with that failure. */
static void saves_before_it_fails(void **state)
{
    (void)state;
    char out[300];
    snprintf(out, sizeof out, "%s/unlogged", root);
    pha_train_options o = run_options(out);
    pha_train_result result;
    o.progress = spoil_log, o.user = out;
    FAILS(IO, "log.jsonl: cannot open for appending", pha_train(&o, &result));
    pha_trainer *t = open_trainer(&o);
    OK(pha_trainer_load(t, in(out, "checkpoint")));
    assert_true(t->step == 6 && t->eval_due);
    pha_trainer_close(t);
    assert_int_equal(rename(in(out, "saved"), in(out, "log.jsonl")), 0);
    o.progress = NULL, o.resume = true;
    OK(pha_train(&o, &result));
    assert_ends_as_quiet(out);
}

static int set_up_run(void **state)
{
    set_up(state);
    snprintf(quiet, sizeof quiet, "%s/quiet", root);
    pha_train_options o = run_options(quiet);
    pha_train_result result;
    OK(pha_train(&o, &result));
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(falls_back),     cmocka_unit_test(both_damaged), cmocka_unit_test(lost),
        cmocka_unit_test(killed_saves),   cmocka_unit_test(prunes_its_own), cmocka_unit_test(linked_best),
        cmocka_unit_test(killed_starts),  cmocka_unit_test(other_starts), cmocka_unit_test(sweeps),
        cmocka_unit_test(saves_before_it_fails),
    };
    return cmocka_run_group_tests(tests, set_up_run, root_teardown);
}
