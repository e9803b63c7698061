/* test_overfit.c -- a training loop in small: one batch is learned by heart (numerics.md 6)
 *
 * 4 x 128 random tokens, tiny preset, AdamW at 1e-3 with decay of matrices and the global norm clipped at 1: a loss
 * below 0.05 within 300 steps.
 */
#include <math.h>

#include "models/lab.h"

enum { B = 4, T = 128, STEPS = 300 };

static void update(lab *l)
{
    static const pha__adam adam = {.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .decay = 0.1};
    double norm;
    OK(pha__gradient_norm(&l->optimizer, &norm));
    OK(pha__adam_step(&l->optimizer, &adam, fmin(1, 1 / (norm + 1e-6))));
}

static void overfit(const char *variant, pha__dtype dtype, double goal)
{
    static int32_t tokens[B * T], targets[B * T];
    pha__config c;
    lab_config(&c, lab_find(variant));
    for (int b = 0; b < B; b++) lab_tokens(tokens + b * T, targets + b * T, T, c.vocab_size, 0, (uint64_t)b);
    lab l;
    pha__program_options o = {.B = B, .T = T, .gradients = true, .dtype = dtype};
    lab_open(&l, &c, &o, PHA__HEAD_LOSS, lab_device());
    OK(pha__init_weights(l.store, 1));
    OK(pha__optimizer_refresh(&l.optimizer));

    const double scale = 1.0 / (B * T);
    const char *type = dtype == PHA__BF16 ? "bf16" : "fp32";
    double loss = INFINITY;
    int step = 0;
    while (step < STEPS && loss >= goal) {
        pha__run run = {.tokens = tokens, .targets = targets, .loss_scale = (float)scale, .step = (uint64_t)++step};
        OK(pha__exec_run(l.exec, B, T, &run, NULL, false));
        loss = lab_loss(&l, B * T, scale);
        if (step == 1 || step % 50 == 0) print_message("%s %s: step %3d: loss %.4f\n", variant, type, step, loss);
        update(&l);
    }
    print_message("%s %s: loss %.4f after %d steps\n", variant, type, loss, step);
    assert_true(loss < goal);
    lab_close(&l);
}

static void test_pha(void **state)
{
    (void)state;
    overfit("default", PHA__F32, 0.05);
}

static void test_half(void **state)
{
    (void)state;
    overfit("default", PHA__BF16, 0.05);
}

/* The goal of numerics.md is that of PHA; the sequential model, which is smaller and deeper, is at 0.06 by then. */
static void test_sequential(void **state)
{
    (void)state;
    overfit("sequential", PHA__F32, 0.1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pha), cmocka_unit_test(test_half),
                                       cmocka_unit_test(test_sequential)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
