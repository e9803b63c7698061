/* Draws through pha.h: penalties and biases, log-probabilities, many draws at once, reading without logits */
#include <float.h>
#include <math.h>

#include "tiny.h"

enum { V = 8 };
static const float logits[V] = {1.0f, 3.0f, 2.0f, 3.0f, -1.0f, 0.5f, -INFINITY, 2.5f};

static int32_t pick(const pha_sample_options *o, const int32_t *text, size_t n, size_t n_new)
{
    pha_draw d = {.logits = logits, .n_logits = V, .options = o, .text = text, .n_text = n, .n_new = n_new};
    OK(pha_sample(&d));
    assert_int_equal(d.status, PHA_OK);
    return d.id;
}

static void penalties(void **state)
{
    (void)state;
    const int32_t text[] = {1, 3, 3, 7, 99, -1};
    pha_sample_options o = {.presence_penalty = 0.75};
    assert_int_equal(pick(&o, text, 3, 0), 1); /* a prompt is not punished */
    assert_int_equal(pick(&o, text, 1, 1), 3);
    assert_int_equal(pick(&o, text, 6, 6), 1); /* 2.25, 2.25, 1.75: once each */
    o = (pha_sample_options){.frequency_penalty = 0.75};
    assert_int_equal(pick(&o, text, 3, 3), 7); /* 2.25, 1.5: each time, 2.5 is the most */
    assert_int_equal(pick(&o, text, 4, 4), 1);
    o.presence_penalty = 0.5; /* 1.75, 1.0, 2.0 and 2, untouched: of equal ones the lower */
    assert_int_equal(pick(&o, text, 3, 3), 7);
    assert_int_equal(pick(&o, text, 4, 4), 2);
    o = (pha_sample_options){.frequency_penalty = -2};
    assert_int_equal(pick(&o, (int32_t[]){5, 5}, 2, 2), 5);
    o = (pha_sample_options){.repetition_penalty = 2, .repetition_window = 1}; /* 1 is too long ago */
    assert_int_equal(pick(&o, (int32_t[]){1, 3}, 2, 0), 1);
}

static void biases(void **state)
{
    (void)state;
    const pha_logit_bias force[] = {{4, 100}, {99, 5}, {-3, 5}}, forbid[] = {{1, -INFINITY}, {3, -INFINITY}};
    pha_sample_options o = {.bias = force, .n_bias = 3};
    assert_int_equal(pick(&o, NULL, 0, 0), 4);
    o.bias = forbid, o.n_bias = 2;
    assert_int_equal(pick(&o, NULL, 0, 0), 7);
    o.temperature = 1;
    for (uint64_t i = 0; i < 200; i++) {
        pha_draw d = {.logits = logits, .n_logits = V, .options = &o, .count = i};
        OK(pha_sample(&d));
        assert_true(d.id != 1 && d.id != 3 && d.id != 6);
    }
}

/* A draw is of a token however extreme the numbers are that were asked for. */
static void extremes(void **state)
{
    (void)state;
    const pha_logit_bias twice[] = {{2, DBL_MAX}, {2, DBL_MAX}, {7, -INFINITY}};
    const pha_sample_options all[] = {
        {.temperature = 1, .repetition_penalty = 5e-324}, {.temperature = 5e-324, .repetition_penalty = 5e-324},
        {.temperature = 1, .repetition_penalty = 5e-324, .top_p = 5e-324, .min_p = 1},
        {.temperature = 1, .bias = twice, .n_bias = 3},
        {.temperature = 1, .presence_penalty = -1e6, .frequency_penalty = -1e6}};
    const int32_t text[] = {2, 2};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        for (uint64_t i = 0; i < 20; i++) {
            pha_draw d = {.logits = logits, .n_logits = V, .options = &all[k], .text = text, .n_text = 2, .n_new = 2,
                          .count = i};
            OK(pha_sample(&d));
            assert_int_equal(d.id, 2);
        }
    const pha_logit_bias forbidden[] = {{2, -INFINITY}}; /* stays so */
    pha_sample_options o = {.temperature = 1, .repetition_penalty = 5e-324, .bias = forbidden, .n_bias = 1};
    for (uint64_t i = 0; i < 20; i++) {
        pha_draw d = {.logits = logits, .n_logits = V, .options = &o, .text = text, .n_text = 2, .n_new = 2,
                      .count = i};
        OK(pha_sample(&d));
        assert_true(d.id >= 0 && d.id != 2 && d.id != 6);
    }
}

