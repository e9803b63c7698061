/* test_carry.c -- windows that begin in the state in which the one before them ended, and rotary positions for longer
 * texts */
#include "training.h"

#include "ops/lm_loss/lm_loss.h"
#include "runtime/train/run_folder.h"
#include "support/allocations.h"

enum { T = 12, BATCH = 2, STEPS_OF_PASS = 8 };

/* Every op with a state that pha and seq have; windows that reach over several of T, and less. */
static const lab_variant variants[] = {
    {"pha", "pha", "\"d_model\": 32, \"d_state\": 32, \"d_ffn\": 48, \"d_aux\": 32, \"window\": [30, 7]"},
    {"seq", "seq", "\"d_model\": 32, \"d_state\": 32, \"d_ffn\": 48, \"window\": 20, \"qk\": \"rms\""},
    {"conv", "pha", "\"d_model\": 32, \"d_state\": 32, \"d_ffn\": 48, \"d_aux\": 32, \"window\": 17, "
                    "\"gss_filter\": \"conv4\""},
    {"state space alone", "pha", "\"d_model\": 32, \"d_state\": 32, \"d_ffn\": 48, \"branches\": [\"gss\"]"},
};
enum { VARIANTS = sizeof variants / sizeof *variants };

static char short_data[300];

static int set_up_carry(void **state)
{
    set_up(state);
    snprintf(short_data, sizeof short_data, "%s/short", root);
    prepare_text(short_data, 9); /* some steps for a pass */
    return 0;
}

static const char *configured(const lab_variant *v)
{
    static char path[300];
    snprintf(path, sizeof path, "%s/carry.json", root);
    lab_write_config(path, v, 0);
    return path;
}

static pha_train_options carrying(const lab_variant *v)
{
    pha_train_options o = options();
    o.config = configured(v), o.context = T, o.batch = o.micro_batch = BATCH, o.dropout = 0, o.warmup = 0;
    o.carry = true, o.attn_dropout = 0;
    return o;
}

/* As if weights stood still. */
static void still(pha_train_options *o) { o->lr = 1e-30, o->clip = -1, o->schedule = PHA_SCHEDULE_CONSTANT; }

static double mean_of(pha_trainer *t, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        pha_step s;
        OK(pha_trainer_step(t, &s));
        sum += s.loss;
    }
    return sum / n;
}

/* Windows one after the other have the losses of one window over all of them, which begins in a zero state; and they
 * would not without the state. */
static void test_one_window(void **state)
{
    (void)state;
    for (int k = 0; k < VARIANTS; k++)
        for (int how = 0; how < 4; how++) { /* fp32, bf16, with recomputation, unfused */
            pha_train_options o = carrying(&variants[k]);
            still(&o);
            o.batch = o.micro_batch = 1, o.steps = 8;
            if (how == 1) o.precision = PHA_BF16;
            o.recompute = how == 2, o.no_fuse = how == 3;
            pha_trainer *parts = open_trainer(&o);
            double carried = mean_of(parts, 8);
            pha_trainer_close(parts);
            o.context = 8 * T, o.recompute = false;
            pha_trainer *whole = open_trainer(&o);
            double once = mean_of(whole, 1);
            pha_trainer_close(whole);
            if (!(fabs(carried - once) < 1e-6 * once))
                fail_msg("%s, %d: %.9g in windows, %.9g at once", variants[k].name, how, carried, once);
            o.context = T, o.carry = false;
            pha_trainer *apart = open_trainer(&o);
            assert_true(fabs(mean_of(apart, 8) - once) > 1e-5);
            pha_trainer_close(apart);
        }
}

/* ---- gradients ------------------------------------------------------------------------------------------- */

/* The loss of the step that is due, of the weights as they are; nothing moves on. */
static double loss_now(pha_trainer *t)
{
    double sum = 0;
    for (int i = 0; i < BATCH; i++) {
        size_t at = (size_t)i * T;
        OK(pha__loader_get(&t->loader, (uint64_t)(t->step * BATCH + i), t->ids + at, t->targets + at));
    }
    pha__run run = {.tokens = t->ids, .targets = t->targets, .loss_scale = 1.0f / (BATCH * T)};
    pha__states states;
    OK(pha__carry_begin(&t->carry, 0, &states));
    OK(pha__exec_run_from(t->exec, BATCH, T, &run, &states, false, true));
    OK(pha__exec_output(t->exec, "loss", BATCH * T, t->losses));
    for (int i = 0; i < BATCH * T; i++) sum += t->losses[PHA__LOSS_WIDTH * i + PHA__NLL];
    return sum / (BATCH * T);
}

