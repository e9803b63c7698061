/* test_guard.c -- the guard on made-up series: faults are refused, hard text is not, and no run of refusals lasts */
#include "runtime/train/guard.h"

#include <math.h>

#include "base/rng.h"
#include "support/root.h"

/* A number of N(0, 1), by counter. */
static double noise(uint32_t i)
{
    uint32_t counter[4] = {i, 0, 0, 77}, x[4];
    pha__philox(5, counter, x);
    return sqrt(-2 * log((x[0] + 0.5) * 0x1p-32)) * cos(2 * acos(-1) * x[1] * 0x1p-32);
}

static bool coin(uint32_t i, double share)
{
    uint32_t counter[4] = {i, 1, 0, 77}, x[4];
    pha__philox(5, counter, x);
    return x[0] * 0x1p-32 < share;
}

static bool step(pha__guard *g, double limit, double loss, double norm)
{
    bool refused = pha__guard_refuses(g, limit, loss, norm);
    pha__guard_see(g, limit, loss, norm);
    return refused;
}

/* 200 steps as of a run that goes well: `unit` nats are its unit of loss. */
static pha__guard ordinary(double unit)
{
    pha__guard g = {0};
    for (uint32_t i = 0; i < 200; i++) {
        double loss = 3 + 5 * exp(-(double)i / 30) + 0.05 * noise(i);
        assert_false(step(&g, 8, unit * loss, 2 * exp(0.2 * noise(1000 + i))));
    }
    return g;
}

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-12 * fabs(want) + 1e-15)) fail_msg("%.15g, not %.15g", got, want);
}

/* The plain mean and variance of the first fifty values from the first on, then 2 % of the newest. */
static void formulas(void **state)
{
    (void)state;
    pha__guard g = {0};
    double sum = 0, squares = 0, logs = 0, mean = 0;
    for (int i = 0; i < 50; i++) {
        double loss = 3 + 0.2 * noise((uint32_t)i), norm = exp(0.3 * noise(100 + (uint32_t)i));
        pha__guard_see(&g, 8, loss, norm);
        sum += loss, squares += loss * loss, logs += log(norm), mean = sum / (i + 1);
        near(g.loss.mean, mean);
        near(g.norm.mean, logs / (i + 1));
        if (i) assert_true(fabs(g.loss.variance - (squares / (i + 1) - mean * mean)) < 1e-12);
    }
    double before = g.loss.variance;
    pha__guard_see(&g, 8, mean + 0.5, 1);
    near(g.loss.mean, mean + 0.02 * 0.5);
    near(g.loss.variance, 0.98 * (before + 0.02 * 0.25));
    assert_int_equal(g.seen, 51);
}

/* What is not finite is refused always, and changes nothing that the guard knows. */
static void not_finite(void **state)
{
    (void)state;
    const double bad[] = {NAN, INFINITY, -INFINITY};
    pha__guard fresh = {0}, old = ordinary(1);
    for (int i = 0; i < 3; i++)
        for (int off = 0; off < 2; off++) {
            pha__guard g = fresh, h = old;
            assert_true(step(&g, off ? 0 : 8, bad[i], 1) && step(&g, off ? 0 : 8, 1, bad[i]));
            assert_true(step(&h, off ? 0 : 8, bad[i], 1) && step(&h, off ? 0 : 8, 1, bad[i]));
            assert_memory_equal(&g, &fresh, sizeof g);
            assert_memory_equal(&h, &old, sizeof h);
        }
}

