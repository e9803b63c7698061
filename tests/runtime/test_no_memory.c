/* test_no_memory.c -- whatever allocation of a piece of work fails: NO_MEMORY, nothing leaks, and what was on disk is
 * there as it was and can be used
 *
 * A sample of them in a check, all with PHA_ALL_ALLOCATIONS=1 (tools/nightly).
 */
#include "support/allocations.h"

#include "base/hash.h"
#include "runtime/infer/session.h"
#include "training.h"

/* A checksum of all names and bytes below a path; 0 if there is nothing. */
static uint64_t sum_of(const char *path)
{
    char **names, *text;
    size_t n;
    uint64_t sum = 0;
    if (!pha__exists(path)) return 0;
    if (!pha__is_dir(path)) {
        OK(pha__read_file(&text, &n, path, 1 << 28));
        sum = pha__hash(text, n, 1);
        pha__free(text);
        return sum;
    }
    OK(pha__list_dir(&names, &n, path));
    for (size_t i = 0; i < n; i++) {
        char *inner = pha__path_join(path, names[i]);
        sum = pha__hash(names[i], strlen(names[i]), sum) ^ sum_of(inner);
        pha__free(inner);
    }
    pha__free_list(names, n);
    return sum + 1;
}

/* What is worked on: a place on disk, its sum before, and how to use what lies there. */
typedef struct work {
    char place[300];
    uint64_t before;
    pha_status (*use)(const char *place);
    pha_trainer *trainer;
    pha_model *model;
    pha_session *session;
} work;

static void put_at(work *w, const char *name) { snprintf(w->place, sizeof w->place, "%s/%s", root, name); }

static void as_it_was(void *context)
{
    const work *w = context;
    char beside[420];
    snprintf(beside, sizeof beside, "%s.writing", w->place);
    assert_false(pha__exists(beside));
    snprintf(beside, sizeof beside, "%s/.%s.pha-tmp", root, strrchr(w->place, '/') + 1);
    assert_false(pha__exists(beside));
    assert_true(sum_of(w->place) == w->before);
    OK(w->use(w->place));
}

/* Fails all of it and then sees that the work had an effect. */
static void starve(pha_status (*attempt)(void *), work *w, uint64_t dense, uint64_t least)
{
    w->before = sum_of(w->place);
    assert_true(w->before != 0);
    assert_true(fail_allocations_then(attempt, as_it_was, w, dense) > least);
    OK(w->use(w->place));
    assert_true(sum_of(w->place) != w->before);
}

/* ---- a checkpoint ---- */

static pha_status load_checkpoint(const char *place)
{
    pha_train_options o = options();
    o.threads = 1;
    pha_trainer *t;
    TRY(pha_trainer_open(&t, &o));
    pha_status status = pha_trainer_load(t, place);
    pha_trainer_close(t);
    return status;
}

static pha_status save_checkpoint(void *context)
{
    const work *w = context;
    return pha_trainer_save(w->trainer, w->place);
}

static void a_checkpoint(void **state)
{
    (void)state;
    pha_train_options o = options();
    o.threads = 1;
    work w = {.use = load_checkpoint, .trainer = open_trainer(&o)};
    put_at(&w, "state");
    steps(w.trainer, 1);
    OK(pha_trainer_save(w.trainer, w.place));
    steps(w.trainer, 1);
    starve(save_checkpoint, &w, 20, 300);
    pha_trainer_close(w.trainer);
}

/* ---- models ---- */

static pha_status open_model(const char *place)
{
    pha_model *m = (void *)1;
    pha_status status = pha_model_open(&m, place);
    if (status) assert_null(m);
    else pha_model_close(m);
    return status;
}

static pha_status init_model(void *context)
{
    const work *w = context;
    return pha_model_init(in_root("model.json"), 5, "bytes", w->place);
}

static void make_config(void) { lab_write_config(in_root("model.json"), lab_find("default"), 0); }

