/* test_snapshots.c -- means of models with known weights; which snapshots a run keeps, and what model/ is made of */
#include <sys/stat.h>

#include "damage.h"
#include "training.h"

static char folder[300], averaged[400], best[400];

/* ---- weights on disk ---- */

static pha__safetensors *weights_in(const char *model)
{
    pha__safetensors *file;
    char *path = pha__path_join(model, "model.safetensors");
    OK(pha__safetensors_open(&file, path));
    pha__free(path);
    return file;
}

/* Every number of `model` is the mean, in double, of those of the others. */
static bool is_mean(const char *model, char (*of)[500], int n)
{
    bool yes = true;
    pha__safetensors *mean = weights_in(model), *parts[8];
    for (int k = 0; k < n; k++) parts[k] = weights_in(of[k]);
    for (size_t i = 0; i < pha__safetensors_count(mean); i++) {
        const pha__tensor *x = pha__safetensors_at(mean, i);
        const float *part[8];
        for (int k = 0; k < n; k++) {
            const pha__tensor *p = pha__safetensors_find(parts[k], x->name);
            assert_true(p && p->size == x->size && p->dtype == PHA__F32);
            part[k] = p->data;
        }
        for (size_t j = 0; j < x->size / sizeof(float) && yes; j++) {
            double sum = 0;
            for (int k = 0; k < n; k++) sum += part[k][j];
            yes = fabs(((const float *)x->data)[j] - sum / n) <= 1e-7 * fabs(sum / n);
        }
    }
    for (int k = 0; k < n; k++) pha__safetensors_close(parts[k]);
    pha__safetensors_close(mean);
    return yes;
}

static void averages(void **state)
{
    (void)state;
    char models[5][500], vocab[300];
    const char *names[5];
    snprintf(vocab, sizeof vocab, "%s", in_root("vocab.json"));
    lab_write_config(vocab, lab_find("default"), 256);
    for (int k = 0; k < 5; k++) {
        snprintf(models[k], sizeof models[k], "%s/seed-%d", root, k);
        OK(pha_model_init(vocab, (uint64_t)k, NULL, models[k]));
        names[k] = models[k];
    }
    for (int n = 1; n <= 5; n++) {
        snprintf(averaged, sizeof averaged, "%s/mean-%d", root, n);
        OK(pha_model_average(names, (size_t)n, averaged));
        if (!is_mean(averaged, models, n)) fail_msg("%s is not the mean", averaged);
        if (n > 1) assert_false(is_mean(averaged, models, n - 1));
    }
    FAILS(USAGE, "at least one", pha_model_average(names, 0, averaged));
    lab_write_config(vocab, lab_find("qk dot"), 256);
    OK(pha__remove_tree(models[1]));
    OK(pha_model_init(vocab, 1, NULL, models[1]));
    FAILS(BAD_INPUT, "different configurations", pha_model_average(names, 2, averaged));
}

/* ---- what a run keeps ---- */

/* Losses of the evaluations in the log, by step; their number. */
static int losses(double *loss, int n, double *mean_loss)
{
    char path[400], line[4096];
    int count = 0;
    snprintf(path, sizeof path, "%s/log.jsonl", folder);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    for (int i = 0; i <= n; i++) loss[i] = INFINITY;
    while (fgets(line, sizeof line, f)) {
        json_t *json = json_loads(line, 0, NULL);
        const char *event = json_string_value(json_object_get(json, "event"));
        double value = json_number_value(json_object_get(json, "valid_loss"));
        if (!strcmp(event, "eval")) loss[json_integer_value(json_object_get(json, "step"))] = value, count++;
        if (!strcmp(event, "averaged_eval")) *mean_loss = value;
        json_decref(json);
    }
    fclose(f);
    return count;
}

/* best/ holds these steps and no other. */
static void keeps(const int *steps, int n)
{
    char **names, want[40];
    size_t found;
    OK(pha__list_dir(&names, &found, best));
    for (size_t i = 0; i < found; i++) print_message("%s%s", names[i], i + 1 < found ? ", " : " are kept\n");
    assert_int_equal(found, n);
    for (int k = 0; k < n; k++) {
        bool there = false;
        snprintf(want, sizeof want, "step-%d", steps[k]);
        for (size_t i = 0; i < found; i++) there |= !strcmp(names[i], want);
        if (!there) fail_msg("%s is not kept", want);
    }
    pha__free_list(names, found);
}

/* The steps with the least losses, best first. */
static void least(const double *loss, int n, int *steps, int k)
{
    bool taken[64] = {false};
    for (int i = 0; i < k; i++) {
        int at = 0;
        for (int s = 1; s <= n; s++)
            if (!taken[s] && (!at || loss[s] < loss[at])) at = s;
        steps[i] = at, taken[at] = true;
    }
}

static pha_train_options run_options(const char *name)
{
    pha_train_options o = options();
    snprintf(folder, sizeof folder, "%s/%s", root, name);
    snprintf(best, sizeof best, "%s/best", folder);
    snprintf(averaged, sizeof averaged, "%s/model", folder);
    o.out = folder, o.eval_every = 1, o.eval_tokens = 330, o.keep_best = 3, o.average_best = 2, o.warmup = -1;
    o.schedule = PHA_SCHEDULE_CONSTANT, o.spike = -1;
    return o;
}

static void weights_at(const pha_train_options *o, int n, const char *path)
{
    pha_trainer *t = open_trainer(o);
    for (int s = 0; s < n; s++) OK(pha_trainer_step(t, NULL));
    OK(pha_trainer_save_model(t, path));
    pha_trainer_close(t);
}

/* Four good steps, and four with a rate at which no model survives: the best are 4, 3 and 2, and 1 fell out for 4. What
 * is kept are the weights of that step. The mean of the best two is better than the last weights: it is the model. */
