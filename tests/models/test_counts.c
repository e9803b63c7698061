/* test_counts.c -- parameter counts of all configurations, and the statistics of initial weights (pha.md 3 and 5) */
#include <math.h>
#include <dirent.h>

#include "base/rng.h"
#include "models/formulas.h"
#include "runtime/model.h"

static pha__program *record(const pha__config *c)
{
    pha__program *p;
    OK(pha__record(&p, c, &(pha__program_options){.B = 1, .T = 1}, PHA__HEAD_LOSS));
    return p;
}

/* ---- counts ---- */

static const struct { const char *name; uint64_t parameters; } published[] = { /* pha.md 3, baselines.md 0 */
    {"pha-90m", 89885466}, {"pha-125m", 125072068}, {"pha-125m-s25", 121800772}, {"pha-180m", 180725014},
    {"tiny", 197966},
    {"attn-180", 180586176}, {"attn-180-l10", 180424824}, {"attn-180-l18", 181082328}, {"attn-180-l24", 180801312},
    {"attn-125", 124970896}, {"attn-125-w768", 125330064}, {"seq-186", 186147216}, {"seq-125", 125072032},
    {"gpt2-125", 124439808}, {"gpt2-medium", 354823168},
    {"gpt2-large", 774030080}, {"gpt2-xl", 1557611200}, {"linear-125", 124439808}, {"hedgehog-125", 125619456},
    {"gss-125", 123444672}, {"gss-hybrid-125", 126307648}, {"gss-hybrid-125-local", 126307648}, {"h3-125", 126635520},
    {"h3-hybrid-125", 126139392}, {"h3-hybrid-125-rel", 126387456},
    /* baselines.md 3: with the budget restored, and without */
    {"pha-180-nogss", 180432524}, {"pha-180-noaux", 180717324}, {"pha-180-noattn", 180471444},
    {"pha-180-gssonly", 180463744}, {"pha-180-nogss-nobudget", 120712844}, {"pha-180-noaux-nobudget", 158598924},
    {"pha-180-noattn-nobudget", 164988564}, {"pha-180-gssonly-nobudget", 142862464},
    {"pha-180-uniform", 180724984}, {"pha-180-dynamic", 180748054},
};

static void test_configurations(void **state)
{
    (void)state;
    char path[512];
    DIR *folder = opendir(PHA_SOURCE_DIR "/configs");
    assert_non_null(folder);
    size_t found = 0;
    for (struct dirent *e; (e = readdir(folder));) {
        char *dot = strstr(e->d_name, ".json");
        if (!dot || dot[5]) continue;
        snprintf(path, sizeof path, "%s/configs/%s", PHA_SOURCE_DIR, e->d_name);
        pha__config c;
        pha__config_rules rules = pha__rules();
        OK(pha__config_load(&c, path, &rules));
        if (c.vocab_size == 0) { /* left to the tokenizer of a run */
            print_message("%-20s skipped, has no vocab_size\n", e->d_name);
            continue;
        }
        pha__program *p = record(&c);
        print_message("%-20s %llu\n", e->d_name, (unsigned long long)p->parameters);
        assert_int_equal(p->parameters, formula_parameters(&c));
        *dot = 0;
        for (size_t i = 0; i < sizeof published / sizeof *published; i++)
            if (!strcmp(published[i].name, e->d_name)) {
                assert_int_equal(p->parameters, published[i].parameters);
                found++;
            }
        pha__program_close(p);
    }
    closedir(folder);
    assert_int_equal(found, sizeof published / sizeof *published);
}

static void test_options(void **state)
{
    (void)state;
    for (int i = 0; i < lab_n_variants; i++) {
        pha__config c;
        lab_config(&c, &lab_variants[i]);
        pha__program *p = record(&c);
        if (p->parameters != formula_parameters(&c))
            fail_msg("%s: %llu parameters, the formula says %llu", lab_variants[i].name,
                     (unsigned long long)p->parameters, (unsigned long long)formula_parameters(&c));
        pha__program_close(p);
    }
}