/* Along a random direction of one parameter, the state in which the step begins being what it is. */
static void check_direction(pha_trainer *t, int index, const char *name)
{
    const double step = 0.02;
    size_t n = (size_t)pha__param_size(t->program, index);
    float *w = malloc(n * sizeof *w), *g = malloc(n * sizeof *g), *moved = malloc(n * sizeof *moved);
    double *d = malloc(n * sizeof *d), squares = 0, analytic = 0, length = 0, loss[2];
    uint64_t random = (uint64_t)index + 3;
    loss_now(t);
    OK(pha__store_copy_out(t->store, PHA__WEIGHT, index, w));
    OK(pha__store_copy_out(t->store, PHA__GRADIENT, index, g));
    for (size_t i = 0; i < n; i++) squares += (double)w[i] * w[i];
    for (size_t i = 0; i < n; i++) {
        d[i] = fmax(sqrt(squares / (double)n), 1e-2) * lab_normal(&random);
        analytic += d[i] * g[i], length += pow(d[i] * g[i], 2);
    }
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < n; i++) moved[i] = (float)(w[i] + (side ? -step : step) * d[i]);
        OK(pha__store_copy_in(t->store, PHA__WEIGHT, index, moved));
        loss[side] = loss_now(t);
    }
    OK(pha__store_copy_in(t->store, PHA__WEIGHT, index, w));
    double numeric = (loss[0] - loss[1]) / (2 * step), error = fabs(numeric - analytic);
    if (getenv("PHA_TEST_VERBOSE"))
        print_message("%s: %s: %.6g by differences, %.6g\n", name, t->program->params[index]->path, numeric, analytic);
    if (!(error < 0.01 * fabs(numeric) + 0.01 * sqrt(length) + 3e-5))
        fail_msg("%s: %s: %g by differences, %g", name, t->program->params[index]->path, numeric, analytic);
    free(w), free(g), free(moved), free(d);
}

static void test_gradients(void **state)
{
    (void)state;
    for (int k = 0; k < VARIANTS; k++) {
        pha_train_options o = carrying(&variants[k]);
        pha_trainer *t = open_trainer(&o);
        steps(t, 5);
        assert_int_equal(t->carry.position, 5 * T);
        for (int i = 0; i < t->program->n_params; i++)
            if (pha__learned(t->program->params[i])) check_direction(t, i, variants[k].name);
        pha_trainer_close(t);
    }
}

/* Recomputation begins the repeated layers in the same states; micro-batches have their own. */
static void test_same_course(void **state)
{
    (void)state;
    for (int k = 0; k < VARIANTS; k++) {
        pha_train_options o = carrying(&variants[k]);
        o.dropout = 0.1;
        pha_trainer *a = open_trainer(&o);
        o.recompute = true;
        pha_trainer *b = open_trainer(&o);
        o.micro_batch = 1;
        pha_trainer *c = open_trainer(&o);
        for (int i = 0; i < 6; i++) {
            pha_step x, y, z;
            OK(pha_trainer_step(a, &x));
            OK(pha_trainer_step(b, &y));
            OK(pha_trainer_step(c, &z));
            assert_true(x.loss == y.loss && fabs(x.loss - z.loss) < 1e-4);
        }
        same_training(a, b);
        pha_trainer_close(a);
        pha_trainer_close(b);
        pha_trainer_close(c);
    }
}

/* ---- resume ---------------------------------------------------------------------------------------------- */

/* From every place of a pass and beyond its end: the bits of the run that was not interrupted. */
static void test_resume(void **state)
{
    (void)state;
    for (int k = 0; k < VARIANTS; k++)
        for (int at = 0; at < 2 * STEPS_OF_PASS; at += 3) {
            pha_train_options o = carrying(&variants[k]);
            o.data = short_data;
            pha_trainer *straight = open_trainer(&o), *first = open_trainer(&o), *second = open_trainer(&o);
            assert_int_equal(pha__loader_windows(&first->loader), STEPS_OF_PASS * BATCH);
            steps(straight, at + 4);
            steps(first, at);
            OK(pha_trainer_save(first, in_root("checkpoint")));
            steps(second, 1); /* and forgets it */
            OK(pha_trainer_load(second, in_root("checkpoint")));
            steps(second, 4);
            same_training(straight, second);
            pha_trainer_close(straight);
            pha_trainer_close(first);
            pha_trainer_close(second);
        }
}

