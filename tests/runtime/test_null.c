/* test_null.c -- every function of pha.h with NULL for each pointer; numbers that are none in every option */
#include "tiny.h"
#include "runtime/train/options.h"

static pha_model *model;
static pha_tokenizer *tokenizer;
static pha_engine *engine;
static pha_session *session;
static pha_trainer *trainer;
static char folder[300], data[300], config[300], out[300];
static const int32_t id = 1;

static void quiet(void *context, int level, const char *message) { (void)context, (void)level, (void)message; }

/* A run of so many tokens that a step of training and an evaluation take no time. */
static pha_train_options small_run(void)
{
    return (pha_train_options){.config = config, .data = data, .out = out, .context = 8, .batch = 1, .steps = 1,
                               .eval_tokens = 8, .threads = 1, .keep_best = -1};
}

static int open_all(void **state)
{
    root_setup(state);
    snprintf(folder, sizeof folder, "%s", in_root("model"));
    snprintf(data, sizeof data, "%s", in_root("data"));
    snprintf(out, sizeof out, "%s", in_root("out"));
    snprintf(config, sizeof config, "%s", in_root("model.json"));
    model = tiny_model("model", &lab_variants[0], 257, "bytes");
    char text[2000];
    for (size_t i = 0; i < sizeof text; i++) text[i] = i % 20 == 19 ? '\n' : "one two three "[i % 14];
    OK(pha__write_file(in_root("text.txt"), text, sizeof text));
    const char *inputs[] = {in_root("text.txt")};
    pha_prepare_options p = {.inputs = inputs, .n_inputs = 1, .out = data, .tokenizer = "bytes",
                             .valid_fraction = 0.3, .test_fraction = -1};
    pha_set_log(quiet, NULL);
    OK(pha_prepare(&p, NULL)); /* the result is optional */
    OK(pha_tokenizer_open(&tokenizer, "bytes"));
    OK(pha_engine_open(&engine, model, NULL));
    OK(pha_engine_session(engine, &session));
    pha_train_options o = small_run();
    OK(pha_trainer_open(&trainer, &o));
    return 0;
}

static int close_all(void **state)
{
    pha_trainer_close(trainer);
    pha_session_close(session);
    pha_engine_close(engine);
    pha_tokenizer_close(tokenizer);
    pha_model_close(model);
    pha_set_log(NULL, NULL);
    return root_teardown(state);
}

/* ---- NULL ------------------------------------------------------------------------------------------------ */

static void is(pha_status status, pha_status want, const char *call)
{
    if (status != want) fail_msg("%s: %d (%s), not %d", call, status, pha_errmsg(), want);
    if (status && !*pha_errmsg()) fail_msg("%s: no message", call);
}
#define REFUSED(call) is(call, PHA_USAGE, #call)
#define DONE(call) is(call, PHA_OK, #call)

static void test_tokenizer(void **state)
{
    (void)state;
    pha_tokenizer *t = (void *)1;
    int32_t *ids;
    char *text;
    size_t n = 7;
    REFUSED(pha_tokenizer_open(NULL, "bytes"));
    REFUSED(pha_tokenizer_open(&t, NULL));
    assert_null(t);
    pha_tokenizer_close(NULL);
    assert_int_equal(pha_tokenizer_size(NULL), 0);
    assert_int_equal(pha_tokenizer_end(NULL), -1);
    assert_int_equal(pha_tokenizer_hash(NULL), 0);
    REFUSED(pha_tokenizer_encode(NULL, "a", 1, false, &ids, &n));
    assert_true(!ids && !n);
    REFUSED(pha_tokenizer_encode(tokenizer, NULL, 1, false, &ids, &n));
    REFUSED(pha_tokenizer_encode(tokenizer, "a", 1, false, NULL, &n));
    REFUSED(pha_tokenizer_encode(tokenizer, "a", 1, false, &ids, NULL));
    DONE(pha_tokenizer_encode(tokenizer, NULL, 0, false, &ids, &n));
    pha_free(ids);
    REFUSED(pha_tokenizer_decode(NULL, &id, 1, &text, &n));
    assert_true(!text && !n);
    REFUSED(pha_tokenizer_decode(tokenizer, NULL, 1, &text, &n));
    REFUSED(pha_tokenizer_decode(tokenizer, &id, 1, NULL, &n));
    DONE(pha_tokenizer_decode(tokenizer, &id, 1, &text, NULL));
    pha_free(text);
    pha_free(NULL);
}

