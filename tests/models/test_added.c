/* test_added.c -- an architecture in one file, registered from outside: keys of its own, an embedding and a head of its
 * own, frozen parameters, two losses, a part and a watch of its own. It trains, resumes, streams and shows itself
 * through a runtime that has never heard of it.
 */
#include "runtime/training.h"

#include "models/lab.h"
#include "nn/nn.h"
#include "ops/conv/conv.h"
#include "runtime/look/cost.h"

/* ---- the architecture ------------------------------------------------------------------------------------ */

enum { BEFORE, AFTER }; /* the mix: where the extra norm stands */

PHA__OWN_KEYS(ladder) { double early; int32_t taps, order; bool wide; };
static const pha__config_key own[] = {
    {PHA__OWN_KEY(ladder, early), .kind = PHA__KEY_REAL, .low = 0, .high = 2, .init = 0.5},
    {PHA__OWN_KEY(ladder, taps), .kind = PHA__KEY_INT, .low = 0, .high = 4, .init = 4},
    {PHA__OWN_KEY(ladder, order), .kind = PHA__KEY_NAME, .names = (const char *const[]){"before", "after", NULL}},
    {PHA__OWN_KEY(ladder, wide), .kind = PHA__KEY_BOOL, .init = true},
    {0},
};
static const char *const keys[] = {"d_state", "d_ffn", "embed_std", "gate_bias", NULL};
static const char *const frozen[] = {"turn", "layer*.gss.theta", "layer*.gss.in", NULL};

static const pha__part wide_part = {"wide", 100};
static const pha__watch_row size_row = {.name = "size", .order = 100, .form = PHA__WATCH_NUMBER};

static bool size_of(double *out, int n, const pha__seen *in, const void *attr)
{
    (void)n, (void)attr;
    out[0] = 0;
    for (int64_t i = 0; i < in->rows * in->width; i++) out[0] += fabs((double)in->data[i]);
    out[0] /= (double)in->rows * in->width;
    return true;
}

static Var embed(Params p, const pha__config *c)
{
    Var x = pha__lm_embed(p, c);
    return linear(part(p, PHA__PART_EMBEDDING), "turn", x, c->d_model, pha__init_xavier(1));
}

static Var positions(Params p, Var x, const pha__config *c)
{
    if (!ladder_of(c)->taps) return x;
    Var taps = pha__param(p, "taps", c->d_model, 4, PHA__VECTOR, pha__init_first_tap());
    return pha__apply(p, "taps", &pha__op_conv, ((Var[]){x, taps}), 2, NULL, 0);
}

static Var block(Params p, Var x, const pha__config *c, int layer)
{
    const ladder *o = ladder_of(c);
    Var u = rmsnorm(p, "norm", x);
    Branch z[2] = {{"wide", NULL}, {"gss", NULL}};
    z[0].z = swiglu(pha__of_part(p, &wide_part), "wide", u, o->wide ? 2 * c->d_ffn : c->d_ffn, c);
    z[1].z = gss(p, "gss", u, c);
    if (o->order == BEFORE) u = rmsnorm(p, "more", u);
    x = mix(p, "mix", u, u, z, 2, 1, 1, c, 0);
    pha__watch(p, &size_row, size_of, NULL, 1, &x, 1, NULL, 0); /* shown, so not fused with the norm behind it */
    if (o->order == AFTER) x = rmsnorm(p, "more", x);
    if (layer == 0 && p.program->options.gradients) cross_entropy(p, "early", u, pha__lm_table(p, c), o->early);
    return x;
}

static void head(Params p, Var x, const pha__config *c, pha__head what)
{
    x = rmsnorm(p, "last", x);
    pha__lm_head(p, x, c, what);
}

static const pha__model_row row = {.name = "ladder",
                                   .equation = "x' = u + mix(GSS(u), FFN(u))",
                                   .keys = keys,
                                   .own = own,
                                   .frozen = frozen,
                                   .embed = embed,
                                   .positions = positions,
                                   .block = block,
                                   .head = head};