/* A step that is left undone has not moved the states. */
static void test_stop(void **state)
{
    (void)state;
    pha_train_options o = carrying(&variants[0]);
    pha_trainer *a = open_trainer(&o), *b = open_trainer(&o);
    steps(a, 5);
    steps(b, 3);
    loss_now(b); /* forward and backward of the step, and no more */
    pha_request_stop();
    FAILS(STOPPED, "the step is left undone", pha_trainer_step(b, NULL));
    pha_clear_stop();
    steps(b, 2);
    same_training(a, b);
    pha_trainer_close(a);
    pha_trainer_close(b);
}

/* A pass begins with zero states: its first step has the loss that it has without carrying. */
static void test_pass(void **state)
{
    (void)state;
    pha_train_options o = carrying(&variants[0]);
    still(&o);
    o.data = short_data;
    pha_trainer *t = open_trainer(&o);
    steps(t, STEPS_OF_PASS);
    pha_step s;
    OK(pha_trainer_step(t, &s));
    assert_int_equal(t->carry.position, T);
    double before = s.loss;
    t->step--, t->carry.position = 0;
    OK(pha__carry_clear(&t->carry));
    assert_true(fabs(loss_now(t) - before) < 1e-9);
    pha_trainer_close(t);
}

/* ---- another base of rotary positions ---------------------------------------------------------------------- */

/* A training from a model, with another base, is one from the same weights under a configuration with that base; the
 * model that it writes has it, and an evaluation may have it too. */
static void test_rope_theta(void **state)
{
    (void)state;
    char members[300], wide[300], model[300];
    pha_eval_result r, s;
    pha_trainer *t;
    snprintf(wide, sizeof wide, "%s/wide.json", root);
    snprintf(model, sizeof model, "%s/model", root);
    pha_train_options o = options();
    o.config = configured(&variants[0]);
    t = open_trainer(&o);
    OK(pha_trainer_save_model(t, model));
    pha_trainer_close(t);
    snprintf(members, sizeof members, "%s, \"rope_theta\": 77", variants[0].options);
    lab_write_config(wide, &(lab_variant){"wide", "pha", members}, 0);
    o.config = wide;
    pha_trainer *a = open_trainer(&o);
    o.config = NULL, o.init_from = model, o.rope_theta = 77;
    pha_trainer *b = open_trainer(&o);
    steps(a, 3);
    steps(b, 3);
    same_training(a, b);
    pha_eval_options e = {.model = model, .data = data, .context = 40, .max_tokens = 400, .rope_theta = 77};
    OK(pha_eval(&e, &r));
    e.rope_theta = 0;
    OK(pha_eval(&e, &s));
    assert_true(r.nll != s.nll);
    OK(pha_trainer_save_model(b, model));
    OK(pha_eval(&e, &r));
    e.rope_theta = 77;
    OK(pha_eval(&e, &s));
    assert_true(r.nll == s.nll);
    static const double bad[] = {1, -1, 2e12, NAN, INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        e.rope_theta = o.rope_theta = bad[i];
        FAILS(USAGE, "rope_theta", pha_eval(&e, &s));
        FAILS(USAGE, "rope_theta", pha_trainer_open(&t, &o));
    }
    o.config = configured(&variants[3]), o.init_from = NULL, o.rope_theta = 1e5;
    FAILS(BAD_INPUT, "has no rotary positions whose base could be 100000", pha_trainer_open(&t, &o));
    o.config = configured(&(lab_variant){"gpt2", "gpt2", "\"n_kv_head\": null"});
    FAILS(BAD_INPUT, "has no rotary positions", pha_trainer_open(&t, &o));
    pha_trainer_close(a);
    pha_trainer_close(b);
}

/* ---- what does not fit ------------------------------------------------------------------------------------- */

static void refuse(const char *members, const char *arch, const char *message)
{
    pha_train_options o = carrying(&(lab_variant){"refused", arch, members});
    pha_trainer *t;
    FAILS(BAD_INPUT, message, pha_trainer_open(&t, &o));
    assert_null(t);
}

