/* test_lab.c -- the recall laboratory: what recalls does and what cannot does not; a test of a model as it is */
#include "laboratory.h"

/* ---- recall ----------------------------------------------------------------------------------------------- */

/* Two keys and their values among eight: attention finds them, and a model that sees one token at a time guesses. */
static void recalls(void **state)
{
    (void)state;
    const char *models[] = {attention(), feed_forward()};
    pha_lab_options o = options("mqar", models, 2);
    o.lengths = (int32_t[]){16}, o.n_lengths = 1;
    o.pairs = (int32_t[]){2}, o.n_pairs = 1;
    o.rates = (double[]){3e-3}, o.n_rates = 1;
    o.vocab_size = 16, o.steps = 220, o.tests = 300;
    json_t *cells = cells_of(&o);
    assert_int_equal(json_array_size(cells), 2);
    assert_true(accuracy(result(cells, 0)) > 0.9);
    assert_true(accuracy(result(cells, 1)) < 0.3);
    for (size_t i = 0; i < 2; i++) {
        double all = json_number_value(json_object_get(result(cells, i), "whole"));
        assert_true(all >= 0 && all <= accuracy(result(cells, i)));
    }
    json_decref(cells);
}

/* A model as it is, on more examples than run at once, against its logits: the share of targets that are the first of
 * the largest. (Without a residual, since one that has learned nothing says else what it has just read, which is never
 * right.) */
static void test_only(void **state)
{
    (void)state;
    enum { T = 20, N = 3, V = 6, TESTS = 150 };
    pha_model *m = tiny_model("as-it-is", &(lab_variant){"lab", "pha", "\"main_residual\": false"}, V, NULL);
    const char *models[] = {in_root("as-it-is")};
    pha_lab_options o = options("selective", models, 1);
    o.lengths = (int32_t[]){T}, o.n_lengths = 1;
    o.pairs = (int32_t[]){N}, o.n_pairs = 1;
    o.test_only = true, o.tests = TESTS, o.seed = 4;
    json_t *cells = cells_of(&o);
    static int32_t x[TESTS * T], y[TESTS * T];
    int32_t length, V_of;
    o.vocab_size = V;
    OK(pha_lab_examples(&o, true, 0, TESTS, x, y, &length, &V_of));
    assert_true(length == T && V_of == V);
    int hits = 0, whole = 0;
    for (int e = 0; e < TESTS; e++) {
        float *logits = tiny_logits(m, x + e * T, T);
        int right = 0;
        for (int t = 0; t < T; t++) {
            int best = 0;
            for (int v = 1; v < V; v++) best = logits[t * V + v] > logits[t * V + best] ? v : best;
            right += y[e * T + t] == best;
        }
        hits += right, whole += right == N;
        pha__free(logits);
    }
    assert_true(hits > 5 && hits < TESTS * N - 5);
    assert_true(fabs(accuracy(result(cells, 0)) - hits / (double)(TESTS * N)) < 1e-9);
    assert_true(fabs(json_number_value(json_object_get(result(cells, 0), "whole")) - whole / (double)TESTS) < 1e-9);
    json_decref(cells);
    pha_model_close(m);
}

static double loss(const json_t *of) { return json_number_value(json_object_get(of, "loss")); }

/* Each depth has a score, and what is said of all is their mean. */
static void depths(void **state)
{
    (void)state;
    const char *models[] = {feed_forward()};
    pha_lab_options o = options("needle", models, 1);
    o.lengths = (int32_t[]){20}, o.n_lengths = 1;
    o.depths = (int32_t[]){0, 100}, o.n_depths = 2;
    o.vocab_size = 8, o.steps = 2, o.tests = 50;
    json_t *cells = cells_of(&o);
    const json_t *list = json_object_get(result(cells, 0), "depths");
    assert_int_equal(json_array_size(list), 2);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 1), "depth")), 100);
    assert_true(loss(json_array_get(list, 0)) != loss(json_array_get(list, 1))); /* they are other examples */
    double mean = (accuracy(json_array_get(list, 0)) + accuracy(json_array_get(list, 1))) / 2;
    assert_true(fabs(accuracy(result(cells, 0)) - mean) < 1e-9);
    json_decref(cells);
}

/* A loss that is not finite is what a cell has to say, and the others go on. */
static void divergence(void **state)
{
    (void)state;
    const char *models[] = {attention()};
    pha_lab_options o = options("induction", models, 1);
    o.lengths = (int32_t[]){8}, o.n_lengths = 1;
    o.rates = (double[]){10, 1e-3}, o.n_rates = 2;
    o.weight_decay = 10, o.steps = 80, o.batch = 2, o.tests = 20;
    json_t *cells = cells_of(&o);
    assert_true(json_is_null(json_object_get(result(cells, 0), "accuracy")));
    assert_true(accuracy(result(cells, 1)) >= 0);
    json_decref(cells);
}

/* ---- training on what is made ----------------------------------------------------------------------------- */

/* One token in three is scored, in another number for each sequence. */
static pha_status uneven(void *self, uint64_t index, int32_t *inputs, int32_t *targets)
{
    uint64_t random = index + 1;
    int *n = self;
    for (int t = 0; t < 12; t++) {
        inputs[t] = (int32_t)(lab_random(&random) % 16);
        targets[t] = t > 1 && lab_random(&random) % 3 ? -1 : (int32_t)(lab_random(&random) % 16);
        *n += targets[t] >= 0;
    }
    return PHA_OK;
}

/* The loss and its gradient are means over what is scored, however a batch is cut. */
static void means(void **state)
{
    (void)state;
    pha__config c;
    lab_config(&c, &(lab_variant){"lab", "pha", ""});
    c.vocab_size = 16;
    double mean[3], norm[3];
    for (int k = 0; k < 3; k++) {
        int n = 0;
        pha_train_options o = {.context = 12, .batch = 4, .micro_batch = 1 << k, .steps = 1, .threads = 2, .seed = 3};
        pha_trainer *t;
        pha_step step;
        OK(pha__trainer_open_made(&t, &o, &c, &(pha__source){uneven, &n}));
        OK(pha_trainer_step(t, &step));
        assert_true(n > 8 && n < 40 && t->scored == n);
        mean[k] = step.loss, norm[k] = step.gradient_norm;
        pha_trainer_close(t);
    }
    assert_true(fabs(mean[0] - log(16)) < 1); /* the sum of 48 places over 48 would be a third of it */
    for (int k = 1; k < 3; k++) {
        assert_true(fabs(mean[k] - mean[0]) < 1e-5 * mean[0]);
        assert_true(fabs(norm[k] - norm[0]) < 1e-4 * norm[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recalls),    cmocka_unit_test(test_only), cmocka_unit_test(depths),
        cmocka_unit_test(divergence), cmocka_unit_test(means),
    };
    return cmocka_run_group_tests(tests, root_setup, root_teardown);
}
