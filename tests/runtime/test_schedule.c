/* test_schedule.c -- learning rates at their edges against closed forms (pha.md 6), and how a run sets them up */
#include "training.h"

static void rate_is(const pha__schedule *s, int64_t step, double want)
{
    double got = pha__schedule_lr(s, step);
    if (!(fabs(got - want) <= 1e-15 + 1e-12 * want))
        fail_msg("update %d has the rate %.15g, not %.15g", (int)step, got, want);
}

/* The first update has a W-th of the peak, update W - 1 the whole of it; every schedule begins like that. */
static void warm_up(void **state)
{
    (void)state;
    static const pha_schedule kinds[] = {PHA_SCHEDULE_COSINE, PHA_SCHEDULE_PLATEAU, PHA_SCHEDULE_CONSTANT};
    for (int k = 0; k < 3; k++) {
        pha__schedule s = {.kind = kinds[k], .lr = 0.8, .min_ratio = 0.1, .warmup = 4, .total = 104, .scale = 1};
        rate_is(&s, 0, 0.2);
        rate_is(&s, 1, 0.4);
        rate_is(&s, 2, 0.6);
        rate_is(&s, 3, 0.8);
        rate_is(&s, 4, k ? 0.8 : 0.8 * (0.1 + 0.9 * (1 + cos(acos(-1) / 100)) / 2)); /* the peak is reached once */
        s.warmup = 1;
        rate_is(&s, 0, 0.8);
        s.warmup = 0;
        rate_is(&s, 0, 0.8);
    }
}

static void constant(void **state)
{
    (void)state;
    pha__schedule s = {.kind = PHA_SCHEDULE_CONSTANT, .lr = 0.8, .min_ratio = 0.1, .warmup = 2, .total = 10,
                       .scale = 0.5};
    for (int64_t step = 2; step < 13; step++) rate_is(&s, step, 0.8);
}

/* Thirds and halves of the way, where the cosine is known; the end of the run and what lies behind it. */
static void cosine(void **state)
{
    (void)state;
    pha__schedule s = {.kind = PHA_SCHEDULE_COSINE, .lr = 2, .min_ratio = 0.1, .warmup = 6, .total = 18, .scale = 0.5};
    rate_is(&s, 5, 2);
    rate_is(&s, 7, 2 * (0.1 + 0.9 * (1 + sqrt(0.75)) / 2)); /* cos 30 degrees */
    rate_is(&s, 8, 2 * (0.1 + 0.9 * (1 + sqrt(0.5)) / 2));
    rate_is(&s, 9, 2 * (0.1 + 0.9 * 0.75));
    rate_is(&s, 11, 2 * (0.1 + 0.9 * 0.5));
    rate_is(&s, 13, 2 * (0.1 + 0.9 * 0.25));
    rate_is(&s, 15, 2 * (0.1 + 0.9 * (1 - sqrt(0.75)) / 2));
    rate_is(&s, 16, 2 * (0.1 + 0.9 * (1 - (sqrt(6) + sqrt(2)) / 4) / 2)); /* cos 165 degrees */
    rate_is(&s, 17, 0.2);                                                 /* the last update */
    rate_is(&s, 18, 0.2);
    rate_is(&s, 1000, 0.2);
    s.min_ratio = 0;
    rate_is(&s, 11, 1);
    rate_is(&s, 17, 0);
}

