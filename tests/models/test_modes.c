/* Initial values of state spaces that do not depend on the data (baselines.md 4 to 6), and how they are learned. */
#include <math.h>

#include "models/lab.h"
#include "nn/nn.h"

static void fill(float *out, int rows, int n, pha__init init) { init.fill(out, rows, n, init.arg, 1, "a.path"); }

/* The published numbers: N = 64, 32 modes. */
static void test_legs(void **state)
{
    (void)state;
    float w[2 * 32], rate[32];
    fill(w, 2, 32, pha__init_modes_im(PHA__MODES_LEGS));
    assert_true(fabs(w[0] - 0.2639) < 1e-4 && fabs(w[1] - 0.9059) < 1e-4 && fabs(w[2] - 1.7030) < 1e-4);
    assert_true(fabs(w[31] - 1303.27) < 1e-2);
    assert_memory_equal(w, w + 32, 32 * sizeof *w); /* every channel the same */
    fill(rate, 1, 32, pha__init_modes_rate(PHA__MODES_LEGS));
    for (int n = 0; n < 32; n++) assert_true(rate[n] == (float)log(0.5));
}

/* The eigenvalues fit the matrix in what can be said of them without solving it: sum w^2 = sum of a_ij^2 / 2, and, for
 * the largest sizes, the product of all from the determinant by elimination. */
static void test_legs_sizes(void **state)
{
    (void)state;
    static const int sizes[] = {1, 2, 5, 64, PHA__MODES_MOST};
    for (int k = 0; k < 5; k++) {
        int n = sizes[k], N = 2 * n;
        float w[PHA__MODES_MOST];
        double squares = 0, want = 0, log_product = 0, log_determinant = 0;
        double *a = calloc((size_t)N * (size_t)N, sizeof *a);
        fill(w, 1, n, pha__init_modes_im(PHA__MODES_DSS));
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) {
                a[i * N + j] = (i > j ? -0.5 : i < j ? 0.5 : 0) * sqrt((2.0 * i + 1) * (2.0 * j + 1));
                want += a[i * N + j] * a[i * N + j] / 2;
            }
        for (int i = 0; i < N; i++) { /* elimination with the largest pivot of the column */
            int best = i;
            for (int r = i; r < N; r++) best = fabs(a[r * N + i]) > fabs(a[best * N + i]) ? r : best;
            for (int c = 0; c < N; c++) {
                double swap = a[i * N + c];
                a[i * N + c] = a[best * N + c], a[best * N + c] = swap;
            }
            log_determinant += log(fabs(a[i * N + i]));
            for (int r = i + 1; r < N; r++)
                for (int c = N; c-- > i;) a[r * N + c] -= a[r * N + i] / a[i * N + i] * a[i * N + c];
        }
        for (int i = 0; i < n; i++) {
            squares += (double)w[i] * w[i], log_product += 2 * log(w[i]);
            assert_true(w[i] > 0 && (i == 0 || w[i] > w[i - 1]));
        }
        assert_true(fabs(squares / want - 1) < 1e-6);
        assert_true(fabs(log_product - log_determinant) < 1e-5 * n);
        free(a);
    }
}

static void test_formulas_of_modes(void **state)
{
    (void)state;
    float lin[8], inv[8], real[8], rate[8];
    fill(lin, 1, 8, pha__init_modes_im(PHA__MODES_LIN));
    fill(inv, 1, 8, pha__init_modes_im(PHA__MODES_INV));
    fill(real, 1, 8, pha__init_modes_im(PHA__MODES_REAL));
    fill(rate, 1, 8, pha__init_modes_rate(PHA__MODES_REAL));
    for (int n = 0; n < 8; n++) {
        assert_true(lin[n] == (float)(M_PI * n) && real[n] == 0 && rate[n] == (float)log(n + 1));
        assert_true(fabs(inv[n] - 16 / M_PI * (16 / (2.0 * n + 1) - 1)) < 1e-5);
    }
}

/* ---- whole models ---- */

typedef struct numbers {
    double mean, std, least, most;
} numbers;

static numbers numbers_of(const lab *l, const char *path)
{
    Var v = pha__find_param(l->program, path);
    if (!v) fail_msg("no parameter '%s'", path);
    int64_t n = (int64_t)v->rows * v->width;
    float *x = malloc((size_t)n * sizeof *x);
    v->init.fill(x, v->rows, v->width, v->init.arg, 7, v->path);
    numbers r = {0, 0, x[0], x[0]};
    for (int64_t i = 0; i < n; i++) {
        r.mean += x[i] / (double)n, r.std += (double)x[i] * x[i] / (double)n;
        r.least = fmin(r.least, x[i]), r.most = fmax(r.most, x[i]);
    }
    r.std = sqrt(r.std - r.mean * r.mean);
    free(x);
    return r;
}