/* Names and shapes of the checkpoint (pha.md 3.1). */
static void test_names(void **state)
{
    (void)state;
    static const struct { const char *variant, *path; int rows, width; } want[] = {
        {"default", "embed", 256, 64}, {"default", "norm", 1, 64}, {"default", "layer0.norm", 1, 64},
        {"default", "layer1.ffn_norm", 1, 64}, {"default", "layer0.attn_norm", 1, 64},
        {"default", "layer0.gss_norm", 1, 64}, {"default", "layer0.aux_norm", 1, 64},
        {"default", "layer0.mix", 1, 3}, {"dynamic mixing", "layer0.mix_input", 3, 64},
        {"default", "layer0.attn.q", 64, 64}, {"default", "layer0.attn.k", 32, 64},
        {"default", "layer0.attn.v", 32, 64}, {"default", "layer0.attn.out", 64, 64},
        {"default", "layer0.attn.tau", 1, 4}, {"qk rms", "layer0.attn.q_gain", 1, 16},
        {"qk rms", "layer0.attn.k_gain", 1, 16}, {"default", "layer0.gss.gate", 160, 64},
        {"default", "layer0.gss.in", 160, 64}, {"default", "layer0.gss.filter", 160, 64},
        {"default", "layer0.gss.out", 64, 160}, {"default", "layer0.gss.theta", 1, 160},
        {"default", "layer0.gss.bias", 1, 160}, {"filter norm", "layer0.gss.filter_norm", 1, 160},
        {"filter conv4", "layer0.gss.conv", 160, 4},
        {"complex", "layer0.gss.gate", 80, 64}, {"complex", "layer0.gss.in", 160, 64},
        {"complex", "layer0.gss.theta", 1, 80}, {"complex", "layer0.gss.omega", 1, 80},
        {"complex", "layer0.gss.bias", 1, 80}, {"complex", "layer0.gss.out", 64, 160},
        {"default", "layer0.aux.gate", 64, 64},
        {"default", "layer0.aux.up", 64, 64}, {"default", "layer0.aux.down", 64, 64},
        {"default", "layer0.ffn.gate", 128, 64}, {"default", "layer0.ffn.up", 128, 64},
        {"default", "layer0.ffn.down", 64, 128}, {"sequential", "layer1.attn_norm", 1, 64},
        {"sequential", "layer1.gss_norm", 1, 64}, {"sequential", "layer1.ffn_norm", 1, 64},
        {"sequential", "layer1.attn_out_norm", 1, 64}, {"sequential", "layer1.gss_out_norm", 1, 64},
        {"gpt2", "pos", 1024, 64}, {"gpt2", "norm.gain", 1, 64}, {"gpt2", "norm.bias", 1, 64},
        {"gpt2", "layer0.norm.gain", 1, 64}, {"gpt2", "layer1.mlp_norm.bias", 1, 64},
        {"gpt2", "layer0.attn.k", 32, 64}, {"gpt2", "layer0.attn.k_bias", 1, 32}, {"gpt2", "layer0.attn.out", 64, 64},
        {"gpt2", "layer0.attn.out_bias", 1, 64}, {"gpt2", "layer0.mlp.up", 128, 64},
        {"gpt2", "layer0.mlp.up_bias", 1, 128}, {"gpt2", "layer0.mlp.down", 64, 128},
        {"gpt2", "layer0.mlp.down_bias", 1, 64}, {"linear attention", "layer1.attn.k", 64, 64},
        {"hedgehog", "layer1.attn.map_q", 64, 16}, {"hedgehog", "layer1.attn.map_k", 64, 16},
        {"gss", "layer0.norm.gain", 1, 64}, {"gss", "layer1.gss.u", 256, 64}, {"gss", "layer1.gss.v", 16, 64},
        {"gss", "layer1.gss.c", 256, 16}, {"gss", "layer1.gss.out", 64, 256}, {"gss", "layer1.gss.out_bias", 1, 64},
        {"gss", "layer0.gss.norm.bias", 1, 16}, {"gss", "layer0.gss.C_im", 16, 24}, {"gss", "layer0.gss.rho", 1, 24},
        {"gss", "layer0.gss.nu", 1, 24}, {"gss", "layer0.gss.d", 1, 16}, {"gss, dss", "layer0.gss.log_dt", 1, 16},
        {"gss, s4d", "layer1.gss.log_neg_re", 16, 6}, {"gss, s4d", "layer1.gss.im", 16, 6},
        {"gss, hybrid", "layer1.attn.q_bias", 1, 64}, {"gss, hybrid", "layer1.mlp.up", 256, 64},
        {"h3", "layer0.norm.bias", 1, 64}, {"h3", "layer0.h3.q", 64, 64}, {"h3", "layer0.h3.k_bias", 1, 64},
        {"h3", "layer1.h3.out", 64, 64}, {"h3", "layer1.h3.shift_B", 64, 9}, {"h3", "layer1.h3.shift_C", 64, 9},
        {"h3", "layer1.h3.shift_d", 1, 64}, {"h3", "layer1.h3.C_re", 64, 8}, {"h3", "layer1.h3.B_im", 64, 8},
        {"h3", "layer1.h3.log_neg_re", 64, 8}, {"h3", "layer1.h3.im", 64, 8}, {"h3", "layer1.h3.log_dt", 1, 64},
        {"h3", "layer1.h3.d", 1, 64}, {"h3", "layer1.mlp_norm.gain", 1, 64}, {"h3, hybrid", "layer0.attn.v", 32, 64},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        pha__config c;
        lab_config(&c, lab_find(want[i].variant));
        pha__program *p = record(&c);
        Var w = pha__find_param(p, want[i].path);
        if (!w || w->rows != want[i].rows || w->width != want[i].width)
            fail_msg("%s: '%s' is %d x %d", want[i].variant, want[i].path, w ? w->rows : 0, w ? w->width : 0);
        pha__program_close(p);
    }
}