/* ---- tests ----------------------------------------------------------------------------------------------- */

#define SIZES "\"arch\":\"ladder\",\"d_model\":32,\"n_layer\":2,\"d_state\":32,\"d_ffn\":24"

static pha_status parse(pha__config *c, const char *more)
{
    char text[300];
    json_t *j;
    snprintf(text, sizeof text, "{" SIZES "%s}", more);
    OK(pha__json_parse(&j, text, strlen(text), "x.json"));
    pha__config_rules rules = pha__rules();
    pha_status status = pha__config_parse(c, j, "x.json", &rules);
    json_decref(j);
    return status;
}

static void test_keys(void **state)
{
    (void)state;
    pha__config c, again;
    OK(parse(&c, ""));
    assert_true(ladder_of(&c)->early == 0.5 && ladder_of(&c)->taps == 4 && ladder_of(&c)->wide);
    assert_int_equal(ladder_of(&c)->order, BEFORE);
    OK(parse(&c, ",\"early\":0.25,\"taps\":0,\"order\":\"after\",\"wide\":false"));
    assert_true(ladder_of(&c)->early == 0.25 && ladder_of(&c)->taps == 0 && !ladder_of(&c)->wide);
    assert_int_equal(ladder_of(&c)->order, AFTER);
    pha__config_rules rules = pha__rules();
    OK(pha__config_save(&c, in_root("own.json"), &rules));
    OK(pha__config_load(&again, in_root("own.json"), &rules));
    assert_memory_equal(&c, &again, sizeof c);
    FAILS(BAD_INPUT, "x.json: early = 3 is out of range (0 to 2)", parse(&c, ",\"early\":3"));
    FAILS(BAD_INPUT, "'middle' is not one of before, after", parse(&c, ",\"order\":\"middle\""));
    FAILS(BAD_INPUT, "did you mean early?", parse(&c, ",\"erly\":1"));
    FAILS(BAD_INPUT, "qk is not used by arch 'ladder'", parse(&c, ",\"qk\":\"dot\""));
    json_t *j = json_pack("{s:s,s:i,s:i,s:i,s:i,s:i,s:i,s:f}", "arch", "seq", "d_model", 32, "n_layer", 1, "n_head", 2,
                          "n_kv_head", 1, "d_state", 32, "d_ffn", 8, "early", 1.0);
    /* another's own key */
    FAILS(BAD_INPUT, "early is not used by arch 'seq' but by ladder", pha__config_parse(&c, j, "x.json", &rules));
    json_decref(j);
    FAILS(USAGE, "'ladder' already", pha__model_add(&row));
    FAILS(USAGE, "'pha' already", pha__model_add(&(pha__model_row){.name = "pha"}));
}

static bool is_frozen(const char *path)
{
    return !strcmp(path, "turn") || strstr(path, ".gss.theta") || strstr(path, ".gss.in");
}