static void test_model(void **state)
{
    (void)state;
    pha_model *m = (void *)1;
    pha_model_info info;
    const char *folders[] = {folder, NULL};
    REFUSED(pha_model_open(NULL, folder));
    REFUSED(pha_model_open(&m, NULL));
    assert_null(m);
    pha_model_close(NULL);
    pha_model_get_info(NULL, &info);
    assert_int_equal(info.parameters, 0);
    pha_model_get_info(model, NULL);
    assert_null(pha_model_tokenizer(NULL));
    REFUSED(pha_model_init(NULL, 1, "bytes", out));
    REFUSED(pha_model_init(config, 1, "bytes", NULL));
    REFUSED(pha_model_average(NULL, 1, out));
    REFUSED(pha_model_average(folders, 1, NULL));
    REFUSED(pha_model_average(folders, 2, out));
    REFUSED(pha_export(&(pha_export_options){.model = NULL, .format = PHA_EXPORT_GPT2, .out = out}));
    REFUSED(pha_export(&(pha_export_options){.model = folder, .format = PHA_EXPORT_GPT2, .out = NULL}));
    REFUSED(pha_export(NULL));
    REFUSED(pha_import(NULL, NULL));
    REFUSED(pha_import(&(pha_import_options){.out = out}, NULL));
    REFUSED(pha_import(&(pha_import_options){.from = folders, .n_from = 2, .out = out}, NULL));
    REFUSED(pha_import(&(pha_import_options){.from = folders, .n_from = 1}, NULL));
    REFUSED(pha_convert(NULL, NULL));
    pha_plan plan;
    REFUSED(pha_new(NULL, NULL));
    REFUSED(pha_new(&(pha_new_options){0}, NULL));
    REFUSED(pha_new_plan(NULL, &plan));
    REFUSED(pha_new_plan(&(pha_new_options){0}, NULL));
    REFUSED(pha_new_plan(&(pha_new_options){0}, &plan));
    REFUSED(pha_convert(&(pha_convert_options){0}, NULL));
}

static void test_engines(void **state)
{
    (void)state;
    pha_engine *e = (void *)1;
    pha_session *s = (void *)1, *none[] = {NULL};
    REFUSED(pha_engine_open(NULL, model, NULL));
    REFUSED(pha_engine_open(&e, NULL, NULL));
    pha_engine_close(NULL);
    REFUSED(pha_engine_session(NULL, &s));
    assert_null(s);
    REFUSED(pha_engine_session(engine, NULL));
    REFUSED(pha_engine_step(NULL, &session, &id, 1, NULL));
    REFUSED(pha_engine_step(engine, NULL, &id, 1, NULL));
    REFUSED(pha_engine_step(engine, none, &id, 1, NULL));
    REFUSED(pha_engine_step(engine, &session, NULL, 1, NULL));
    DONE(pha_engine_step(engine, &session, &id, 1, NULL));
}

static void test_sessions(void **state)
{
    (void)state;
    pha_session *s = (void *)1;
    REFUSED(pha_session_open(NULL, model, NULL));
    REFUSED(pha_session_open(&s, NULL, NULL));
    pha_session_close(NULL);
    pha_session_reset(NULL);
    REFUSED(pha_session_feed(NULL, &id, 1, NULL));
    REFUSED(pha_session_feed(session, NULL, 1, NULL));
    DONE(pha_session_feed(session, &id, 1, NULL));
    float *logits = calloc(257, sizeof *logits);
    REFUSED(pha_session_score(NULL, &id, 1, logits));
    REFUSED(pha_session_score(session, NULL, 1, logits));
    REFUSED(pha_session_score(session, &id, 1, NULL));
    pha_logprob best;
    REFUSED(pha_logprobs(NULL, 1, 0, 0, &best));
    REFUSED(pha_logprobs(logits, 257, 0, 0, NULL));
    REFUSED(pha_sample(NULL));
    REFUSED(pha_sample(&(pha_draw){.logits = logits, .n_logits = 257}));
    REFUSED(pha_sample(&(pha_draw){.options = &(pha_sample_options){0}, .n_logits = 257}));
    REFUSED(pha_engine_sample(NULL, NULL, 0));
    REFUSED(pha_engine_sample(engine, NULL, 1));
    REFUSED(pha_engine_logprobs(NULL, logits, &id, 1, 0, &best));
    REFUSED(pha_engine_logprobs(engine, NULL, &id, 1, 0, &best));
    REFUSED(pha_engine_logprobs(engine, logits, NULL, 1, 0, &best));
    REFUSED(pha_engine_logprobs(engine, logits, &id, 1, 0, NULL));
    DONE(pha_engine_logprobs(engine, NULL, NULL, 0, 0, NULL));
    free(logits);
    REFUSED(pha_session_begin(NULL, &id, 1, NULL, NULL));
    REFUSED(pha_session_begin(session, NULL, 1, NULL, NULL));
    REFUSED(pha_session_begin(session, &id, 0, NULL, NULL));
    DONE(pha_session_begin(session, &id, 1, NULL, NULL));
    REFUSED(pha_engine_recall(NULL, &id, 1, NULL, NULL));
    REFUSED(pha_engine_recall(engine, NULL, 1, NULL, NULL));
    REFUSED(pha_engine_recall(engine, &id, 0, NULL, NULL));
    DONE(pha_engine_recall(engine, &id, 1, NULL, NULL));
    REFUSED(pha_session_read(NULL, &id, 1));
    REFUSED(pha_session_read(session, NULL, 1));
    pha_engine_get_info(NULL, NULL);
    pha_engine_get_texts(NULL, NULL);
    pha_engine_get_texts(engine, NULL);
    pha_engine_get_info(engine, NULL);
    assert_int_equal(pha_session_position(NULL), 0);
    assert_int_equal(pha_session_state_bytes(NULL), 0);
    pha_session_request_stop(NULL);
    pha_session_clear_stop(NULL);
    REFUSED(pha_session_rewind(NULL, 0));
    REFUSED(pha_session_fork(NULL, session));
    REFUSED(pha_session_fork(&s, NULL));
    REFUSED(pha_session_copy(NULL, session));
    REFUSED(pha_session_copy(session, NULL));
    REFUSED(pha_session_save(NULL, in_root("s")));
    REFUSED(pha_session_save(session, NULL));
    REFUSED(pha_session_load(NULL, in_root("s")));
    REFUSED(pha_session_load(session, NULL));
    REFUSED(pha_generate(NULL, "a", 1, NULL, NULL));
    REFUSED(pha_generate(session, NULL, 1, NULL, NULL));
    REFUSED(pha_generate(session, "a", 1, &(pha_generate_options){.n_stop = 1}, NULL));
    DONE(pha_generate(session, "a", 1, &(pha_generate_options){.max_tokens = 1}, NULL));
}