static void fewer_ids(void **state)
{
    (void)state;
    pha_sample_options o = {0};
    pha_logprob best[3];
    pha_draw d = {.logits = logits, .n_logits = V, .n_ids = 1, .options = &o, .n_best = 2, .best = best};
    OK(pha_sample(&d));
    assert_int_equal(d.id, 0);
    assert_int_equal(best[0].id, 0);
    assert_int_equal(best[1].id, 1); /* over all rows of the model */
    assert_int_equal(best[2].id, 3);
}

static void log_probabilities(void **state)
{
    (void)state;
    enum { MANY = 1000 };
    static float l[MANY];
    static pha_logprob out[MANY + 1];
    long double sum = 0;
    for (int i = 0; i < MANY; i++) l[i] = (float)(i * 7919 % 500) / 40; /* every value twice */
    for (int i = 0; i < MANY; i++) sum += expl((long double)l[i]);
    OK(pha_logprobs(l, MANY, 123, MANY, out));
    assert_int_equal(out[0].id, 123);
    for (int i = 0; i <= MANY; i++)
        assert_true(fabsl((long double)out[i].value - (l[out[i].id] - logl(sum))) < 1e-13L);
    for (int i = 2; i <= MANY; i++)
        assert_true(out[i - 1].value > out[i].value || (out[i - 1].value == out[i].value && out[i - 1].id < out[i].id));
    pha_logprob few[38];
    OK(pha_logprobs(l, MANY, 5, 37, few));
    for (int i = 1; i <= 37; i++) assert_memory_equal(&few[i].value, &out[i].value, sizeof few[i].value);
    for (int i = 1; i <= 37; i++) assert_int_equal(few[i].id, out[i].id);
    OK(pha_logprobs(logits, V, 6, 0, few));
    assert_true(few[0].value == -INFINITY);
    float big[2] = {1e30f, -1e30f};
    OK(pha_logprobs(big, 2, 0, 2, few));
    assert_true(few[0].value == 0 && few[1].value == 0 && few[2].value < -1e30);
}

static void refusals(void **state)
{
    (void)state;
    pha_logprob out[V + 1];
    float bad[V] = {0, NAN};
    pha_sample_options o = {0}, odd = {.presence_penalty = NAN};
    FAILS(USAGE, "token 8", pha_logprobs(logits, V, V, 0, out));
    FAILS(USAGE, "token -1", pha_logprobs(logits, V, -1, 0, out));
    FAILS(USAGE, "9 likeliest", pha_logprobs(logits, V, 0, V + 1, out));
    FAILS(NUMERIC, "token 1", pha_logprobs(bad, V, 0, 0, out));
    FAILS(NUMERIC, "token 1", pha_sample(&(pha_draw){.logits = bad, .n_logits = V, .options = &o}));
    FAILS(USAGE, "penalty", pha_sample(&(pha_draw){.logits = logits, .n_logits = V, .options = &odd}));
    const pha_logit_bias all[] = {{0, NAN}};
    odd = (pha_sample_options){.bias = all, .n_bias = 1};
    FAILS(USAGE, "bias", pha_sample(&(pha_draw){.logits = logits, .n_logits = V, .options = &odd}));
    FAILS(USAGE, "text", pha_sample(&(pha_draw){.logits = logits, .n_logits = V, .options = &o, .n_new = 1}));
    FAILS(USAGE, "9 ids", pha_sample(&(pha_draw){.logits = logits, .n_logits = V, .n_ids = 9, .options = &o}));
}