/* ---- initial values ---- */

typedef struct initial {
    pha__program *program;
    pha__store *store;
    float *weights;
} initial;

static void open_initial(initial *w, const char *variant, uint64_t seed)
{
    pha__config c;
    lab_config(&c, lab_find(variant));
    w->program = record(&c);
    OK(pha__store_open(&w->store, w->program, lab_device()));
    OK(pha__store_add(w->store, PHA__WEIGHT, PHA__ALL_PARAMS, PHA__F32));
    OK(pha__init_weights(w->store, seed));
    w->weights = w->store->block[PHA__WEIGHT];
}

static void close_initial(initial *w)
{
    pha__store_close(w->store);
    pha__program_close(w->program);
}

static const float *find(const initial *w, const char *path, Var *out)
{
    *out = pha__find_param(w->program, path);
    if (!*out) fail_msg("no parameter '%s'", path);
    return w->weights + (*out)->offset;
}

/* The standard deviation is `std` within five of its own standard errors, and the mean 0. */
static void check_std(const initial *w, const char *path, double std)
{
    Var v;
    const float *x = find(w, path, &v);
    double n = (double)v->rows * v->width, sum = 0, squares = 0;
    for (int64_t i = 0; i < (int64_t)n; i++) sum += x[i], squares += (double)x[i] * x[i];
    double got = sqrt(squares / n);
    if (fabs(got / std - 1) > 5 / sqrt(2 * n)) fail_msg("%s: std %g, not %g", path, got, std);
    if (fabs(sum / n) > 5 * std / sqrt(n)) fail_msg("%s: mean %g", path, sum / n);
}

static void check_constant(const initial *w, const char *path, double value)
{
    Var v;
    const float *x = find(w, path, &v);
    for (int64_t i = 0; i < (int64_t)v->rows * v->width; i++)
        if (x[i] != (float)value) fail_msg("%s[%lld] is %g, not %g", path, (long long)i, x[i], value);
}

