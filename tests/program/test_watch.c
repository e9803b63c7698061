/* test_watch.c -- what pieces show: recorded outside of training only, readable after a run, in one order, and true */
#include <math.h>

#include "models/lab.h"
#include "nn/shown.h"

enum { T = 20 };

static void open_run(lab *l, const char *variant, bool all)
{
    pha__config c;
    int32_t tokens[T];
    lab_config(&c, lab_find(variant));
    lab_open(l, &c, &(pha__program_options){.B = 1, .T = T, .keep_watched = !all, .keep_all = all}, PHA__HEAD_NONE,
             lab_device());
    lab_tokens(tokens, NULL, T, c.vocab_size, 0, 8);
    OK(pha__exec_run(l->exec, 1, T, &(pha__run){.tokens = tokens}, NULL, false));
}

/* Every number of every watch, against those of a program that keeps all its values. */
static void test_kept(void **state)
{
    (void)state;
    static const char *const variants[] = {"default", "sequential", "filter conv4", "uniform mixing", "qk rms",
                                           "no gate bias", "state space, feed-forward"};
    for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
        lab kept, all;
        open_run(&kept, variants[v], false);
        open_run(&all, variants[v], true);
        assert_true(kept.program->block < all.program->block);
        assert_int_equal(kept.program->n_watches, all.program->n_watches);
        assert_true(kept.program->n_watches > 4);
        for (int i = 0; i < kept.program->n_watches; i++) {
            const pha__watching *w = &kept.program->watches[i];
            double x[8], y[8];
            assert_true(w->n <= 8 && w->row == all.program->watches[i].row);
            OK(pha__watch_read(w, kept.exec, kept.store, T, x));
            OK(pha__watch_read(&all.program->watches[i], all.exec, all.store, T, y));
            for (int k = 0; k < w->n; k++)
                if (x[k] != y[k] || !isfinite(x[k]))
                    fail_msg("%s: %s of %s differs", variants[v], w->row->name, w->path);
        }
        lab_close(&kept);
        lab_close(&all);
    }
}

static float *value(lab *l, const char *path, int32_t *width)
{
    *width = pha__find_value(l->program, path)->width;
    float *x = malloc(sizeof *x * T * (size_t)*width);
    OK(pha__exec_value(l->exec, path, false, T, x));
    return x;
}

static const float *param(const lab *l, const char *path)
{
    return lab_weight(l, pha__find_param(l->program, path)->index);
}

static double number(lab *l, int which, const char *path, int k)
{
    double x[8];
    for (int i = 0; i < l->program->n_watches; i++) {
        const pha__watching *w = &l->program->watches[i];
        if (w->row != &pha__shown[which] || strcmp(w->path, path)) continue;
        OK(pha__watch_read(w, l->exec, l->store, T, x));
        return x[k];
    }
    fail_msg("%s doesn't show %s", path, pha__shown[which].name);
    return 0;
}

/* Against the values of the run, written down once more. */
static void test_numbers(void **state)
{
    (void)state;
    lab l;
    int32_t S, D;
    open_run(&l, "default", true);
    float *z = value(&l, "layer1.gss.gate", &S);
    const float *bias = param(&l, "layer1.gss.bias");
    const float *theta = param(&l, "layer1.gss.theta");
    const float *tau = param(&l, "layer1.attn.tau");
    double mean = 0, median = number(&l, PHA__SHOW_HORIZON, "layer1.gss", 1);
    int below = 0, above = 0;
    for (int t = 0; t < T; t++)
        for (int c = 0; c < S; c++) {
            double g = 1 / (1 + exp(-(double)z[t * S + c] - bias[c])), h = 1 / (1 - g * exp(-exp(theta[c])));
            mean += g / (T * S);
            below += h < median * (1 - 1e-6), above += h > median * (1 + 1e-6);
        }
    assert_true(fabs(number(&l, PHA__SHOW_GATE_MEAN, "layer1.gss", 0) - mean) < 1e-9);
    assert_true(abs(below - above) <= 2);
    float *a = value(&l, "layer1.attn.out", &D);
    double squares = 0;
    for (int i = 0; i < T * D; i++) squares += (double)a[i] * a[i];
    assert_true(fabs(number(&l, PHA__SHOW_BRANCH_RMS, "layer1.attn", 0) - sqrt(squares / (T * D))) < 1e-9);
    assert_true(fabs(number(&l, PHA__SHOW_ATTN_SCALE, "layer1.attn", 2) - exp(tau[2])) < 1e-9);
    free(z);
    free(a);
    lab_close(&l);
}