/* A garbled batch and an exploded gradient are refused, in whatever unit the loss is; the steps around them are not. */
static void faults(void **state)
{
    (void)state;
    const double units[] = {1, 1e-6, 1e6};
    for (int u = 0; u < 3; u++) {
        pha__guard g = ordinary(units[u]);
        for (uint32_t i = 0; i < 400; i++) {
            double loss = 3 + 0.05 * noise(3000 + i), norm = 2 * exp(0.2 * noise(4000 + i));
            bool garbled = i % 100 == 50, exploded = i % 100 == 80;
            if (garbled) loss = 10;
            if (exploded) norm = 500;
            assert_true(step(&g, 8, units[u] * loss, norm) == (garbled || exploded));
        }
    }
    pha__guard g = {0}; /* a loss that is no likelihood: about zero, and below it */
    for (uint32_t i = 0; i < 300; i++) assert_false(step(&g, 8, 0.1 * noise(i), 1));
    assert_true(step(&g, 8, 5, 1));
    assert_false(step(&g, 8, -5, 1));
    for (uint32_t i = 0; i < 300; i++) step(&g, 8, -3 + 0.1 * noise(i), 1);
    assert_true(step(&g, 8, 3, 1));
    g = (pha__guard){0};
    for (uint32_t i = 0; i < 300; i++) step(&g, 8, -3 + 0.001 * noise(i), 1);
    assert_false(step(&g, 8, -2.5, 1)); /* 5 % of the size are no deviation, whatever the sign */
    g = (pha__guard){0};
    for (uint32_t i = 0; i < 300; i++) step(&g, 8, 3 + 0.05 * noise(i), 2);
    assert_true(step(&g, 8, 1e9, 1e9)); /* what is absurd weighs no more than what is just refused */
    assert_true(step(&g, 8, 10, 2));
    assert_true(step(&g, 8, 3, 1000));
    assert_false(step(&g, 8, 3, 2));
}

/* Text of two kinds, in turns and one after the other: hard text may be refused when it first comes, not for good. */
static void hard_text(void **state)
{
    (void)state;
    pha__guard g = {0};
    int refused = 0;
    for (uint32_t i = 0; i < 2000; i++)
        refused += step(&g, 8, coin(i, 0.2) ? 5 + 0.3 * noise(i) : 0.3 + 0.05 * noise(i), coin(i, 0.2) ? 3 : 0.3);
    assert_int_equal(refused, 0);
    g = (pha__guard){0};
    for (uint32_t i = 0; i < 400; i++) assert_false(step(&g, 8, 0.3 + 0.01 * noise(i), 0.3));
    int row = 0;
    while (step(&g, 8, 6, 3)) row++;
    assert_in_range(row, 1, 12); /* it comes unheralded, twenty times the loss of what was, and is let in soon */
    for (uint32_t i = 0; i < 200; i++) assert_false(step(&g, 8, 6 + 0.2 * noise(i), 3));
}

/* However rare the hard steps are, the share of steps refused tends to no more than one in limit squared. */
static void bounded_share(void **state)
{
    (void)state;
    for (double share = 0.001; share < 0.3; share *= 1.5)
        for (double limit = 4; limit <= 8; limit += 2) {
            pha__guard g = {0};
            int refused = 0;
            for (uint32_t i = 0; i < 20000; i++) {
                bool hard = coin(i, share);
                refused += step(&g, limit, hard ? 100 : 1 + 0.01 * noise(i), 1);
            }
            if (refused > 1.3 * 20000 / (limit * limit))
                fail_msg("%d of 20000 steps refused of a share %.3f, limit %g", refused, share, limit);
        }
}

/* Nothing is judged before fifty steps, nor with the limit 0; a limit of a few deviations is just that. */
static void limits(void **state)
{
    (void)state;
    pha__guard g = {0};
    for (int i = 0; i < 49; i++) step(&g, 8, i % 2 ? 2.5 : 3.5, 1);
    assert_false(pha__guard_refuses(&g, 8, 1e9, 1e9));
    step(&g, 8, 2.5, 1);
    assert_true(pha__guard_refuses(&g, 8, 1e9, 1));
    assert_true(pha__guard_refuses(&g, 8, 3, 1e9));
    assert_false(pha__guard_refuses(&g, 0, 1e9, 1e9));
    for (double limit = 1; limit < 9; limit++) { /* the deviation is 0.5, that of the norm taken for 0.3 */
        assert_false(pha__guard_refuses(&g, limit, g.loss.mean + 0.49 * limit, 1));
        assert_true(pha__guard_refuses(&g, limit, g.loss.mean + 0.51 * limit, 1));
        assert_false(pha__guard_refuses(&g, limit, 3, exp(0.29 * limit)));
        assert_true(pha__guard_refuses(&g, limit, 3, exp(0.31 * limit)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formulas),  cmocka_unit_test(not_finite),    cmocka_unit_test(faults),
        cmocka_unit_test(hard_text), cmocka_unit_test(bounded_share), cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