static void test_frozen(void **state)
{
    (void)state;
    pha_train_options o = options();
    pha_trainer *t = open_trainer(&o);
    size_t n, m;
    float *before = numbers(t, PHA__WEIGHT, &n);
    steps(t, 3);
    float *after = numbers(t, PHA__WEIGHT, &m);
    assert_int_equal(n, m);
    int found = 0;
    for (size_t i = 0, at = 0; i < (size_t)t->program->n_params; i++) {
        const pha__node *v = t->program->params[i];
        size_t size = (size_t)v->rows * (size_t)v->width;
        bool same = !memcmp(before + at, after + at, size * sizeof *before);
        if (same != is_frozen(v->path)) fail_msg("%s %s", v->path, same ? "has not moved" : "has moved");
        assert_int_equal(pha__learned(v), !is_frozen(v->path));
        assert_int_equal(v->offset >= t->program->trainable, is_frozen(v->path));
        for (pha__role r = PHA__GRADIENT; r <= PHA__MOMENT_2; r++)
            assert_int_equal(pha__store_at(t->store, r, (int)i).data == NULL, is_frozen(v->path));
        found += is_frozen(v->path);
        at += size;
    }
    assert_int_equal(found, 5);
    free(before);
    free(after);
    OK(pha_trainer_save(t, in_root("frozen")));
    OK(pha_trainer_save_model(t, in_root("model")));
    static const char *const files[] = {"frozen/weights.safetensors", "frozen/m.safetensors", "frozen/v.safetensors",
                                        "model/model.safetensors"};
    for (int i = 0; i < 4; i++) {
        pha__safetensors *f;
        OK(pha__safetensors_open(&f, in_root(files[i])));
        assert_int_equal(pha__safetensors_find(f, "turn") != NULL, i == 0 || i == 3);
        assert_non_null(pha__safetensors_find(f, "layer1.gss.gate"));
        pha__safetensors_close(f);
    }
    pha_trainer_close(t);
}

/* A pattern that fits no parameter is a name that has changed; not a word would be the worst answer. */
static void test_pattern(void **state)
{
    (void)state;
    static const char *const none[] = {"layer*.turn", NULL};
    static pha__model_row wrong;
    wrong = row, wrong.name = "wrong", wrong.frozen = none;
    OK(pha__model_add(&wrong));
    pha__config c;
    OK(parse(&c, ",\"vocab_size\":64"));
    strcpy(c.arch, "wrong");
    pha__program *p;
    FAILS(BAD_INPUT, "no parameter is called 'layer*.turn'",
          pha__record(&p, &c, &(pha__program_options){.B = 1, .T = 1}, PHA__HEAD_NONE));
}

static void test_resume(void **state)
{
    (void)state;
    for (int half = 0; half < 2; half++) {
        pha_train_options o = options();
        o.precision = half ? PHA_BF16 : PHA_FP32;
        pha_trainer *whole = open_trainer(&o), *first = open_trainer(&o);
        steps(whole, 8);
        steps(first, 4);
        OK(pha_trainer_save(first, in_root("checkpoint")));
        pha_trainer_close(first);
        o.threads = 1, o.recompute = true;
        pha_trainer *second = open_trainer(&o);
        OK(pha_trainer_load(second, in_root("checkpoint")));
        steps(second, 4);
        same_training(whole, second);
        pha_trainer_close(whole);
        pha_trainer_close(second);
    }
}

/* Its two losses add to one head in turns: so microbatches belong to the run, even where they could be free. */
static void test_turns(void **state)
{
    (void)state;
    pha_train_options o = options();
    pha_trainer *t = open_trainer(&o);
    assert_true(t->program->takes_turns);
    steps(t, 1);
    OK(pha_trainer_save(t, in_root("turns")));
    pha_trainer_close(t);
    for (int micro = 1; micro <= 4; micro *= 2) {
        o.micro_batch = micro;
        t = open_trainer(&o);
        assert_true(t->program->takes_turns);
        if (micro == 2) OK(pha_trainer_load(t, in_root("turns")));
        else FAILS(BAD_INPUT, "micro_batch", pha_trainer_load(t, in_root("turns")));
        pha_trainer_close(t);
    }
}

/* ---- gradients ---- */

enum { B = 2, T = 9, V = 64 };

static double total(lab *l)
{
    double sum = 0;
    for (int k = 0; k < l->program->n_outputs; k++) {
        const float *rows = lab_output(l, l->program->outputs[k].name, B * T);
        assert_true(l->program->outputs[k].loss);
        for (int r = 0; r < B * T; r++) sum += l->program->outputs[k].weight * rows[2 * r] / (B * T);
    }
    return sum;
}

/* The change of the weighted sum along the gradient is its squared norm: so both losses have their weights in it, and
 * it passes through what is frozen. */