/* Shares of the norm of what the branches of a layer add, with gains and weights that are not 1. */
static void test_shares(void **state)
{
    (void)state;
    static const char *const names[] = {"attn", "gss", "aux"}, *const shown[] = {"gss", "attn", "aux"};
    lab l;
    double norms[3], sum = 0, p[3] = {0.7, -0.4, 0.1}, weights = 0;
    open_run(&l, "default", true);
    float *mix = (float *)(uintptr_t)param(&l, "layer1.mix");
    for (int k = 0; k < 3; k++) mix[k] = (float)p[k], weights += log1p(exp((double)mix[k]));
    for (int k = 0; k < 3; k++) {
        char path[40];
        int32_t D;
        snprintf(path, sizeof path, "layer1.%s.%s", names[k], k == 2 ? "down" : "out");
        float *z = value(&l, path, &D);
        snprintf(path, sizeof path, "layer1.%s_norm", names[k]);
        float *gain = (float *)(uintptr_t)param(&l, path);
        norms[k] = 0;
        for (int i = 0; i < D; i++) gain[i] = 0.5f + 0.1f * (float)((i + k) % 7);
        for (int t = 0; t < T; t++) {
            double squares = 0, seen = 0;
            for (int i = 0; i < D; i++) {
                double x = (double)z[t * D + i], g = (double)gain[i];
                squares += x * x / D, seen += g * x * g * x;
            }
            norms[k] += log1p(exp((double)mix[k])) / weights * sqrt(seen / (squares + 1e-6)) / T;
        }
        sum += norms[k];
        free(z);
    }
    for (int k = 0; k < 3; k++) {
        int at = 0;
        while (strcmp(names[at], shown[k])) at++;
        assert_true(fabs(number(&l, PHA__SHOW_MIX_SHARE, "layer1", k) - norms[at] / sum) < 1e-7);
    }
    lab_close(&l);
}

static void test_order(void **state)
{
    (void)state;
    static const char *const want[] = {"horizon",    "gate_mean",  "branch_rms", "branch_rms", "branch_rms",
                                       "branch_rms", "attn_scale", "mix",        "mix_scaled", "mix_share"};
    static const char *const rms[] = {"attn", "gss", "aux", "ffn"};
    enum { N = sizeof want / sizeof *want };
    lab l;
    open_run(&l, "default", false);
    assert_int_equal(l.program->n_watches, 2 * N);
    for (int i = 0; i < 2 * N; i++) {
        const pha__watching *w = &l.program->watches[i];
        assert_int_equal(w->layer, i / N);
        assert_string_equal(w->row->name, want[i % N]);
        if (w->row == &pha__shown[PHA__SHOW_BRANCH_RMS]) assert_string_equal(w->labels[0], rms[i % N - 2]);
    }
    lab_close(&l);
}

static void test_training_records_none(void **state)
{
    (void)state;
    pha__config c;
    lab_config(&c, lab_find("default"));
    for (int watched = 0; watched < 2; watched++) {
        lab l;
        lab_open(&l, &c, &(pha__program_options){.B = 1, .T = T, .gradients = true, .keep_watched = watched},
                 PHA__HEAD_LOSS, lab_device());
        assert_int_equal(l.program->n_watches, 0);
        lab_close(&l);
    }
}

static void test_errors(void **state)
{
    (void)state;
    pha__config c;
    lab_config(&c, lab_find("default"));
    lab l;
    lab_open(&l, &c, &(pha__program_options){.B = 1, .T = T}, PHA__HEAD_NONE, lab_device());
    double x[8];
    FAILS(FAILED, "layer0.gss.gate: can't be shown", pha__watch_read(&l.program->watches[0], NULL, l.store, T, x));
    lab_close(&l);
    pha__program *p;
    OK(pha__program_open(&p, &(pha__program_options){.B = 1, .T = 1}));
    Var v = pha__param(pha__root(p), "v", 1, 4, PHA__VECTOR, (pha__init){0});
    pha__watch(pha__root(p), &pha__shown[PHA__SHOW_GATE_MEAN], NULL, NULL, 1, &v, 1, NULL, 0);
    FAILS(BAD_INPUT, "'gate_mean' of '' can't be shown: a watch belongs to a layer", pha__program_finish(p));
    pha__program_close(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept),  cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_shares), cmocka_unit_test(test_order),
        cmocka_unit_test(test_training_records_none), cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