static void test_matrices(void **state)
{
    (void)state;
    initial w;
    open_initial(&w, "wb_scale none", 1);
    const double beta = pow(16, -0.25); /* (8 L)^(-1/4) */
    check_std(&w, "embed", 0.02);
    check_std(&w, "layer0.attn.q", sqrt(2.0 / 128));
    check_std(&w, "layer0.attn.k", sqrt(2.0 / 96));
    check_std(&w, "layer0.attn.v", beta * sqrt(2.0 / 96));
    check_std(&w, "layer0.attn.out", beta * sqrt(2.0 / 128));
    check_std(&w, "layer0.gss.gate", sqrt(2.0 / 224));
    check_std(&w, "layer0.gss.filter", sqrt(2.0 / 224));
    check_std(&w, "layer0.gss.in", beta * sqrt(2.0 / 224));
    check_std(&w, "layer0.gss.out", beta * sqrt(2.0 / 224));
    check_std(&w, "layer1.aux.gate", beta * sqrt(2.0 / 128));
    check_std(&w, "layer1.aux.up", beta * sqrt(2.0 / 128));
    check_std(&w, "layer1.aux.down", beta * sqrt(2.0 / 128));
    check_std(&w, "layer1.ffn.gate", beta * sqrt(2.0 / 192));
    check_std(&w, "layer1.ffn.up", beta * sqrt(2.0 / 192));
    check_std(&w, "layer1.ffn.down", beta * sqrt(2.0 / 192));
    check_constant(&w, "norm", 1);
    check_constant(&w, "layer0.norm", 1);
    check_constant(&w, "layer0.ffn_norm", 1);
    check_constant(&w, "layer0.gss_norm", 1);
    check_constant(&w, "layer0.mix", 0);
    check_constant(&w, "layer0.attn.tau", log(10));
    check_constant(&w, "layer0.gss.bias", 0);
    close_initial(&w);
    open_initial(&w, "pre", 1);
    check_constant(&w, "layer0.gss_norm", 0.25);
    check_constant(&w, "layer0.norm", 1);
    close_initial(&w);
    open_initial(&w, "alpha, rope_theta, embed_std", 1);
    check_std(&w, "embed", 0.05);
    close_initial(&w);
    open_initial(&w, "dynamic mixing", 1);
    check_constant(&w, "layer0.mix_input", 0);
    close_initial(&w);
}

/* Gains behind a branch or a sub-layer start at 0.25 where the stream is not normed (pha.md 8, baselines.md 2); all
 * others at 1. */
static void test_gains(void **state)
{
    (void)state;
    static const char *const behind[] = {"attn_norm", "gss_norm", "aux_norm", "attn_out_norm", "gss_out_norm"};
    static const struct {
        const char *variant;
        double gain;
        int first, last; /* of behind */
    } cases[] = {{"default", 1, 0, 2},         {"pre", 0.25, 0, 2},       {"pre_alpha", 0.25, 0, 2},
                 {"pre_inv", 0.25, 0, 2},      {"sequential", 1, 3, 4},   {"sequential, post_raw", 1, 3, 4},
                 {"sequential, pre", 0.25, 3, 4}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int layer = 0; layer < 2; layer++) {
            initial w;
            char path[40];
            open_initial(&w, cases[i].variant, 1);
            for (int k = cases[i].first; k <= cases[i].last; k++) {
                snprintf(path, sizeof path, "layer%d.%s", layer, behind[k]);
                check_constant(&w, path, cases[i].gain);
            }
            snprintf(path, sizeof path, "layer%d.%s", layer, cases[i].first ? "attn_norm" : "norm");
            check_constant(&w, path, 1); /* in front */
            snprintf(path, sizeof path, "layer%d.ffn_norm", layer);
            check_constant(&w, path, 1);
            check_constant(&w, "norm", 1);
            close_initial(&w);
        }
}