static void keeps_the_best(void **state)
{
    (void)state;
    pha_train_options o = run_options("best");
    pha_train_result result;
    double loss[9], mean = NAN;
    int steps[3];
    o.steps = 4;
    OK(pha_train(&o, &result));
    o.steps = 8, o.lr = 3, o.resume = true;
    OK(pha_train(&o, &result));
    assert_int_equal(losses(loss, 8, &mean), 8);
    for (int s = 5; s <= 8; s++) assert_true(loss[s] > loss[1]);
    least(loss, 8, steps, 3);
    keeps(steps, 3);
    char parts[2][500], alone[300];
    for (int k = 0; k < 2; k++) snprintf(parts[k], sizeof parts[k], "%s/step-%d", best, steps[k]);
    assert_true(mean < loss[8] && is_mean(averaged, parts, 2));

    o = options(), o.warmup = -1, o.schedule = PHA_SCHEDULE_CONSTANT;
    snprintf(alone, sizeof alone, "%s/alone", root);
    weights_at(&o, steps[0], alone);
    assert_true(is_mean(alone, parts, 1));
}

/* The last weights are the model where the mean is worse: here it mixes steps that are far apart. Without a wish for a
 * mean, or without snapshots, there is none. */
static void prefers_the_last(void **state)
{
    (void)state;
    static const struct { const char *name; int keep, average; } runs[] = {
        {"worse", 3, 3}, {"unmixed", 3, -1}, {"none", -1, 3}};
    for (int k = 0; k < 3; k++) {
        pha_train_options o = run_options(runs[k].name);
        pha_train_result result;
        double loss[61], mean = NAN;
        char last[1][500];
        o.steps = 60, o.lr = 1e-2, o.eval_every = 20, o.dropout = 0;
        o.keep_best = runs[k].keep, o.average_best = runs[k].average;
        OK(pha_train(&o, &result));
        assert_int_equal(losses(loss, 60, &mean), 3);
        assert_true(loss[60] < loss[40] && loss[40] < loss[20]);
        if (runs[k].keep > 0) keeps((int[]){20, 40, 60}, 3);
        else assert_false(pha__exists(best));
        if (k == 0) assert_true(mean > loss[60]);
        else assert_true(isnan(mean) && isnan(result.averaged_valid_ppl));
        snprintf(last[0], sizeof last[0], "%s/last-weights", root);
        weights_at(&o, 60, last[0]);
        assert_true(is_mean(averaged, last, 1));
    }
}

static int warnings;

static void count_warnings(void *context, pha__log_level level, const char *text)
{
    (void)context;
    warnings += level == PHA__LOG_WARN && strstr(text, "model/ gets the last weights");
}

/* The end of a run once more, as after one that was killed there. */
static pha_status finish_again(const pha_train_options *o, pha_train_result *result)
{
    char path[400];
    snprintf(path, sizeof path, "%s/log.jsonl", folder);
    OK(pha__append_file(path, "{\"event\": \"killed\"}\n", 20));
    return pha_train(o, result);
}

/* A snapshot that cannot be read ends the run with that error, and the model stays as it was; it can be tried again.
 * One that is damaged, or gone, is no part of any mean: the last weights are the model, and that is told. */
static void unreadable_snapshots(void **state)
{
    (void)state;
    pha_train_options o = run_options("unreadable");
    pha_train_result result;
    char last[1][500], snapshot[500];
    double loss[9], mean = NAN;
    int steps[2];
    o.steps = 4;
    OK(pha_train(&o, &result));
    o.steps = 8, o.lr = 3, o.resume = true; /* as above: the mean is the model */
    OK(pha_train(&o, &result));
    losses(loss, 8, &mean);
    least(loss, 8, steps, 2);
    snprintf(snapshot, sizeof snapshot, "%s/step-%d", best, steps[0]);
    whole_file before = read_whole(averaged, "model.safetensors"), part = read_whole(snapshot, "model.safetensors");

    pha__log_to(count_warnings, NULL);
    assert_true(remove(part.path) == 0 && mkdir(part.path, 0777) == 0);
    FAILS(IO, "model.safetensors", finish_again(&o, &result));
    whole_file now = read_whole(averaged, "model.safetensors");
    assert_true(now.size == before.size && !memcmp(now.data, before.data, now.size));
    pha__free(now.data);
    assert_int_equal(warnings, 0);

    assert_int_equal(rmdir(part.path), 0);
    put_flipped(&part, part.size - 9, 2);
    OK(finish_again(&o, &result));
    assert_int_equal(warnings, 1);
    snprintf(last[0], sizeof last[0], "%s/spoilt", root);
    pha_trainer *t = open_trainer(&o);
    char checkpoint[500];
    snprintf(checkpoint, sizeof checkpoint, "%s/checkpoint", folder);
    OK(pha_trainer_load(t, checkpoint));
    OK(pha_trainer_save_model(t, last[0]));
    pha_trainer_close(t);
    assert_true(is_mean(averaged, last, 1));

    remove(part.path);
    OK(finish_again(&o, &result));
    assert_int_equal(warnings, 2);
    put_back(&part);
    OK(finish_again(&o, &result));
    assert_int_equal(warnings, 2);
    now = read_whole(averaged, "model.safetensors");
    assert_true(now.size == before.size && !memcmp(now.data, before.data, now.size));
    pha__free(now.data);
    pha__free(before.data);
    pha__log_to(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(averages),
        cmocka_unit_test(keeps_the_best),
        cmocka_unit_test(prefers_the_last),
        cmocka_unit_test(unreadable_snapshots),
    };
    return cmocka_run_group_tests(tests, set_up, root_teardown);
}