static void open_model(lab *l, const char *arch, const char *options)
{
    pha__config c;
    lab_config(&c, &(lab_variant){"of test_modes", arch, options});
    lab_open(l, &c, &(pha__program_options){.B = 1, .T = 8, .gradients = true}, PHA__HEAD_LOSS, lab_device());
}

static void near(double x, double want, double error)
{
    if (!(fabs(x - want) <= error)) fail_msg("%g, not %g", x, want);
}

static void test_initial(void **state)
{
    (void)state;
    lab l;
    open_model(&l, "h3", "\"d_model\": 512, \"n_head\": null, \"n_kv_head\": null");
    near(numbers_of(&l, "layer0.h3.C_re").std, sqrt(0.5), 0.02);
    near(numbers_of(&l, "layer0.h3.d").std, 1, 0.2);
    near(numbers_of(&l, "layer1.h3.shift_d").std, 1, 0.2);
    numbers dt = numbers_of(&l, "layer0.h3.log_dt"), C = numbers_of(&l, "layer0.h3.shift_C");
    assert_true(dt.least >= log(1e-3) - 1e-6 && dt.most <= log(1e-1) + 1e-6 && dt.most - dt.least > 4);
    assert_true(C.least >= -0.125 && C.most <= 0.125);
    near(C.std, 0.125 / sqrt(3), 0.003);
    near(numbers_of(&l, "layer0.h3.shift_B").mean, 1.0 / 64, 1e-9);
    near(numbers_of(&l, "layer0.h3.B_re").least, 1, 0);
    near(numbers_of(&l, "layer0.h3.B_im").most, 0, 0);
    near(numbers_of(&l, "layer1.h3.im").most, M_PI * 31, 1e-4); /* S4D-Lin */
    near(numbers_of(&l, "layer1.h3.out").std, 0.02 / 2, 0.001);
    lab_close(&l);
    open_model(&l, "gss", "\"n_mode\": 512, \"d_ssm\": 64, \"n_head\": null, \"n_kv_head\": null");
    near(numbers_of(&l, "layer0.gss.C_im").std, 1, 0.02);
    near(numbers_of(&l, "layer0.gss.rho").std, 1, 0.15);
    near(numbers_of(&l, "layer0.gss.nu").std, 1, 0.15);
    near(numbers_of(&l, "layer0.gss.u").std, 0.02, 0.001);
    near(numbers_of(&l, "layer0.gss.out").std, 0.02 / 2, 0.001);
    lab_close(&l);
}

/* The first step of Adam is its learning rate: that of the dynamics is bounded, and they do not decay. */
static void test_learning_rate(void **state)
{
    (void)state;
    static const struct { const char *path; bool bounded; } params[] = {
        {"layer0.h3.log_dt", true}, {"layer0.h3.log_neg_re", true}, {"layer0.h3.im", true},
        {"layer0.h3.B_im", true},   {"layer0.h3.C_re", false},      {"layer0.h3.d", false},
        {"layer0.h3.shift_B", false}, {"layer0.h3.q_bias", false},
    };
    for (int k = 0; k < 2; k++) {
        double lr = k ? 1e-2 : 1e-4;
        lab l;
        open_model(&l, "h3", "\"n_head\": null, \"n_kv_head\": null");
        for (int i = 0; i < l.program->n_params; i++)
            for (int64_t e = 0; e < pha__param_size(l.program, i); e++) lab_grad(&l, i)[e] = 1;
        float before[8];
        for (int i = 0; i < 8; i++) before[i] = *lab_weight(&l, pha__find_param(l.program, params[i].path)->index);
        OK(pha__adam_step(&l.optimizer, &(pha__adam){lr, 0.9, 0.999, 1e-8, 0.5, true}, 1));
        for (int i = 0; i < 8; i++) {
            double step = before[i] - *lab_weight(&l, pha__find_param(l.program, params[i].path)->index);
            double want = params[i].bounded ? fmin(lr, 1e-3) : lr + 0.5 * lr * before[i];
            near(step, want, 1e-3 * lr + 1e-6 * fabs(before[i]));
        }
        lab_close(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_legs),    cmocka_unit_test(test_legs_sizes),    cmocka_unit_test(test_formulas_of_modes),
        cmocka_unit_test(test_initial), cmocka_unit_test(test_learning_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
