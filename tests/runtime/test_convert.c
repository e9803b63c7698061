/* test_convert.c -- Hedgehog from a softmax model: what is learned and what stays, stops, what is refused */
#include "io/tokens.h"
#include "runtime/infer/session.h"
#include "training.h"

enum { T = 48, STEPS = 30, POSITIONS = 64 };

static char teacher[300], out[300];
static double stop_at;

static const char sizes[] = "\"d_model\": 32, \"d_ffn\": 48, \"n_head\": 2, \"n_kv_head\": null, \"n_positions\": 64";

/* A model that attends to something: some training of arch gpt2. */
static int set_up_teacher(void **state)
{
    set_up(state);
    snprintf(teacher, sizeof teacher, "%s/teacher", root);
    snprintf(out, sizeof out, "%s/out", root);
    lab_write_config(in_root("gpt2.json"), &(lab_variant){"teacher", "gpt2", sizes}, 0);
    pha_train_options o = options();
    o.config = in_root("gpt2.json"), o.context = T, o.lr = 1e-2, o.dropout = 0, o.steps = 150;
    pha_trainer *t = open_trainer(&o);
    steps(t, 150);
    OK(pha_trainer_save_model(t, teacher));
    pha_trainer_close(t);
    return 0;
}

static pha_convert_options conversion(void)
{
    return (pha_convert_options){.model = teacher, .to = "hedgehog", .data = data, .out = out, .context = T, .batch = 4,
                                 .steps = STEPS, .eval_tokens = 1000, .threads = 2};
}

static bool is_map(const char *path) { return strstr(path, ".attn.map_") != NULL; }

static float *numbers_of(const pha_model *m, const char *path, size_t *n)
{
    Var v = pha__find_param(m->names, path);
    assert_non_null(v);
    *n = (size_t)v->rows * (size_t)v->width;
    float *x = malloc(*n * sizeof *x);
    OK(pha__store_copy_out(m->store, PHA__WEIGHT, v->index, x));
    return x;
}

/* All that the teacher has is there to the bit, and the maps have left the identity. */
static void check_weights(const char *folder)
{
    pha_model *m, *of;
    int maps = 0;
    OK(pha_model_open(&m, folder));
    OK(pha_model_open(&of, teacher));
    assert_string_equal(m->config.arch, "hedgehog");
    assert_int_equal(m->names->n_params, of->names->n_params + 2 * of->config.n_layer);
    for (int i = 0; i < m->names->n_params; i++) {
        const char *path = m->names->params[i]->path;
        size_t n, k, moved = 0;
        float *x = numbers_of(m, path, &n);
        if (is_map(path)) {
            int width = m->names->params[i]->width;
            for (size_t j = 0; j < n; j++) moved += x[j] != (j % (size_t)width == j / (size_t)width % (size_t)width);
            assert_true(moved > n / 2);
            maps++;
        } else {
            float *y = numbers_of(of, path, &k);
            assert_true(k == n && !memcmp(x, y, n * sizeof *x));
            free(y);
        }
        free(x);
    }
    assert_int_equal(maps, 2 * of->config.n_layer);
    pha_model_close(of);
    pha_model_close(m);
}

