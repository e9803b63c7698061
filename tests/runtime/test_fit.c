/* test_fit.c -- the fit of loss against parameters and tokens finds what made the losses, and says how sure it is */
#include <math.h>

#include "runtime/repro/fit.h"
#include "support/root.h"

enum { SIZES = 3, BUDGETS = 3, N = SIZES * BUDGETS };

static double truth(double n, double d) { return 1.7 + 400 * pow(n, -0.34) + 410 * pow(d, -0.28); }

static void losses(pha__point *p, double noise)
{
    static const double dice[N] = {0.3, -0.8, 0.5, 0.1, -0.4, 0.9, -0.7, 0.2, -0.1};
    for (int i = 0; i < N; i++) {
        p[i].n = 1e6 * pow(3.2, i % SIZES), p[i].d = 2e6 * pow(4, i / SIZES);
        p[i].loss = truth(p[i].n, p[i].d) * exp(noise * dice[i]);
    }
}

static void test_exact(void **state)
{
    (void)state;
    pha__point p[N];
    pha__fit fit;
    double low, high, at = truth(125e6, 1.4e9);
    losses(p, 0);
    assert_true(pha__fit_loss(&fit, p, N));
    assert_true(fabs(fit.alpha / 0.34 - 1) < 0.02 && fabs(fit.beta / 0.28 - 1) < 0.02 && fabs(fit.e / 1.7 - 1) < 0.05);
    assert_true(fit.rms < 1e-5);
    assert_true(fabs(pha__fit_at(&fit, 125e6, 1.4e9) / at - 1) < 0.02);
    for (int i = 0; i < N; i++) assert_true(fabs(pha__fit_at(&fit, p[i].n, p[i].d) / p[i].loss - 1) < 1e-4);
    assert_true(pha__fit_range(&low, &high, p, N, 125e6, 1.4e9));
    assert_true(low <= high && high / low < 1.1);
}

/* Noise of 0.3 % hardly changes what is said of points between, and widens the range of what is said of points far
 * away. */
static void test_noise(void **state)
{
    (void)state;
    pha__point p[N];
    pha__fit fit;
    double low, high, far_low, far_high;
    losses(p, 0.003);
    assert_true(pha__fit_loss(&fit, p, N));
    assert_true(fit.rms > 1e-5 && fit.rms < 0.003);
    assert_true(fabs(pha__fit_at(&fit, 4e6, 9e6) / truth(4e6, 9e6) - 1) < 0.01);
    assert_true(pha__fit_range(&low, &high, p, N, 4e6, 9e6));
    assert_true(pha__fit_range(&far_low, &far_high, p, N, 125e6, 1.4e9));
    assert_true(high / low < far_high / far_low);
}

static void test_too_few(void **state)
{
    (void)state;
    pha__point p[N];
    pha__fit fit;
    double low, high;
    losses(p, 0);
    assert_false(pha__fit_loss(&fit, p, 5));
    assert_false(pha__fit_loss(&fit, p, 6)); /* of two budgets */
    assert_false(pha__fit_range(&low, &high, p, 6, 1e7, 1e7));
    assert_true(pha__fit_loss(&fit, p, 7));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact), cmocka_unit_test(test_noise), cmocka_unit_test(test_too_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