static void a_new_model(void **state)
{
    (void)state;
    make_config();
    work w = {.use = open_model};
    put_at(&w, "new");
    OK(pha_model_init(in_root("model.json"), 4, "bytes", w.place));
    starve(init_model, &w, 20, 300);
}

static pha_status average(void *context)
{
    const work *w = context;
    const char *const folders[] = {in_root("one"), in_root("two"), in_root("one")};
    return pha_model_average(folders, 3, w->place);
}

static void an_average(void **state)
{
    (void)state;
    make_config();
    work w = {.use = open_model};
    put_at(&w, "mean");
    OK(pha_model_init(in_root("model.json"), 1, "bytes", in_root("one")));
    OK(pha_model_init(in_root("model.json"), 2, "bytes", in_root("two")));
    OK(pha_model_init(in_root("model.json"), 3, "bytes", w.place));
    starve(average, &w, 20, 1000);
}

static pha_status export(void *context)
{
    work *w = context;
    char folder[300];
    snprintf(folder, sizeof folder, "%s", in_root("square"));
    return pha_export(&(pha_export_options){.model = folder, .format = PHA_EXPORT_GPT2, .out = w->place});
}

static pha_status export_hf(void *context)
{
    work *w = context;
    char folder[300];
    snprintf(folder, sizeof folder, "%s", in_root("one"));
    return pha_export(&(pha_export_options){.model = folder, .out = w->place});
}

static void an_export_with_code(void **state)
{
    (void)state;
    make_config();
    work w = {.use = open_model};
    put_at(&w, "hub");
    OK(pha_model_init(in_root("model.json"), 1, "bytes", in_root("one")));
    OK(pha_model_init(in_root("model.json"), 2, "bytes", w.place));
    starve(export_hf, &w, 20, 1000);
}

static pha_status import(void *context)
{
    work *w = context;
    char file[300];
    const char *from = file;
    snprintf(file, sizeof file, "%s", in_root("ids.bin"));
    return pha_import(&(pha_import_options){.from = &from, .n_from = 1, .tokenizer = "bytes", .out = w->place}, NULL);
}

static pha_status open_data(const char *place)
{
    pha__split_info info;
    return pha__data_info(&info, place, "train");
}

static void an_import(void **state)
{
    (void)state;
    work w = {.use = open_data};
    put_at(&w, "imported");
    OK(pha__write_file(in_root("ids.bin"), "a\0b\0c", 6));
    OK(import(&w));
    OK(pha__write_file(in_root("ids.bin"), "d\0e", 4));
    starve(import, &w, 20, 100);
}

static void an_export(void **state)
{
    (void)state;
    work w = {.use = open_model};
    put_at(&w, "exported");
    lab_write_config(in_root("square.json"), &(lab_variant){"square", "gpt2", "\"n_kv_head\": 4"}, 257);
    OK(pha_model_init(in_root("square.json"), 1, "bytes", in_root("square")));
    OK(pha_model_init(in_root("square.json"), 2, "bytes", w.place));
    starve(export, &w, 20, 1000);
}

static pha_status convert(void *context)
{
    const work *w = context;
    pha_convert_options o = {.model = in_root("teacher"), .data = data, .out = w->place, .context = 8, .batch = 1,
                             .steps = 2, .eval_tokens = 8, .threads = 1};
    return pha_convert(&o, NULL);
}

static void a_conversion(void **state)
{
    (void)state;
    work w = {.use = open_model};
    put_at(&w, "converted");
    lab_write_config(in_root("gpt2.json"),
                     &(lab_variant){"gpt2", "gpt2", "\"d_model\": 32, \"n_kv_head\": null, \"n_positions\": 9"}, 0);
    OK(pha_model_init(in_root("gpt2.json"), 1, "bytes", in_root("teacher")));
    OK(pha_model_init(in_root("gpt2.json"), 2, "bytes", w.place));
    starve(convert, &w, 20, 300);
    assert_false(pha__exists(in_root("converted.converting")));
}

