/* test_microbatches.c -- on a processor a run has the same bits whatever the size of its microbatches, and goes on with
 * another one */
#include "training.h"

enum { STEPS = 3, BATCH = 4, T = 70 /* more than one stretch, and no multiple of one */ };
enum { FP32, RECOMPUTE, BF16, MODES };

static pha_train_options of_variant(const lab_variant *v, int mode)
{
    static char path[300];
    snprintf(path, sizeof path, "%s/microbatches.json", root);
    lab_write_config(path, v, 0);
    pha_train_options o = options();
    o.config = path, o.context = T, o.batch = BATCH, o.warmup = -1, o.spike = -1;
    o.recompute = mode == RECOMPUTE, o.precision = mode == BF16 ? PHA_BF16 : PHA_FP32;
    return o;
}

static void same_losses(pha_trainer *a, pha_trainer *b)
{
    pha_step x, y;
    OK(pha_trainer_step(a, &x));
    OK(pha_trainer_step(b, &y));
    assert_true(x.loss == y.loss && x.gradient_norm == y.gradient_norm && !x.skipped);
}

/* Against one microbatch of all sequences of a lane. */
static void check(const char *what, pha_train_options o, int micro, int n)
{
    o.micro_batch = micro;
    pha_trainer *parts = open_trainer(&o);
    o.micro_batch = BATCH / (o.lanes > 1 ? o.lanes : 1);
    pha_trainer *whole = open_trainer(&o);
    print_message("%s, %d sequences at once\n", what, micro);
    for (int i = 0; i < n; i++) same_losses(parts, whole);
    same_training(parts, whole);
    pha_trainer_close(parts);
    pha_trainer_close(whole);
}

/* One of each architecture, and of each op with parameters. */
static void test_all_modes(void **state)
{
    static const char *const names[] = {"default", "dynamic mixing", "qk rms", "filter norm", "complex, conv4",
                                        "sequential", "gpt2", "linear attention", "hedgehog, exp", "gss, hybrid",
                                        "gss, dss", "h3, hybrid"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int mode = 0; mode < MODES; mode++) {
            pha_train_options o = of_variant(lab_find(names[i]), mode);
            check(names[i], o, 1, STEPS);
            check(names[i], o, 2, STEPS);
        }
}

static void test_all_variants(void **state)
{
    (void)state;
    for (int i = 0; i < lab_n_variants; i++)
        check(lab_variants[i].name, of_variant(&lab_variants[i], i % MODES), 1, 1);
}

static void test_lanes(void **state)
{
    (void)state;
    pha_train_options o = of_variant(lab_find("default"), FP32);
    o.lanes = 2;
    check("two lanes", o, 1, STEPS);
}

static void test_carried(void **state)
{
    (void)state;
    for (int mode = 0; mode < MODES; mode++) {
        pha_train_options o = of_variant(lab_find("window 7"), mode);
        o.carry = true, o.attn_dropout = -1;
        check("carried states", o, 1, STEPS);
        check("carried states", o, 2, STEPS);
    }
}

static int messages;
static void count(void *context, int level, const char *text)
{
    (void)context, (void)level;
    print_message("told: %s\n", text);
    messages++;
}

/* Another size in each call, and nothing is said of it. */
static void test_resume(void **state)
{
    (void)state;
    char folder[300];
    snprintf(folder, sizeof folder, "%s", in_root("checkpoint"));
    pha_train_options o = of_variant(lab_find("default"), FP32);
    o.micro_batch = 2;
    pha_trainer *straight = open_trainer(&o);
    steps(straight, 6);
    for (int k = 0; k < 3; k++) {
        o.micro_batch = 1 << (k + 1) % 3;
        pha_trainer *t = open_trainer(&o);
        messages = 0;
        pha_set_log(count, NULL);
        if (k) OK(pha_trainer_load(t, folder));
        pha_set_log(NULL, NULL);
        assert_int_equal(messages, 0);
        steps(t, 2);
        OK(pha_trainer_save(t, folder));
        if (k == 2) same_training(t, straight);
        pha_trainer_close(t);
    }
    pha_trainer_close(straight);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_modes), cmocka_unit_test(test_all_variants), cmocka_unit_test(test_lanes),
        cmocka_unit_test(test_carried), cmocka_unit_test(test_resume),
    };
    return cmocka_run_group_tests(tests, set_up, root_teardown);
}