/* Both ends of every schedule for all short runs: the first update, the one that ends the warm-up, the last. */
static void both_ends(void **state)
{
    (void)state;
    static const pha_schedule kinds[] = {PHA_SCHEDULE_COSINE, PHA_SCHEDULE_PLATEAU, PHA_SCHEDULE_CONSTANT};
    for (int k = 0; k < 3; k++)
        for (int64_t total = 1; total <= 12; total++)
            for (int64_t warmup = 0; warmup <= total + 3; warmup++) {
                pha__schedule s = {.kind = kinds[k], .lr = 0.8, .min_ratio = 0.25, .scale = 1};
                s.warmup = warmup, s.total = total;
                int64_t peak = warmup ? warmup - 1 : 0;
                rate_is(&s, 0, warmup ? 0.8 / (double)warmup : 0.8);
                rate_is(&s, peak, 0.8);
                if (total - 1 > peak) rate_is(&s, total - 1, k ? 0.8 : 0.2);
                if (total - 1 < peak) rate_is(&s, total - 1, 0.8 * (double)total / (double)warmup);
                if (peak > 0) assert_true(pha__schedule_lr(&s, peak - 1) < 0.8);
                if (k == 0 && total - 2 > peak) assert_true(pha__schedule_lr(&s, total - 2) > 0.2);
            }
}

static void observe(pha__schedule *s, double loss, double scale)
{
    pha__schedule_observe(s, loss);
    rate_is(s, s->warmup, s->lr * scale);
    rate_is(s, 1000, s->lr * scale);
}

/* The fourth bad value cuts with a patience of 3; a better one sets the count back; after a cut it begins anew. */
static void plateau(void **state)
{
    (void)state;
    pha__schedule s = {.kind = PHA_SCHEDULE_PLATEAU, .lr = 0.5, .factor = 0.75, .warmup = 2, .total = 10, .patience = 3,
                       .best = INFINITY, .scale = 1};
    observe(&s, 4, 1);
    for (int i = 0; i < 3; i++) observe(&s, 4, 1);
    observe(&s, 4, 0.75);
    for (int i = 0; i < 3; i++) observe(&s, 5, 0.75);
    observe(&s, 3, 0.75);
    for (int i = 0; i < 3; i++) observe(&s, 3.5, 0.75);
    observe(&s, 3.5, 0.75 * 0.75);
    rate_is(&s, 0, 0.25); /* the warm-up knows no plateau */
}

/* Better is below best (1 - 1e-4), and the best is what was better, not the least. */
static void plateau_threshold(void **state)
{
    (void)state;
    pha__schedule s = {.kind = PHA_SCHEDULE_PLATEAU, .lr = 1, .factor = 0.5, .patience = 0, .best = INFINITY,
                       .scale = 1};
    observe(&s, 2, 1);
    observe(&s, 2 * (1 - 0.99e-4), 0.5);
    observe(&s, 2 * (1 - 1.01e-4), 0.5); /* against 2, not against the value before */
    observe(&s, 2 * (1 - 1.9e-4), 0.25);
    observe(&s, NAN, 0.125);
    observe(&s, INFINITY, 0.0625);
    observe(&s, 1, 0.0625);
}

/* What a run makes of its options: the rates of its steps, and the end of the cosine at the run's end. */
static void a_run(void **state)
{
    (void)state;
    pha_train_options o = options();
    o.warmup = 3, o.steps = 7, o.lr = 1e-3, o.lr_min_ratio = 0.5, o.schedule = PHA_SCHEDULE_COSINE;
    pha_trainer *t = open_trainer(&o);
    static const double of_peak[] = {1. / 3, 2. / 3, 1, 0, 0.75, 0, 0.5};
    for (int i = 0; i < 7; i++) {
        pha_step s;
        OK(pha_trainer_step(t, &s));
        if (of_peak[i] > 0 && !(fabs(s.lr / 1e-3 - of_peak[i]) < 1e-12))
            fail_msg("step %d had the rate %.9g, not %.9g", i + 1, s.lr, 1e-3 * of_peak[i]);
    }
    pha_trainer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(warm_up),   cmocka_unit_test(constant), cmocka_unit_test(cosine),
        cmocka_unit_test(both_ends), cmocka_unit_test(plateau),  cmocka_unit_test(plateau_threshold),
        cmocka_unit_test(a_run),
    };
    return cmocka_run_group_tests(tests, set_up, root_teardown);
}