/* baselines.md 1 */
static void test_gpt2(void **state)
{
    (void)state;
    initial w;
    open_initial(&w, "gpt2", 1);
    check_std(&w, "embed", 0.02);
    check_std(&w, "pos", 0.02);
    check_std(&w, "layer0.attn.q", 0.02);
    check_std(&w, "layer0.attn.v", 0.02);
    check_std(&w, "layer1.attn.out", 0.02 / 2); /* sqrt(2 L) = 2 */
    check_std(&w, "layer0.mlp.up", 0.02);
    check_std(&w, "layer1.mlp.down", 0.02 / 2);
    check_constant(&w, "layer0.attn.q_bias", 0);
    check_constant(&w, "layer0.mlp.down_bias", 0);
    check_constant(&w, "layer0.norm.gain", 1);
    check_constant(&w, "norm.gain", 1);
    check_constant(&w, "norm.bias", 0);
    close_initial(&w);
    open_initial(&w, "hedgehog", 1);
    Var v;
    const float *map = find(&w, "layer1.attn.map_k", &v);
    for (int i = 0; i < 64 * 16; i++) assert_true(map[i] == (i / 16 % 16 == i % 16)); /* the identity, per head */
    close_initial(&w);
}

enum { S = 160 };
static double rate(int c) { return pow(10, -3 + 2 * (c / 16) / (double)(S / 16 - 1)) * (c % 16 + 1); }
static double scale(int c, double g) { return sqrt(1 - g * exp(-rate(c)) * g * exp(-rate(c))) / g; }

static void check_rows(const initial *scaled, const initial *plain, bool matched)
{
    Var v;
    const float *x = find(scaled, "layer0.gss.in", &v), *y = find(plain, "layer0.gss.in", &v);
    for (int c = 0; c < S; c++) {
        double s = scale(c, matched ? exp(-rate(c)) : 0.5);
        for (int i = 0; i < 64; i++)
            if (fabs(x[c * 64 + i] - s * y[c * 64 + i]) > 1e-6 * fabs(s * y[c * 64 + i]))
                fail_msg("row %d of layer0.gss.in is not scaled by %g", c, s);
    }
}

static void test_state_space(void **state)
{
    (void)state;
    initial zero, matched, none, fixed, conv;
    open_initial(&zero, "default", 1);
    open_initial(&matched, "matched gate bias", 1);
    open_initial(&none, "wb_scale none", 1);
    open_initial(&fixed, "wb_scale fixed, matched", 1);
    open_initial(&conv, "filter conv4", 1);
    Var v;
    const float *theta = find(&zero, "layer0.gss.theta", &v), *bias = find(&matched, "layer1.gss.bias", &v);
    const float *s = find(&fixed, "layer1.gss.in_scale", &v);
    assert_int_equal(v->kind, PHA__CONSTANT);
    for (int c = 0; c < S; c++) {
        assert_true(fabs(theta[c] - log(rate(c))) < 1e-6);
        assert_true(fabs(1 / (1 + exp(-bias[c])) - exp(-rate(c))) < 1e-6); /* sigmoid(b) = e^-rate */
        assert_true(fabs(s[c] / scale(c, exp(-rate(c))) - 1) < 1e-6);
    }
    assert_true(fabs(theta[0] - log(1e-3)) < 1e-6);
    assert_true(fabs(theta[S - 1] - log(1.6)) < 1e-6);
    const float *taps = find(&conv, "layer1.gss.conv", &v);
    assert_int_equal(v->kind, PHA__VECTOR);
    for (int i = 0; i < 4 * S; i++) assert_true(taps[i] == (i % 4 == 0)); /* the identity */
    check_rows(&zero, &none, false);
    check_rows(&matched, &none, true);
    close_initial(&zero);
    close_initial(&matched);
    close_initial(&none);
    close_initial(&fixed);
    close_initial(&conv);
}