static void test_gradient(void **state)
{
    (void)state;
    pha__config c;
    OK(parse(&c, ",\"vocab_size\":64,\"early\":0.75,\"order\":\"after\""));
    lab l;
    pha__device *device;
    OK(pha__device_open(&device, "cpu", 2));
    lab_open(&l, &c, &(pha__program_options){.B = B, .T = T, .gradients = true}, PHA__HEAD_LOSS, device);
    int32_t tokens[B * T], targets[B * T];
    lab_tokens(tokens, targets, B * T, V, 0, 5);
    pha__run run = {.tokens = tokens, .targets = targets, .loss_scale = 1.0f / (B * T)};
    assert_int_equal(l.program->n_outputs, 2);
    OK(pha__exec_run(l.exec, B, T, &run, NULL, false));
    int64_t n = l.program->trainable;
    double norm = 0, at[2], early = l.program->outputs[0].weight + l.program->outputs[1].weight - 1;
    assert_true(early == 0.75);
    float *g = malloc((size_t)n * sizeof *g), *w = malloc((size_t)n * sizeof *w);
    memcpy(g, l.grads, (size_t)n * sizeof *g);
    memcpy(w, l.weights, (size_t)n * sizeof *w);
    for (int64_t i = 0; i < n; i++) norm += (double)g[i] * g[i];
    for (int side = 0; side < 2; side++) {
        double h = (side ? 1 : -1) * 2e-3 / sqrt(norm);
        for (int64_t i = 0; i < n; i++) l.weights[i] = w[i] + (float)(h * g[i]);
        OK(pha__exec_run(l.exec, B, T, &run, NULL, false));
        at[side] = total(&l);
    }
    double slope = (at[1] - at[0]) / (4e-3 / sqrt(norm));
    print_message("along the gradient %.6f, squared norm %.6f\n", slope, norm);
    assert_true(fabs(slope / norm - 1) < 2e-3);
    free(g);
    free(w);
    lab_close(&l);
    pha__device_close(device);
}

/* ---- streaming and what is shown ---- */

static void test_streaming(void **state)
{
    (void)state;
    enum { N = 40 };
    pha_model *m;
    OK(pha_model_open(&m, in_root("model")));
    pha_session *a, *b;
    OK(pha_session_open(&a, m, &(pha_session_options){.max_context = 64, .threads = 1}));
    OK(pha_session_open(&b, m, &(pha_session_options){.max_context = 64, .threads = 2}));
    int32_t ids[N];
    pha_model_info info;
    pha_model_get_info(m, &info);
    assert_string_equal(info.arch, "ladder");
    lab_tokens(ids, NULL, N, info.vocab_size, 0, 3);
    float *all = malloc(sizeof *all * N * (size_t)info.vocab_size);
    OK(pha_session_score(a, ids, N, all));
    for (int i = 0; i < N; i++) {
        const float *logits;
        OK(pha_session_feed(b, ids + i, 1, &logits));
        assert_true(lab_e2(logits, all + i * info.vocab_size, info.vocab_size) < 1e-5);
    }
    free(all);
    pha_session_close(a);
    pha_session_close(b);
    pha_model_close(m);
}

static json_t *inspect(pha_inspect_what what)
{
    char *text;
    json_t *j;
    pha_inspect_options o = {.model = in_root("model"), .what = what, .json = true, .context = 64};
    OK(pha_inspect(&o, &text));
    OK(pha__json_parse(&j, text, strlen(text), "inspect"));
    pha_free(text);
    return j;
}

static double number(const json_t *j, const char *a, const char *b)
{
    const json_t *value = json_object_get(json_object_get(j, a), b);
    if (!json_is_number(value)) fail_msg("%s.%s is not there", a, b);
    return json_number_value(value);
}

