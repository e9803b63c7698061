/* test_run_folder.c -- what a run folder survives: checkpoints that are damaged or gone, kills within a save and within
 * the start, a log that can't be written; and what in it is never touched */
#include <sys/stat.h>

#include "runtime/train/run_folder.h"
#include "support/child.h"
#include "telling.h"

static char quiet[300]; /* an undisturbed run of run_options */
static char out[300];   /* that of the test */

static pha_train_options run_options(const char *folder)
{
    pha_train_options o = options();
    o.out = folder, o.steps = 8, o.eval_every = 2, o.eval_tokens = 200, o.keep_best = 1, o.average_best = -1;
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

/* A run in root/name, which is `out` from now on. */
static pha_train_options new_run(const char *name)
{
    snprintf(out, sizeof out, "%s/%s", root, name);
    return run_options(out);
}

/* The same, stopped after `at` steps, and what goes on from there. */
static pha_train_options stopped_run(const char *name, double at)
{
    pha_train_options o = new_run(name);
    o.progress = stop_after, o.user = &at;
    assert_int_equal(pha_train(&o, NULL), PHA_STOPPED);
    pha_clear_stop();
    o.progress = NULL, o.resume = true;
    return o;
}

static const char *in(const char *folder, const char *name)
{
    static char path[6][600];
    static int next;
    char *at = path[next++ % 6];
    snprintf(at, sizeof path[0], "%s/%s", folder, name);
    return at;
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
    OK(train(o, NULL));
    tells(part);
    tells("goes on from");
    assert_ends_as_quiet(o->out);
}

/* The older checkpoint is taken where the last is damaged, half gone or gone, and that is told; the damaged one is
 * kept. The run ends as if nothing had been. */
static void falls_back(void **state)
{
    (void)state;
    for (int k = 0; k < 4; k++) {
        char name[20];
        snprintf(name, sizeof name, "back-%d", k);
        pha_train_options o = stopped_run(name, 5);
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
    pha_train_options o = stopped_run("both", 5);
    o.seed = 8;
    FAILS(BAD_INPUT, "another 'seed'", pha_train(&o, NULL));
    assert_null(strstr(pha_errmsg(), "previous"));
    o.seed = 7;
    flip(in(out, "checkpoint/v.safetensors"));
    unlink(in(out, "checkpoint.previous/m.safetensors"));
    FAILS(BAD_INPUT, "checksum", pha_train(&o, NULL));
    assert_non_null(strstr(pha_errmsg(), "checkpoint.previous/m.safetensors: cannot open"));
    assert_true(pha__is_dir(in(out, "checkpoint")) && pha__is_dir(in(out, "checkpoint.previous")));
}

/* A run that has made steps and has no checkpoint any more is not started over, and nothing of it is touched. */
static void lost(void **state)
{
    (void)state;
    pha_train_options o = stopped_run("lost", 5);
    OK(pha__remove_tree(in(out, "checkpoint")));
    OK(pha__remove_tree(in(out, "checkpoint.previous")));
    size_t n, m;
    char *before = bytes_of(out, "log.jsonl", &n);
    FAILS(BAD_INPUT, "does not start over by itself", pha_train(&o, NULL));
    char *after = bytes_of(out, "log.jsonl", &m);
    assert_true(n == m && pha__is_dir(in(out, "best")));
    pha__free(before), pha__free(after);
    unlink(in(out, "log.jsonl"));
    FAILS(BAD_INPUT, "best/", pha_train(&o, NULL));
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

static int save_without_swap(void *t)
{
    setenv("PHA_FAULT_EXCHANGE", "ENOSYS", 1);
    return pha__checkpoint_save(t);
}

/* Killed at every system call of the third save, also where names cannot be swapped: two whole checkpoints are there,
 * and the run goes on from the last or the one before. */
static void killed_saves(void **state)
{
    (void)state;
    pha_train_options o = new_run("saves");
    int result = -1, news = 0, olds = 0;
    for (int n = 1; n < 200 && result; n++) {
        OK(pha__remove_tree(out));
        OK(pha__mkdirs(out));
        pha_trainer *t = open_trainer(&o);
        for (int i = 0; i < 2; i++) {
            OK(pha__checkpoint_save(t));
            steps(t, 1);
        }
        result = in_child("PHA_FAULT_WRITE", n, save_without_swap, t);
        assert_true(result <= 0);
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
    assert_true(!result && news > 5 && olds > 10);
}

/* ---- snapshots ---- */

static int64_t best_of(const char *checkpoint)
{
    json_t *json;
    char name[100];
    snprintf(name, sizeof name, "%s/trainer.json", checkpoint);
    OK(pha__json_load(&json, in(out, name), 1 << 20));
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
    char text[64];
    pha_train_options o = stopped_run("pruned", 3); /* a snapshot at step 2 */
    int64_t last = best_of("checkpoint");
    assert_int_equal(last, 2);
    OK(pha__write_file(in(out, "best/notes.txt"), "n", 1));
    copy_model(in(out, "best/step-2"), in(out, "best/step-900")); /* the card speaks of step 2 */
    copy_model(in(out, "best/step-2"), in(out, "best/keep"));
    copy_model(in(out, "best/step-2"), in(out, "elsewhere"));
    OK(pha__write_file(in(out, "elsewhere/README.md"), "\nSnapshot at step 901, validation loss 5.\n", 41));
    assert_int_equal(symlink("../elsewhere", in(out, "best/step-901")), 0);
    OK(pha_train(&o, NULL));
    int64_t a = best_of("checkpoint"), b = best_of("checkpoint.previous");
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
    OK(pha_train(&o, NULL)); /* 6 is named no more, but holds a thesis */
    assert_true(pha__exists(in(out, "best/step-6/thesis.txt")) && !pha__exists(in(out, "best/step-8")));
}

/* A checkpoint behind a link: the one before lies where the link leads, and what it names stays. */
static void linked_checkpoint(void **state)
{
    (void)state;
    pha_train_options o = stopped_run("far", 3);
    OK(pha__mkdirs(in(out, "disk")));
    assert_int_equal(rename(in(out, "checkpoint"), in(out, "disk/last")), 0);
    assert_int_equal(symlink("disk/last", in(out, "checkpoint")), 0);
    OK(pha_train(&o, NULL));
    assert_ends_as_quiet(out);
    assert_true(best_of("checkpoint") == 8 && best_of("disk/last.previous") == 6);
    assert_true(pha__is_dir(in(out, "best/step-8")) && pha__is_dir(in(out, "best/step-6")));
    assert_false(pha__exists(in(out, "best/step-4")));
}

/* best/ behind a link may be anybody's: nothing is removed there. */
static void linked_best(void **state)
{
    (void)state;
    pha_train_options o = stopped_run("linked", 3);
    OK(pha__remove_tree(in(out, "kept")));
    assert_int_equal(rename(in(out, "best"), in(out, "kept")), 0);
    assert_int_equal(symlink("kept", in(out, "best")), 0);
    OK(pha_train(&o, NULL));
    assert_ends_as_quiet(out);
    assert_true(pha__is_dir(in(out, "kept/step-2")) && pha__is_dir(in(out, "kept/step-8")));
}

/* ---- the start ---- */

static int start(void *options) { return pha_train(options, NULL); }

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
    int same = 0, resumed = 0;
    for (int n = 1; n < 80; n += n < 40 ? 1 : 4) {
        pha_train_options o = new_run("started");
        OK(pha__remove_tree(out));
        assert_int_equal(in_child("PHA_FAULT_WRITE", n, start, &o), -1);
        pha_status status = pha_train(&o, NULL);
        same += !status;
        if (status) {
            assert_int_equal(status, PHA_USAGE);
            assert_non_null(strstr(pha_errmsg(), "resume it with --resume"));
            o.resume = true, resumed++;
            OK(pha_train(&o, NULL));
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
    pha_train_options o = new_run("other");
    OK(pha__mkdirs(out));
    OK(pha__write_file(in(out, "config.json"), "{}", 2));
    FAILS(USAGE, "not a run", pha_train(&o, NULL));
    OK(pha__write_file(in(out, "run.json"), "{\"command\": \"pha train there\"}", 30));
    FAILS(USAGE, "holds a run", pha_train(&o, NULL));
    o.command = NULL;
    FAILS(USAGE, "holds a run", pha_train(&o, NULL));
    assert_int_equal(pha__file_size(in(out, "run.json")), 30);
}

/* What a killed process left half made is gone when the run has ended; what is somebody's is not. */
static void sweeps(void **state)
{
    (void)state;
    pha_train_options o = stopped_run("swept", 3);
    static const char *const left[] = {"checkpoint.new.writing/.m.safetensors.pha-tmp", "model.writing/config.json",
                                       "best/step-3.writing/.model.safetensors.pha-tmp", ".model.average/config.json",
                                       "best/.step-3.lock", ".run.json.pha-tmp", ".model.lock",
                                       ".config.json.pha-tmp", "best/.step-3.removed/config.json",
                                       "best/.step-3.replaced/config.json", ".model.removed/config.json"};
    static const char *const foreign[] = {"checkpoint.writing/thesis.txt", "best/step-5.writing/thesis.txt",
                                          "run.json.tmp", "best/other.writing/config.json", ".git/config",
                                          "best/.step-5.removed/thesis.txt"};
    enum { LEFT = sizeof left / sizeof *left, FOREIGN = sizeof foreign / sizeof *foreign };
    for (int i = 0; i < LEFT + FOREIGN; i++) {
        const char *path = in(out, i < LEFT ? left[i] : foreign[i - LEFT]);
        char folder[600];
        snprintf(folder, sizeof folder, "%s", path);
        *strrchr(folder, '/') = 0;
        OK(pha__mkdirs(folder));
        OK(pha__write_file(path, "", 0));
    }
    OK(pha_train(&o, NULL));
    for (int i = 0; i < LEFT; i++)
        if (pha__exists(in(out, left[i]))) fail_msg("%s is still there", left[i]);
    for (int i = 0; i < FOREIGN; i++)
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
    pha_train_options o = new_run("unlogged");
    o.progress = spoil_log, o.user = out;
    FAILS(IO, "log.jsonl: cannot open for appending", pha_train(&o, NULL));
    pha_trainer *t = open_trainer(&o);
    OK(pha_trainer_load(t, in(out, "checkpoint")));
    assert_true(t->step == 6 && t->eval_due);
    pha_trainer_close(t);
    assert_int_equal(rename(in(out, "saved"), in(out, "log.jsonl")), 0);
    o.progress = NULL, o.resume = true;
    OK(pha_train(&o, NULL));
    assert_ends_as_quiet(out);
}

static int set_up_run(void **state)
{
    set_up(state);
    snprintf(quiet, sizeof quiet, "%s/quiet", root);
    pha_train_options o = run_options(quiet);
    OK(pha_train(&o, NULL));
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(falls_back),
        cmocka_unit_test(both_damaged),
        cmocka_unit_test(lost),
        cmocka_unit_test(killed_saves),
        cmocka_unit_test(prunes_its_own),
        cmocka_unit_test(linked_best),
        cmocka_unit_test(linked_checkpoint),
        cmocka_unit_test(killed_starts),
        cmocka_unit_test(other_starts),
        cmocka_unit_test(sweeps),
        cmocka_unit_test(saves_before_it_fails),
    };
    return cmocka_run_group_tests(tests, set_up_run, root_teardown);
}