/* A model like any other: its session gives what it scores, and training goes on from it. */
static void check_use(const char *folder, double ppl)
{
    pha_model *m;
    pha_session *s;
    int32_t ids[T];
    OK(pha_model_open(&m, folder));
    pha_eval_result whole, carried;
    pha_eval_options e = {.model = folder, .data = data, .context = T, .max_tokens = 1000, .threads = 2};
    OK(pha_eval(&e, &whole));
    assert_true(fabs(whole.token_ppl - ppl) < 1e-4 * ppl);
    e.max_tokens = T, e.mode = PHA_EVAL_CARRIED;
    OK(pha_eval(&e, &carried));
    OK(pha_session_open(&s, m, NULL));
    pha__tokens *tokens;
    OK(pha__tokens_open(&tokens, data, "valid", true));
    OK(pha__tokens_read(tokens, 0, T, ids));
    float *logits = malloc((size_t)T * (size_t)m->config.vocab_size * sizeof *logits);
    OK(pha_session_score(s, ids, T, logits));
    double nll = 0;
    for (int t = 0; t + 1 < T; t++) {
        double sum = 0;
        const float *row = logits + (size_t)t * (size_t)m->config.vocab_size;
        for (int v = 0; v < m->config.vocab_size; v++) sum += exp(row[v]);
        nll += log(sum) - row[ids[t + 1]];
    }
    assert_true(nll < carried.nll && carried.nll - nll < 15); /* but for the last target */
    free(logits);
    pha__tokens_close(tokens);
    pha_session_close(s);
    pha_model_close(m);
    pha_train_options o = options();
    o.config = NULL, o.init_from = folder, o.context = T, o.dropout = 0, o.batch = 16, o.lr = 1e-3;
    pha_trainer *t = open_trainer(&o);
    pha_step first, last;
    OK(pha_trainer_step(t, &first));
    steps(t, 18);
    OK(pha_trainer_step(t, &last));
    if (!(first.loss < log(ppl) + 0.3 && last.loss < first.loss)) fail_msg("%g: %g, %g", ppl, first.loss, last.loss);
    pha_trainer_close(t);
}

static void test_convert(void **state)
{
    (void)state;
    pha_convert_result r;
    pha_convert_options o = conversion();
    OK(pha_convert(&o, &r));
    assert_int_equal(r.steps, STEPS);
    assert_true(r.kl > 0 && r.kl < 0.5 * r.kl_before && r.loss < r.loss_before);
    assert_true(r.loss < log(T)); /* equal weights have that for the last query, and less for others */
    assert_true(fabs((r.loss_before - r.kl_before) - (r.loss - r.kl)) < 1e-5); /* the entropy of the teacher */
    assert_true(r.teacher_ppl < r.ppl && r.ppl < r.ppl_before);
    pha_eval_result e;
    OK(pha_eval(&(pha_eval_options){.model = teacher, .data = data, .context = T, .max_tokens = 1000}, &e));
    assert_true(fabs(e.token_ppl - r.teacher_ppl) < 1e-4 * e.token_ppl);
    check_weights(out);
    check_use(out, r.ppl);
    assert_false(pha__exists(in_root("out.converting")));
    OK(pha__remove_tree(out));
}

/* The exponential form of the maps, by a configuration; a text without a validation split. */
static void test_config(void **state)
{
    (void)state;
    char other[300], without[300];
    pha_convert_result r;
    pha_model *m;
    snprintf(other, sizeof other, "%s/exp.json", root);
    snprintf(without, sizeof without, "%s/without", root);
    char members[300];
    snprintf(members, sizeof members, "%s, \"hedgehog_map\": \"exp\"", sizes);
    lab_write_config(other, &(lab_variant){"exp", "hedgehog", members}, 0);
    const char *inputs[] = {in_root("text.txt")};
    OK(pha_prepare(&(pha_prepare_options){.inputs = inputs, .n_inputs = 1, .out = without, .tokenizer = "bytes",
                                          .valid_fraction = -1, .test_fraction = -1}, NULL));
    pha_convert_options o = conversion();
    o.config = other, o.data = without, o.to = NULL;
    OK(pha_convert(&o, &r));
    assert_true(r.kl < r.kl_before);
    OK(pha_model_open(&m, out));
    json_t *json;
    OK(pha__json_load(&json, in_root("out/config.json"), 4096));
    assert_string_equal(json_string_value(json_object_get(json, "hedgehog_map")), "exp");
    json_decref(json);
    pha_model_close(m);
    OK(pha__remove_tree(out));
}

/* ---- stops ----------------------------------------------------------------------------------------------- */

static void stop_there(void *user, const pha_progress *p)
{
    (void)user;
    if (!strcmp(p->phase, "convert") && p->done >= stop_at) pha_request_stop();
}