static void test_inspection(void **state)
{
    (void)state;
    json_t *j = inspect(PHA_INSPECT_SUMMARY);
    enum { D = 32, F = 48, S = 32, VOCABULARY = 257 };
    assert_true(number(j, "parameters", "wide") == 2 * 3 * D * F);
    assert_true(number(j, "parameters", "gss") == 2 * (4 * D * S + 2 * S));
    assert_true(number(j, "parameters", "embedding") == VOCABULARY * D + D * D);
    assert_true(number(j, "parameters", "norms") == D * (2 + 2 * 4));
    assert_true(number(j, "parameters", "mixing") == 4);
    assert_true(number(j, "parameters", "other") == 4 * D);
    json_decref(j);
    j = inspect(PHA_INSPECT_MIXING);
    assert_true(fabs(number(json_object_get(j, "mean"), "raw", "wide") - 0.5) < 0.01);
    json_decref(j);
    pha__config c;
    OK(parse(&c, ",\"vocab_size\":64"));
    pha__cost forward, training;
    OK(pha__cost_per_token(&c, 64, &forward, &training));
    assert_true(forward.head == 2 * 64 * D);       /* one head, */
    assert_true(training.head == 2 * 6 * 64 * D);  /* and two losses */
}

/* Lines of the log of a kind, the last of them. */
static json_t *last_line(const char *event)
{
    char *text;
    size_t size;
    json_t *last = NULL;
    OK(pha__read_file(&text, &size, in_root("run/log.jsonl"), 1 << 20));
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *j;
        OK(pha__json_parse(&j, line, strlen(line), "log"));
        bool wanted = !strcmp(json_string_value(json_object_get(j, "event")), event);
        if (wanted) json_decref(last);
        last = wanted ? j : last;
        if (!wanted) json_decref(j);
    }
    pha__free(text);
    assert_non_null(last);
    return last;
}

static void test_run(void **state)
{
    (void)state;
    pha_train_options o = options();
    pha_train_result result;
    o.out = in_root("run"), o.steps = 6, o.detail_every = 2;
    OK(pha_train(&o, &result));
    json_t *step = last_line("step"), *detail = last_line("detail");
    double loss = json_number_value(json_object_get(step, "loss"));
    double sum = number(step, "losses", "loss") + 0.25 * number(step, "losses", "early");
    assert_true(fabs(loss - sum) < 1e-6 && number(step, "losses", "early") > 0.1);
    const json_t *layer = json_array_get(json_object_get(detail, "layers"), 1);
    assert_true(json_number_value(json_object_get(layer, "size")) > 0);
    assert_true(number(layer, "horizon", "p50") > 1);
    assert_true(number(layer, "branch_rms", "wide") > 0 && number(layer, "branch_rms", "gss") > 0);
    assert_true(fabs(number(layer, "mix", "wide") + number(layer, "mix", "gss") - 1) < 1e-6);
    assert_null(json_object_get(json_object_get(detail, "gradient_norms"), "turn"));
    assert_true(number(detail, "gradient_norms", "taps") > 0);
    json_decref(step);
    json_decref(detail);
    OK(pha_report(o.out, NULL, 0));
    char *page;
    size_t size;
    OK(pha__read_file(&page, &size, in_root("run/report.html"), 1 << 22));
    assert_non_null(strstr(page, "Weight of wide by layer"));
    assert_non_null(strstr(page, "size, mean of the layers"));
    assert_non_null(strstr(page, "Horizon of the scan"));
    pha__free(page);
}

static int set_up_ladder(void **state)
{
    static const char json[] = "{" SIZES ",\"early\":0.25,\"order\":\"after\"}";
    set_up(state);
    OK(pha__write_file(config, json, sizeof json - 1));
    return pha__model_add(&row);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),       cmocka_unit_test(test_frozen),    cmocka_unit_test(test_pattern),
        cmocka_unit_test(test_resume),     cmocka_unit_test(test_turns),     cmocka_unit_test(test_gradient),
        cmocka_unit_test(test_streaming),  cmocka_unit_test(test_inspection), cmocka_unit_test(test_run),
    };
    return cmocka_run_group_tests(tests, set_up_ladder, root_teardown);
}