/* Many draws at once are those of each alone; one that fails leaves the others. */
static void at_once(void **state)
{
    (void)state;
    enum { N = 33 };
    pha_model *m = tiny_model("draws", &lab_variants[0], 64, NULL);
    pha_engine *e;
    OK(pha_engine_open(&e, m, &(pha_engine_options){.threads = 3, .max_context = 100}));
    static float l[N][64];
    pha_sample_options o[N];
    pha_draw d[N], alone;
    pha_logprob best[N][6], own[6];
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < 64; k++) l[i][k] = (float)((i * 31 + k * 17) % 64) / 16;
        o[i] = (pha_sample_options){.temperature = 1, .top_p = i % 2 ? 0.9 : 0, .top_k = i % 3, .seed = (uint64_t)i};
        d[i] = (pha_draw){.logits = l[i], .n_logits = 64, .options = &o[i], .count = 5, .n_best = 5, .best = best[i]};
    }
    OK(pha_engine_sample(e, d, N));
    for (int i = 0; i < N; i++) {
        alone = d[i], alone.best = own;
        OK(pha_sample(&alone));
        assert_int_equal(alone.id, d[i].id);
        for (int k = 0; k < 6; k++)
            assert_true(own[k].id == best[i][k].id && own[k].value == best[i][k].value);
    }
    int32_t before = d[N - 1].id, ids[N];
    pha_logprob many[N][6];
    for (int i = 0; i < N; i++) ids[i] = d[i].id;
    OK(pha_engine_logprobs(e, l[0], ids, N, 5, many[0]));
    for (int i = 0; i < N; i++)
        for (int k = 0; k < 6; k++)
            assert_true(many[i][k].id == best[i][k].id && many[i][k].value == best[i][k].value);
    ids[30] = 64;
    FAILS(USAGE, "token 64", pha_engine_logprobs(e, l[0], ids, N, 5, many[0]));
    l[7][3] = NAN;
    FAILS(NUMERIC, "token 3", pha_engine_sample(e, d, N));
    assert_int_equal(d[7].status, PHA_NUMERIC);
    assert_int_equal(d[N - 1].status, PHA_OK);
    assert_int_equal(d[N - 1].id, before);
    d[0].n_logits = 65;
    FAILS(USAGE, "65 logits", pha_engine_sample(e, d, N));
    OK(pha_engine_sample(e, NULL, 0));
    pha_engine_info info;
    pha_engine_get_info(e, &info);
    assert_true(info.max_context == 100 && info.vocab_size == 64 && info.batch == 16 && info.chunk == 256);
    assert_true(info.session_bytes > 0 && info.fingerprint != 0);
    pha_engine_close(e);
    pha_model_close(m);
}

/* A text that is read in parts without logits goes on with the bits of one that is fed at once. */
static void reading(void **state)
{
    (void)state;
    enum { N = 300 };
    pha_model *m = tiny_model("reading", &lab_variants[0], 64, NULL);
    pha_session *a, *b;
    int32_t ids[N];
    const float *x, *y;
    for (int i = 0; i < N; i++) ids[i] = i * i % 64;
    OK(pha_session_open(&a, m, &(pha_session_options){.max_context = N}));
    OK(pha_session_open(&b, m, &(pha_session_options){.max_context = N}));
    OK(pha_session_feed(a, ids, N, &x));
    OK(pha_session_read(b, ids, 77));
    OK(pha_session_read(b, ids + 77, N - 78));
    assert_int_equal(pha_session_position(b), N - 1);
    OK(pha_session_feed(b, ids + N - 1, 1, &y));
    assert_memory_equal(x, y, 64 * sizeof *x);
    FAILS(USAGE, "exceed", pha_session_read(b, ids, 1));
    pha_session_reset(b);
    pha_session_request_stop(b);
    FAILS(STOPPED, "stop", pha_session_read(b, ids, 1));
    pha_session_close(a);
    pha_session_close(b);
    pha_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(penalties), cmocka_unit_test(biases), cmocka_unit_test(extremes),
        cmocka_unit_test(fewer_ids), cmocka_unit_test(log_probabilities), cmocka_unit_test(refusals),
        cmocka_unit_test(at_once),   cmocka_unit_test(reading),
    };
    return cmocka_run_group_tests(tests, root_setup, root_teardown);
}