static void *contents(const char *path, size_t *size)
{
    char *data_of;
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    *size = (size_t)ftell(f);
    rewind(f);
    data_of = malloc(*size);
    assert_int_equal(fread(data_of, 1, *size, f), *size);
    fclose(f);
    return data_of;
}

/* Stopped twice, once behind the last step, and gone on with: the same file. */
static void test_stop(void **state)
{
    (void)state;
    char once[300];
    size_t n, k;
    pha_convert_result r;
    pha_convert_options o = conversion();
    snprintf(once, sizeof once, "%s/once", root);
    o.out = once;
    OK(pha_convert(&o, NULL));
    o.out = out, o.progress = stop_there;
    static const double stops[] = {7, STEPS};
    for (int i = 0; i < 2; i++) {
        stop_at = stops[i];
        FAILS(STOPPED, "the same command goes on", pha_convert(&o, &r));
        pha_clear_stop();
        assert_int_equal(r.steps, (int64_t)stops[i]);
        assert_false(pha__exists(out));
        assert_true(pha__is_dir(in_root("out.converting")));
    }
    stop_at = 1e9;
    OK(pha_convert(&o, &r));
    void *a = contents(in_root("once/model.safetensors"), &n), *b = contents(in_root("out/model.safetensors"), &k);
    assert_true(n == k && !memcmp(a, b, n));
    free(a);
    free(b);
    assert_false(pha__exists(in_root("out.converting")));
    OK(pha__remove_tree(out));
    OK(pha__remove_tree(once));
}

/* A checkpoint of another teacher, or of other options, is not gone on from. */
static void test_other_checkpoint(void **state)
{
    (void)state;
    char other[300], kept[300];
    pha_convert_options o = conversion();
    snprintf(other, sizeof other, "%s/other", root);
    snprintf(kept, sizeof kept, "%s/out.converting", root);
    lab_write_config(in_root("gpt2.json"), &(lab_variant){"teacher", "gpt2", sizes}, 257);
    OK(pha_model_init(in_root("gpt2.json"), 3, "bytes", other));
    o.progress = stop_there, stop_at = 5;
    FAILS(STOPPED, "after step 5 of 30", pha_convert(&o, NULL));
    pha_clear_stop();
    stop_at = 1e9;
    o.model = other;
    FAILS(BAD_INPUT, "is of a conversion of another model", pha_convert(&o, NULL));
    o.model = teacher, o.context = T - 1;
    FAILS(BAD_INPUT, "to begin anew", pha_convert(&o, NULL));
    assert_true(pha__is_dir(kept));
    OK(pha__remove_tree(kept));
    OK(pha__remove_tree(other));
}

/* ---- what does not fit ------------------------------------------------------------------------------------- */

static void refuse(pha_status code, const char *message, const pha_convert_options *o)
{
    pha_status status = pha_convert(o, NULL);
    if (status != code || !strstr(pha_errmsg(), message))
        fail_msg("status %d: '%s' does not say '%s'", status, pha_errmsg(), message);
    if (o->out && o->out == out) assert_false(pha__exists(out));
}