static void test_training(void **state)
{
    (void)state;
    pha_trainer *t = (void *)1;
    pha_train_options o = small_run(), bare = {0};
    pha_train_result result;
    REFUSED(pha_train(NULL, &result));
    REFUSED(pha_train(NULL, NULL));
    REFUSED(pha_train(&bare, NULL));
    DONE(pha_train(&o, NULL));
    REFUSED(pha_trainer_open(NULL, &o));
    REFUSED(pha_trainer_open(&t, NULL));
    assert_null(t);
    REFUSED(pha_trainer_open(&t, &bare));
    pha_trainer_close(NULL);
    REFUSED(pha_trainer_step(NULL, NULL));
    DONE(pha_trainer_step(trainer, NULL));
    REFUSED(pha_trainer_save(NULL, in_root("c")));
    REFUSED(pha_trainer_save(trainer, NULL));
    REFUSED(pha_trainer_load(NULL, in_root("c")));
    REFUSED(pha_trainer_load(trainer, NULL));
    REFUSED(pha_trainer_save_model(NULL, in_root("m")));
    REFUSED(pha_trainer_save_model(trainer, NULL));
}

static void test_the_rest(void **state)
{
    (void)state;
    char *text = (char *)1;
    pha_eval_result score;
    pha_prepare_result prepared;
    pha_eval_options e = {.model = folder, .data = data, .context = 8};
    pha_prepare_options no_inputs = {.n_inputs = 1, .out = out}, no_valid = {.n_valid = 1, .out = out};
    REFUSED(pha_prepare(NULL, &prepared));
    REFUSED(pha_prepare(&(pha_prepare_options){0}, NULL));
    REFUSED(pha_prepare(&no_inputs, NULL));
    REFUSED(pha_prepare(&no_valid, NULL));
    REFUSED(pha_eval(NULL, &score));
    REFUSED(pha_eval(&(pha_eval_options){0}, NULL));
    DONE(pha_eval(&e, NULL));
    REFUSED(pha_eval_positions(NULL, NULL, NULL));
    REFUSED(pha_check(NULL, NULL));
    REFUSED(pha_check(&(pha_check_options){0}, NULL));
    REFUSED(pha_task(NULL, NULL));
    REFUSED(pha_task(&(pha_task_options){0}, NULL));
    REFUSED(pha_eval_logits(NULL, "a", "b", 1));
    REFUSED(pha_eval_logits(folder, NULL, "b", 1));
    REFUSED(pha_eval_logits(folder, "a", NULL, 1));
    REFUSED(pha_inspect(NULL, &text));
    assert_null(text);
    REFUSED(pha_inspect(&(pha_inspect_options){0}, &text));
    REFUSED(pha_inspect(&(pha_inspect_options){.model = folder}, NULL));
    REFUSED(pha_bench(NULL, &text));
    REFUSED(pha_bench(&(pha_bench_options){.what = "ops"}, NULL));
    REFUSED(pha_lab(NULL, &text));
    REFUSED(pha_lab(&(pha_lab_options){.task = "mqar"}, NULL));
    REFUSED(pha_lab(&(pha_lab_options){0}, &text));
    REFUSED(pha_lab(&(pha_lab_options){.task = "mqar", .n_models = 1}, &text));
    REFUSED(pha_lab(&(pha_lab_options){.task = "mqar", .models = &(const char *){NULL}, .n_models = 1}, &text));
    REFUSED(pha_lab_examples(NULL, false, 0, 0, NULL, NULL, NULL, NULL));
    REFUSED(pha_lab_examples(&(pha_lab_options){0}, false, 0, 0, NULL, NULL, NULL, NULL));
    REFUSED(pha_lab_examples(&(pha_lab_options){.task = "mqar"}, false, 0, 1, NULL, NULL, NULL, NULL));
    REFUSED(pha_eval_branches(NULL, false, &text));
    REFUSED(pha_eval_branches(&(pha_eval_options){0}, true, &text));
    REFUSED(pha_eval_branches(&e, false, NULL));
    REFUSED(pha_quantize(NULL, NULL));
    REFUSED(pha_quantize(&(pha_quantize_options){.out = in_root("never")}, NULL));
    REFUSED(pha_repro(NULL, &text, NULL));
    REFUSED(pha_repro(&(pha_repro_options){.out = in_root("never")}, &text, NULL));
    REFUSED(pha_repro(&(pha_repro_options){.experiment = folder}, &text, NULL));
    REFUSED(pha_repro(&(pha_repro_options){.experiment = folder, .out = in_root("never"), .n_only = 1}, &text, NULL));
    REFUSED(pha_repro(&(pha_repro_options){.experiment = folder, .out = in_root("never")}, NULL, NULL));
    REFUSED(pha_import(NULL, NULL));
    REFUSED(pha_import(&(pha_import_options){0}, NULL));
    REFUSED(pha_import(&(pha_import_options){.out = in_root("never")}, NULL));
    REFUSED(pha_report(NULL, NULL, 0));
    REFUSED(pha_report(folder, NULL, 1));
    pha_set_allocator(NULL);
    pha_set_allocator(&(pha_allocator){0}); /* a warning */
    pha_set_log(NULL, NULL);
    pha_set_log(quiet, NULL);
    assert_non_null(pha_status_text((pha_status)999));
}