static void test_refused(void **state)
{
    (void)state;
    refuse("\"n_kv_head\": null", "gpt2", "learned positions for texts of up to n_positions = 1024 tokens");
    refuse("", "linear", "learned positions");
    refuse("\"window\": [9, null]", "pha", "layer 1 has attention without a window");
    refuse("", "pha", "set \"window\" in the configuration");
    refuse("\"n_mode\": 6, \"n_head\": null, \"n_kv_head\": null", "gss", "arch gss are trained by convolutions");
    refuse("\"n_shift\": 9, \"ssm_state\": 16, \"n_head\": null, \"n_kv_head\": null", "h3",
           "arch h3 are trained by convolutions");
    refuse("\"local\": 8", "pha", "use \"window\"");
    pha_train_options o = carrying(&variants[0]);
    pha_trainer *t;
    o.attn_dropout = 0.1;
    FAILS(USAGE, "no masks for the keys of earlier windows", pha_trainer_open(&t, &o));
    o.attn_dropout = 0;
    o.data = short_data, o.batch = o.micro_batch = 100;
    FAILS(BAD_INPUT, "texts side by side", pha_trainer_open(&t, &o));
}

static void spoil(const char *name)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", in_root("checkpoint"), name);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, -3, SEEK_END), 0);
    int c = fgetc(f);
    assert_int_equal(fseek(f, -3, SEEK_END), 0);
    fputc(c ^ 1, f);
    fclose(f);
}

/* The states are part of the checkpoint; a run without them is another one. */
static void test_checkpoint(void **state)
{
    (void)state;
    pha_train_options o = carrying(&variants[0]);
    pha_trainer *t = open_trainer(&o), *plain;
    steps(t, 3); /* all rings are full */
    OK(pha_trainer_save(t, in_root("checkpoint")));
    OK(pha__may_replace(in_root("checkpoint"), &pha__checkpoint_kind, false));
    o.carry = false;
    plain = open_trainer(&o);
    FAILS(BAD_INPUT, "another 'carry'", pha_trainer_load(plain, in_root("checkpoint")));
    OK(pha_trainer_save(plain, in_root("plain")));
    assert_false(pha__exists(in_root("plain/carried.safetensors")));
    FAILS(BAD_INPUT, "another 'carry'", pha_trainer_load(t, in_root("plain")));
    spoil("carried.safetensors");
    FAILS(BAD_INPUT, "carried.safetensors: its checksum", pha_trainer_load(t, in_root("checkpoint")));
    OK(pha__remove_tree(in_root("checkpoint/carried.safetensors")));
    FAILS(IO, "carried.safetensors", pha_trainer_load(t, in_root("checkpoint")));
    /* states of another place */
    OK(pha__carry_collect(&t->carry));
    OK(pha__carry_write(&t->carry, in_root("states.safetensors")));
    OK(pha__carry_read(&t->carry, in_root("states.safetensors"), 3 * T));
    FAILS(BAD_INPUT, "has read 36 tokens", pha__carry_read(&t->carry, in_root("states.safetensors"), 4 * T));
    FAILS(BAD_INPUT, "does not hold the states of 2 sequences after 12 tokens",
          pha__carry_read(&t->carry, in_root("states.safetensors"), T));
    pha_trainer_close(plain);
    pha_trainer_close(t);
}

/* Opening, steps, and a checkpoint there and back. */
static pha_status once(void *context)
{
    const pha_train_options *o = context;
    pha_trainer *t = NULL;
    pha_status status = pha_trainer_open(&t, o);
    for (int i = 0; i < 2 && !status; i++) status = pha_trainer_step(t, NULL);
    if (!status) status = pha_trainer_save(t, in_root("checkpoint"));
    if (!status) status = pha_trainer_load(t, in_root("checkpoint"));
    pha_trainer_close(t);
    return status;
}

static void test_no_memory(void **state)
{
    (void)state;
    pha_train_options o = carrying(&variants[0]);
    o.recompute = true, o.threads = 1;
    assert_true(fail_allocations(once, &o, 20) > 300);
    OK(once(&o));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_window), cmocka_unit_test(test_gradients), cmocka_unit_test(test_same_course),
        cmocka_unit_test(test_resume),     cmocka_unit_test(test_stop),      cmocka_unit_test(test_pass),
        cmocka_unit_test(test_rope_theta), cmocka_unit_test(test_refused),   cmocka_unit_test(test_checkpoint),
        cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, set_up_carry, root_teardown);
}
