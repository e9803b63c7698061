/* test_plugin_train.c -- every architecture trains on the device "cuda" with the losses of the processor
 *
 * The plugin is the one whose kernels are compiled for the host (PHA_TEST_PLUGIN; without it there is nothing to test),
 * behind memory that the host cannot touch. A few steps each, in fp32 and in bf16, with dropout.
 */
#include "training.h"

enum { STEPS = 3 };

static const char *const kinds[] = {"default", "dynamic mixing", "sequential", "gpt2", "linear attention", "hedgehog",
                                    "gss, hybrid", "gss, s4d", "h3, hybrid", "filter conv4", "qk rms"};

/* False: there is none to test. */
static bool plugin(void)
{
    const char *file = getenv("PHA_TEST_PLUGIN");
    if (file) setenv("PHA_CUDA_PLUGIN", file, 1);
    return file != NULL;
}

static void train(const char *device, const pha_train_options *o, pha_step *out)
{
    setenv("PHA_DEVICE", device, 1);
    pha_trainer *t = open_trainer(o);
    for (int i = 0; i < STEPS; i++) OK(pha_trainer_step(t, &out[i]));
    pha_trainer_close(t);
    unsetenv("PHA_DEVICE");
}

static void compare(const char *kind, const pha_train_options *o, double limit)
{
    pha_step here[STEPS], there[STEPS], again[STEPS];
    train("cpu", o, here);
    train("far:cuda", o, there);
    bool repeat = !strcmp(kind, "default");
    if (repeat) train("far:cuda", o, again);
    for (int i = 0; i < STEPS; i++) {
        double loss = there[i].loss / here[i].loss - 1, norm = there[i].gradient_norm / here[i].gradient_norm - 1;
        if (!(fabs(loss) <= limit) || !(fabs(norm) <= 30 * limit))
            fail_msg("%s, %s, step %d: loss %.7g, gradient norm %.6g; the processor's are %.7g, %.6g", kind,
                     o->precision == PHA_BF16 ? "bf16" : "fp32", i + 1, there[i].loss, there[i].gradient_norm,
                     here[i].loss, here[i].gradient_norm);
        if (repeat) assert_true(there[i].loss == again[i].loss && there[i].gradient_norm == again[i].gradient_norm);
    }
}

static void every_architecture(void **state)
{
    (void)state;
    if (!plugin()) skip();
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        const lab_variant *v = lab_find(kinds[k]);
        lab_write_config(config, v, 0);
        pha_train_options o = options();
        o.precision = PHA_FP32;
        compare(kinds[k], &o, 1e-5);
        o.precision = PHA_BF16;
        compare(kinds[k], &o, 1e-3);
    }
}

static void muon(void **state)
{
    (void)state;
    if (!plugin()) skip();
    lab_write_config(config, lab_find("default"), 0);
    pha_train_options o = options();
    o.precision = PHA_FP32, o.optimizer = PHA_OPTIMIZER_MUON;
    compare("Muon", &o, 1e-4);
}

/* ---- a step as a recording ---- */

/* Weights, moments and losses after some steps: with recordings and without, they are the same bits. Dropout, the rate
 * and the tokens change from step to step, and the second microbatch adds to gradients. */
static void recorded(void **state)
{
    (void)state;
    if (!plugin()) skip();
    setenv("PHA_DEVICE", "cuda", 1);
    for (size_t k = 0; k < 2; k++) {
        lab_write_config(config, lab_find(k ? "h3, hybrid" : "default"), 0);
        pha_train_options o = options();
        o.precision = k ? PHA_FP32 : PHA_BF16;
        pha_trainer *with = open_trainer(&o);
        setenv("PHA_RECORD", "0", 1);
        pha_trainer *without = open_trainer(&o);
        unsetenv("PHA_RECORD");
        for (int i = 0; i < STEPS; i++) {
            pha_step a, b;
            OK(pha_trainer_step(with, &a));
            OK(pha_trainer_step(without, &b));
            if (a.loss != b.loss || a.gradient_norm != b.gradient_norm)
                fail_msg("step %d: loss %.9g, gradient norm %.9g; without a recording %.9g, %.9g", i + 1, a.loss,
                         a.gradient_norm, b.loss, b.gradient_norm);
        }
        same_training(with, without);
        pha_trainer_close(with);
        pha_trainer_close(without);
    }
    unsetenv("PHA_DEVICE");
}

/* Its sums are over all rows of a microbatch, so the size of these belongs to a run. */
static void microbatches(void **state)
{
    (void)state;
    if (!plugin()) skip();
    char folder[300];
    snprintf(folder, sizeof folder, "%s", in_root("checkpoint"));
    lab_write_config(config, lab_find("default"), 0);
    pha_train_options o = options();
    setenv("PHA_DEVICE", "far:cuda", 1);
    pha_trainer *t = open_trainer(&o);
    OK(pha_trainer_step(t, NULL));
    OK(pha_trainer_save(t, folder));
    pha_trainer_close(t);
    o.micro_batch = 1;
    t = open_trainer(&o);
    FAILS(BAD_INPUT, "another 'micro_batch' (2, now 1)", pha_trainer_load(t, folder));
    pha_trainer_close(t);
    unsetenv("PHA_DEVICE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_architecture), cmocka_unit_test(muon),
                                       cmocka_unit_test(recorded), cmocka_unit_test(microbatches)};
    return cmocka_run_group_tests(tests, set_up, root_teardown);
}