static pha_status open_place(void *place) { return open_model(place); }

static pha_status open_tokenizer(void *place)
{
    pha_tokenizer *t = (void *)1;
    pha_status status = pha_tokenizer_open(&t, place);
    if (status) assert_null(t);
    else pha_tokenizer_close(t);
    return status;
}

/* A healthy file is never called a damaged one. */
static void opening(void **state)
{
    (void)state;
    make_config();
    char place[300];
    snprintf(place, sizeof place, "%s", in_root("opened"));
    OK(pha_model_init(in_root("model.json"), 1, "bytes", place));
    assert_true(fail_allocations(open_place, place, 60) > 300);
    assert_true(fail_allocations(open_tokenizer, place, 60) > 300);
}

/* ---- sessions ---- */

enum { CONTEXT = 64 };

static pha_model *session_model;

static pha_session *open_session(void)
{
    pha_session *s;
    OK(pha_session_open(&s, session_model, &(pha_session_options){.max_context = CONTEXT, .threads = 1}));
    return s;
}

static pha_status load_session(const char *place)
{
    pha_session *s = open_session();
    pha_status status = pha_session_load(s, place);
    pha_session_close(s);
    return status;
}

static pha_status save_session(void *context)
{
    const work *w = context;
    return pha_session_save(w->session, w->place);
}

static pha_status load_place(void *context)
{
    const work *w = context;
    return pha_session_load(w->session, w->place);
}

static void a_session(void **state)
{
    (void)state;
    int32_t ids[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    make_config();
    OK(pha_model_init(in_root("model.json"), 1, "bytes", in_root("talker")));
    OK(pha_model_open(&session_model, in_root("talker")));
    work w = {.use = load_session, .session = open_session()};
    put_at(&w, "file");
    OK(pha_session_feed(w.session, ids, 5, NULL));
    OK(pha_session_save(w.session, w.place));
    OK(pha_session_feed(w.session, ids, 5, NULL));
    starve(save_session, &w, 100, 3);
    fail_allocations(load_place, &w, 100);
    assert_int_equal(pha_session_position(w.session), 10);
    pha_session_close(w.session);
    pha_model_close(session_model);
}

/* ---- a whole run ---- */

static pha_status train(void *options)
{
    pha_train_options *o = options;
    pha_train_result result;
    OK(pha__remove_tree(o->out));
    return pha_train(o, &result);
}

/* Whatever the last thing was that there was no memory for, the run goes on to its end. */
static void goes_on(void *options)
{
    pha_train_options o = *(pha_train_options *)options;
    pha_train_result result;
    char run[400];
    snprintf(run, sizeof run, "%s/run.json", o.out);
    o.resume = pha__exists(run);
    OK(pha_train(&o, &result));
    assert_int_equal(result.steps, 2);
}

static void a_run(void **state)
{
    (void)state;
    char out[300];
    snprintf(out, sizeof out, "%s", in_root("run"));
    pha_train_options o = options();
    o.threads = 1, o.steps = 2, o.warmup = 1, o.out = out, o.checkpoint_every = 1, o.eval_every = 1, o.eval_tokens = 64;
    assert_true(fail_allocations_then(train, goes_on, &o, 0) > 1000);
}

static void silent(void *context, pha__log_level level, const char *text) { (void)context, (void)level, (void)text; }

static int quietly(void **state)
{
    pha__log_to(silent, NULL);
    return set_up(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_checkpoint), cmocka_unit_test(a_new_model), cmocka_unit_test(an_average),
        cmocka_unit_test(an_export),    cmocka_unit_test(an_export_with_code), cmocka_unit_test(an_import),
        cmocka_unit_test(a_conversion), cmocka_unit_test(opening),
        cmocka_unit_test(a_session),    cmocka_unit_test(a_run),
    };
    return cmocka_run_group_tests(tests, quietly, root_teardown);
}