/* ---- numbers that are none ------------------------------------------------------------------------------- */

static const double none[] = {NAN, -NAN, INFINITY, -INFINITY};

static void test_training_options(void **state)
{
    (void)state;
    for (size_t i = 0; i < pha__n_train_options; i++)
        for (int k = 0; k < 4 && pha__train_options[i].kind == PHA__OPTION_REAL; k++) {
            pha_train_options o = small_run();
            pha_trainer *t;
            o.out = in_root("never");
            memcpy((char *)&o + pha__train_options[i].offset, &none[k], sizeof none[k]);
            REFUSED(pha_train(&o, NULL));
            assert_non_null(strstr(pha_errmsg(), pha__train_options[i].field));
            REFUSED(pha_trainer_open(&t, &o));
        }
}

static void test_sampling_options(void **state)
{
    (void)state;
    for (int k = 0; k < 4; k++)
        for (int which = 0; which < 4; which++) {
            pha_generate_options o = {.max_tokens = 1};
            double *const at[] = {&o.sample.temperature, &o.sample.top_p, &o.sample.min_p,
                                  &o.sample.repetition_penalty};
            *at[which] = none[k];
            REFUSED(pha_generate(session, "a", 1, &o, NULL));
        }
}

static void test_prepare_options(void **state)
{
    (void)state;
    const char *inputs[] = {in_root("text.txt")};
    for (int k = 0; k < 4; k++)
        for (int which = 0; which < 2; which++) {
            pha_prepare_options o = {.inputs = inputs, .n_inputs = 1, .out = in_root("never"), .tokenizer = "bytes"};
            *(which ? &o.test_fraction : &o.valid_fraction) = none[k];
            REFUSED(pha_prepare(&o, NULL));
            assert_false(pha__exists(in_root("never")));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokenizer),        cmocka_unit_test(test_model),
        cmocka_unit_test(test_engines), cmocka_unit_test(test_sessions),         cmocka_unit_test(test_training),
        cmocka_unit_test(test_the_rest),         cmocka_unit_test(test_training_options),
        cmocka_unit_test(test_sampling_options), cmocka_unit_test(test_prepare_options),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