static void test_models_refused(void **state)
{
    (void)state;
    char folder[300], file[300];
    pha_convert_options o = conversion();
    snprintf(folder, sizeof folder, "%s/linear", root);
    snprintf(file, sizeof file, "%s/file.json", root);
    lab_write_config(file, &(lab_variant){"l", "linear", sizes}, 257);
    OK(pha_model_init(file, 3, "bytes", folder));
    o.model = folder;
    refuse(PHA_BAD_INPUT, "is of arch 'linear'; hedgehog can be made of a model of arch gpt2", &o);
    lab_write_config(file, &(lab_variant){"g", "gpt2", "\"d_model\": 32, \"n_head\": 2, \"n_kv_head\": 1"}, 257);
    OK(pha_model_init(file, 3, "bytes", folder));
    refuse(PHA_BAD_INPUT, "n_kv_head = 1 is not its n_head = 2", &o);
    o = conversion(), o.config = file;
    refuse(PHA_BAD_INPUT, "is of arch 'gpt2', not hedgehog", &o);
    static const struct { const char *members, *message; } shapes[] = {
        {"\"d_model\": 64, \"d_ffn\": 48, \"n_head\": 2", "d_model = 64, but it is 32"},
        {"\"d_model\": 32, \"d_ffn\": 48, \"n_head\": 2, \"n_layer\": 3", "n_layer = 3, but it is 2"},
        {"\"d_model\": 32, \"d_ffn\": 48, \"n_head\": 4, \"n_positions\": 64", "n_head = 4, but it is 2"},
        {"\"d_model\": 32, \"d_ffn\": 64, \"n_head\": 2, \"n_positions\": 64", "d_ffn = 64, but it is 48"},
        {"\"d_model\": 32, \"d_ffn\": 48, \"n_head\": 2", "n_positions = 1024, but it is 64"}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        lab_write_config(file, &(lab_variant){"h", "hedgehog", shapes[i].members}, 257);
        refuse(PHA_BAD_INPUT, shapes[i].message, &o);
    }
    OK(pha__remove_tree(folder));
}

/* Tokens of a vocabulary of 300, and of 257 by another tokenizer. */
static void other_data(const char *folder, int32_t vocabulary)
{
    pha__tokens_writer *w;
    uint64_t n;
    static const int32_t ids[1000];
    OK(pha__mkdirs(folder));
    OK(pha__tokens_writer_open(&w, folder, "train", vocabulary, 77));
    OK(pha__tokens_writer_add(w, ids, 1000));
    OK(pha__tokens_writer_finish(w, &n));
    pha__data d = {.vocab_size = vocabulary, .tokenizer_hash = 77, .joined = "none", .end_token = -1, .n = 1};
    strcpy(d.split[0].name, "train");
    d.split[0].info.tokens = n;
    OK(pha__data_write(folder, &d));
}

static void test_data_refused(void **state)
{
    (void)state;
    char folder[300];
    pha_convert_options o = conversion();
    o.context = POSITIONS + 1;
    refuse(PHA_USAGE, "a context of 65 tokens exceeds the n_positions = 64", &o);
    o = conversion(), o.data = folder;
    snprintf(folder, sizeof folder, "%s/larger", root);
    other_data(folder, 300);
    refuse(PHA_BAD_INPUT, "has a vocabulary of 300 tokens, but", &o);
    snprintf(folder, sizeof folder, "%s/others", root);
    other_data(folder, 257);
    refuse(PHA_BAD_INPUT, "was prepared with another tokenizer", &o);
}

static void test_usage(void **state)
{
    (void)state;
    pha_convert_options o = conversion();
    refuse(PHA_USAGE, "needs the folder of a trained model", &(pha_convert_options){.data = data, .out = out});
    refuse(PHA_USAGE, "needs a data folder", &(pha_convert_options){.model = teacher, .out = out});
    refuse(PHA_USAGE, "a model folder to write", &(pha_convert_options){.model = teacher, .data = data});
    o.to = "pha";
    refuse(PHA_USAGE, "to hedgehog, not to 'pha'", &o);
    o = conversion(), o.out = teacher;
    refuse(PHA_USAGE, "would be replaced", &o);
    o.out = data;
    refuse(PHA_USAGE, "would be replaced", &o);
    o = conversion(), o.batch = -1;
    refuse(PHA_USAGE, "batch", &o);
    o = conversion(), o.lr = -1;
    refuse(PHA_USAGE, "lr", &o);
    o = conversion(), o.eval_tokens = -1;
    refuse(PHA_USAGE, "eval_tokens", &o);
    FAILS(USAGE, "options", pha_convert(NULL, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_convert),      cmocka_unit_test(test_config),
        cmocka_unit_test(test_stop),         cmocka_unit_test(test_other_checkpoint),
        cmocka_unit_test(test_models_refused), cmocka_unit_test(test_data_refused),
        cmocka_unit_test(test_usage)};
    return cmocka_run_group_tests(tests, set_up_teacher, root_teardown);
}