/* S4D-Lin in the place of S4D-Real (pha.md 10): rates Delta/2, frequencies pi n Delta. */
static void test_pairs(void **state)
{
    (void)state;
    enum { N = S / 2 };
    initial plain, fixed;
    open_initial(&plain, "complex", 1);
    open_initial(&fixed, "complex, fixed scale", 1); /* matched gate bias */
    Var v;
    const float *theta = find(&plain, "layer0.gss.theta", &v), *omega = find(&plain, "layer0.gss.omega", &v);
    assert_int_equal(v->kind, PHA__VECTOR);
    const float *bias = find(&fixed, "layer1.gss.bias", &v), *s = find(&fixed, "layer1.gss.in_scale", &v);
    const float *x = find(&plain, "layer0.gss.in", &v), *y = find(&fixed, "layer0.gss.in", &v);
    for (int c = 0; c < N; c++) {
        double delta = pow(10, -3 + 2 * (c / 16) / (double)(N / 16 - 1)), rho = delta / 2, g = exp(-rho);
        assert_true(fabs(theta[c] - log(rho)) < 1e-6);
        assert_true(fabs(omega[c] - acos(-1) * (c % 16) * delta) < 1e-6);
        assert_true(fabs(1 / (1 + exp(-bias[c])) - g) < 1e-6);
        assert_true(fabs(s[c] / (sqrt(1 - g * g * g * g) / g) - 1) < 1e-5);
        double open = sqrt(1 - g * g / 4) * 2; /* gates at a half */
        for (int k = 0; k < 2; k++)
            for (int i = 0, row = c + k * N; i < 64; i++)
                assert_true(fabs(x[row * 64 + i] - open * y[row * 64 + i]) <= 1e-6 * fabs(open * y[row * 64 + i]));
    }
    close_initial(&plain);
    close_initial(&fixed);
}

/* A tensor is a function of seed and path alone: not of the options around it, and not the same under another path. */
static void test_seeds(void **state)
{
    (void)state;
    initial a, b, other;
    open_initial(&a, "default", 1);
    open_initial(&b, "attention", 1);
    open_initial(&other, "default", 2);
    Var v;
    const float *q = find(&a, "layer0.attn.q", &v);
    size_t bytes = (size_t)v->rows * (size_t)v->width * sizeof(float);
    assert_true(lab_same(q, find(&b, "layer0.attn.q", &v), bytes));
    assert_false(lab_same(q, find(&a, "layer1.attn.q", &v), bytes));
    assert_false(lab_same(q, find(&a, "layer0.attn.out", &v), bytes));
    assert_false(lab_same(q, find(&other, "layer0.attn.q", &v), bytes));
    close_initial(&a);
    close_initial(&b);
    close_initial(&other);
}

/* An untrained model is about as good as guessing: ln 256 = 5.545. */
static void test_initial_loss(void **state)
{
    (void)state;
    enum { N = 64 };
    static const char *const names[] = {"default", "sequential", "attention", "gpt2", "linear attention", "hedgehog"};
    for (int i = 0; i < 6; i++) {
        pha__config c;
        lab_config(&c, lab_find(names[i]));
        int32_t tokens[N], targets[N];
        lab_tokens(tokens, targets, N, 256, 0, 3);
        lab l;
        lab_open(&l, &c, &(pha__program_options){.B = 1, .T = N}, PHA__HEAD_LOSS, lab_device());
        OK(pha__init_weights(l.store, 1));
        OK(pha__exec_run(l.exec, 1, N, &(pha__run){.tokens = tokens, .targets = targets}, NULL, false));
        double loss = lab_loss(&l, N, 1.0 / N);
        print_message("%s: initial loss %.3f\n", names[i], loss);
        assert_true(fabs(loss - log(256)) < 0.15);
        lab_close(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_configurations),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_matrices),
        cmocka_unit_test(test_gains),
        cmocka_unit_test(test_gpt2),
        cmocka_unit_test(test_state_space), cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_initial_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
