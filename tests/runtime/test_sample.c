/* The choice of the next token: order of the cuts, ties, infinities, and that draws follow the probabilities */
#include "runtime/infer/sample.h"

#include <math.h>

#include "backend/backend.h"
#include "backend/cpu/detect.h"
#include "base/rng.h"
#include "support/check.h"

enum { V = 8 };
static const float logits[V] = {1.0f, 3.0f, 2.0f, 3.0f, -1.0f, 0.5f, -INFINITY, 2.5f};

static int32_t pick(const float *l, const pha_sample_options *o, uint64_t count)
{
    pha__choice work[V];
    int32_t id = -1;
    OK(pha__sample_check(o));
    OK(pha__sample(&id, l, V, o, NULL, 0, count, work));
    assert_in_range(id, 0, V - 1);
    return id;
}

static void greedy(void **state)
{
    (void)state;
    pha__choice work[V];
    int32_t id;
    pha_sample_options o = {0};
    assert_int_equal(pick(logits, &o, 0), 1); /* 1 and 3 tie: the lower */
    o.temperature = 1, o.top_k = 1;
    for (uint64_t i = 0; i < 50; i++) assert_int_equal(pick(logits, &o, i), 1);
    o = (pha_sample_options){.repetition_penalty = 2};
    OK(pha__sample(&id, logits, V, &o, (int32_t[]){1, 1, 1}, 3, 0, work)); /* 3 / 2, once */
    assert_int_equal(id, 3);
    OK(pha__sample(&id, logits, V, &o, (int32_t[]){1, 3, 99, -5}, 4, 0, work)); /* ids beyond are no tokens here */
    assert_int_equal(id, 7);
    const float negative[V] = {-1, -1.5f, -9, -9, -9, -9, -9, -9};
    OK(pha__sample(&id, negative, V, &o, (int32_t[]){0}, 1, 0, work)); /* -1 * 2 */
    assert_int_equal(id, 1);
}

/* How often each token is drawn, against given probabilities: every count within 5 standard deviations. */
static void distribution(const float *l, const pha_sample_options *o, const double *p)
{
    enum { N = 40000 };
    int count[V] = {0};
    double total = 0;
    for (int i = 0; i < V; i++) total += p[i];
    for (uint64_t i = 0; i < N; i++) count[pick(l, o, i)]++;
    for (int i = 0; i < V; i++) {
        double q = p[i] / total, sd = sqrt(N * q * (1 - q));
        if (fabs(count[i] - N * q) > 5 * sd + 1e-9)
            fail_msg("token %d: %d draws of %d, probability %g", i, count[i], N, q);
    }
}

static void draws(void **state)
{
    (void)state;
    double p[V], q[V];
    for (int i = 0; i < V; i++) p[i] = exp(logits[i]);
    distribution(logits, &(pha_sample_options){.temperature = 1, .seed = 1}, p);
    distribution(logits, &(pha_sample_options){.temperature = 1, .seed = 2, .top_k = V + 5, .top_p = 1}, p);
    for (int i = 0; i < V; i++) q[i] = exp(logits[i] / 0.5);
    distribution(logits, &(pha_sample_options){.temperature = 0.5, .seed = 3}, q);

    const double k3[V] = {0, p[1], 0, p[3], 0, 0, 0, p[7]}, k1[V] = {0, 1, 0, 0, 0, 0, 0, 0};
    distribution(logits, &(pha_sample_options){.temperature = 1, .top_k = 3, .seed = 4}, k3);
    /* 1 and 3 hold 0.62 of the probability, 7 makes it 0.81 */
    const double two[V] = {0, p[1], 0, p[3], 0, 0, 0, 0};
    distribution(logits, &(pha_sample_options){.temperature = 1, .top_p = 0.62, .seed = 5}, two);
    distribution(logits, &(pha_sample_options){.temperature = 1, .top_p = 0.63, .seed = 6}, k3);
    distribution(logits, &(pha_sample_options){.temperature = 1, .top_p = 1e-9, .seed = 7}, k1);
    /* top_p counts in what top_k has left: of 1, 3, 7 the first two hold 0.77 */
    distribution(logits, &(pha_sample_options){.temperature = 1, .top_k = 3, .top_p = 0.76, .seed = 8}, two);
    distribution(logits, &(pha_sample_options){.temperature = 1, .top_k = 3, .top_p = 0.78, .seed = 9}, k3);
    /* min_p: e^-0.5 = 0.61, e^-1 = 0.37 of the highest */
    const double m[V] = {0, p[1], p[2], p[3], 0, 0, 0, p[7]};
    distribution(logits, &(pha_sample_options){.temperature = 1, .min_p = 0.6, .seed = 10}, k3);
    distribution(logits, &(pha_sample_options){.temperature = 1, .min_p = 0.36, .seed = 11}, m);
    distribution(logits, &(pha_sample_options){.temperature = 1, .top_k = 3, .min_p = 0.62, .seed = 12}, two);
    /* temperature goes first: at 0.1 the runner-up has e^-5 of the highest */
    distribution(logits, &(pha_sample_options){.temperature = 0.1, .min_p = 0.01, .seed = 13}, two);
    distribution(logits, &(pha_sample_options){.temperature = 1e-300, .seed = 14}, two);
}

static void many_tokens(void **state) /* the heap against a plain order */
{
    (void)state;
    enum { MANY = 1000, K = 37 };
    static float l[MANY];
    static pha__choice work[MANY];
    int seen[MANY] = {0};
    for (int i = 0; i < MANY; i++) l[i] = (float)(i * 7919 % 500) / 100; /* every value twice */
    for (uint64_t i = 0; i < 4000; i++) {
        int32_t id;
        OK(pha__sample(&id, l, MANY, &(pha_sample_options){.temperature = 5, .top_k = K}, NULL, 0, i, work));
        seen[id] = 1;
    }
    for (int i = 0; i < MANY; i++) {
        int rank = 0;
        for (int j = 0; j < MANY; j++) rank += l[j] > l[i] || (l[j] == l[i] && j < i);
        assert_int_equal(seen[i], rank < K);
    }
}

static void seeds(void **state)
{
    (void)state;
    pha_sample_options a = {.temperature = 1, .seed = 5}, b = {.temperature = 1, .seed = 6};
    int differ = 0;
    for (uint64_t i = 0; i < 100; i++) {
        assert_int_equal(pick(logits, &a, i), pick(logits, &a, i));
        differ += pick(logits, &a, i) != pick(logits, &b, i);
    }
    assert_true(differ > 20);
}

static void refusals(void **state)
{
    (void)state;
    pha__choice work[V];
    int32_t id;
    pha_sample_options o = {.temperature = 1};
    float bad[V] = {0, 1, NAN};
    FAILS(NUMERIC, "token 2", pha__sample(&id, bad, V, &o, NULL, 0, 0, work));
    bad[2] = INFINITY;
    FAILS(NUMERIC, "token 2", pha__sample(&id, bad, V, &o, NULL, 0, 0, work));
    for (int i = 0; i < V; i++) bad[i] = -INFINITY;
    FAILS(NUMERIC, "-inf", pha__sample(&id, bad, V, &o, NULL, 0, 0, work));
    bad[4] = -50;
    for (uint64_t i = 0; i < 50; i++) assert_int_equal(pick(bad, &o, i), 4);
    FAILS(USAGE, "temperature", pha__sample_check(&(pha_sample_options){.temperature = -1}));
    FAILS(USAGE, "temperature", pha__sample_check(&(pha_sample_options){.temperature = NAN}));
    FAILS(USAGE, "top_k", pha__sample_check(&(pha_sample_options){.top_k = -1}));
    FAILS(USAGE, "top_p", pha__sample_check(&(pha_sample_options){.top_p = 1.5}));
    FAILS(USAGE, "min_p", pha__sample_check(&(pha_sample_options){.min_p = -0.1}));
    FAILS(USAGE, "repetition_penalty", pha__sample_check(&(pha_sample_options){.repetition_penalty = -2}));
}

/* ---- draws that are made sooner: of the same tokens ------------------------------------------------------- */

enum { MOST = 3000 };
static float some[MOST];

/* Logits over a range of so much, now and then impossible or as large as another. */
static void make_logits(int n, uint64_t seed, float range)
{
    for (int i = 0; i < n; i++) {
        uint32_t c[4] = {(uint32_t)i, (uint32_t)seed, 0, 77}, x[4];
        pha__philox(seed, c, x);
        some[i] = x[1] % 50 == 0 ? -INFINITY : x[1] % 50 == 1 && i ? some[i - 1] : range * (float)(x[0] * 0x1p-32);
    }
    some[seed % (uint64_t)n] = range;
}

/* What sums in full draw: a limit that no weight is below keeps the sooner way off. */
static int32_t in_full(int n, const pha_sample_options *o, uint64_t count)
{
    static pha__choice work[MOST];
    pha_sample_options full = *o;
    int32_t id = -1;
    full.min_p = 0x1p-1074;
    assert_false(pha__draw_is_plain(&full, n));
    OK(pha__sample(&id, some, n, &full, NULL, 0, count, work));
    return id;
}

static void sooner(void **state)
{
    (void)state;
    static pha__choice work[MOST];
    static const int sizes[] = {1, 2, 63, 64, 65, 300, MOST};
    static const double temperatures[] = {1e-3, 0.3, 1, 7, 1e6};
    for (uint64_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        for (uint64_t t = 0; t < sizeof temperatures / sizeof *temperatures; t++)
            for (uint64_t range = 0; range < 40; range += 13) {
                pha_sample_options o = {.temperature = temperatures[t], .seed = k};
                make_logits(sizes[k], 9 * k + t, (float)range);
                assert_true(pha__draw_is_plain(&o, sizes[k]));
                for (uint64_t count = 0; count < 100; count++) {
                    int32_t id = -1;
                    OK(pha__sample(&id, some, sizes[k], &o, NULL, 0, count, work));
                    assert_int_equal(id, in_full(sizes[k], &o, count));
                }
            }
    for (int bad = 0; bad < 3; bad++) { /* nothing to draw from */
        pha_sample_options o = {.temperature = 1};
        make_logits(MOST, 1, 5);
        for (int i = 0; i < MOST && bad == 2; i++) some[i] = -INFINITY;
        if (bad < 2) some[MOST - 3] = bad ? NAN : INFINITY;
        int32_t id;
        FAILS(NUMERIC, "logit", pha__sample(&id, some, MOST, &o, NULL, 0, 0, work));
    }
}

/* With biases: a token that is forbidden, the likeliest one, several of one block, one twice, one that decides all. */
static void sooner_biased(void **state)
{
    (void)state;
    static pha__choice work[MOST];
    static double sums[MOST];
    static const pha_logit_bias forbidden[] = {{MOST - 1, -INFINITY}},
                                several[] = {{70, -INFINITY}, {71, 2.5}, {127, -3}, {2999, 4}, {-1, 5}, {MOST, 5}},
                                twice[] = {{5, -INFINITY}, {64, 3}, {64, 0.25}, {5, 7}}, likely[] = {{1234, 40}},
                                decides[] = {{1234, 1e6}, {2, -1e6}}, best[] = {{1000, -INFINITY}, {0, -1e7}};
    static const struct { const pha_logit_bias *bias; size_t n; bool soon; } cases[] = {
        {forbidden, 1, true}, {several, 6, true}, {twice, 4, true},
        {likely, 1, true},    {decides, 2, false}, {best, 2, true},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
        for (uint64_t range = 0; range < 40; range += 13) {
            pha_sample_options o = {.temperature = 0.9, .seed = k, .bias = cases[k].bias, .n_bias = cases[k].n};
            make_logits(MOST, 1000, (float)range);
            assert_true(pha__draw_is_plain(&o, MOST));
            int32_t id = -1;
            assert_int_equal(pha__draw_soon(&id, some, MOST, &o, 0.7123, sums), cases[k].soon);
            for (uint64_t count = 0; count < 300; count++) {
                OK(pha__sample(&id, some, MOST, &o, NULL, 0, count, work));
                assert_int_equal(id, in_full(MOST, &o, count));
            }
        }
    /* The likeliest is forbidden, and the others are so far below it that what is nothing weighs as much as they do. */
    const pha_logit_bias one[] = {{1, -INFINITY}};
    const float two[] = {-2000, 0, -1999};
    pha_sample_options o = {.temperature = 1, .bias = one, .n_bias = 1};
    int32_t id = -1;
    for (int i = 0; i < MOST; i++) some[i] = i == 1 ? 0 : i / 64 == 1 ? -690 : -2000;
    for (int k = 1; k < 20; k++) assert_false(pha__draw_soon(&id, some, MOST, &o, k / 20.0, sums));
    for (uint64_t count = 0; count < 100; count++) {
        OK(pha__sample(&id, some, MOST, &o, NULL, 0, count, work));
        assert_int_equal(id / 64, 1);
    }
    const pha_logit_bias all[] = {{0, -INFINITY}, {1, -INFINITY}, {2, -INFINITY}};
    o.bias = all, o.n_bias = 3;
    FAILS(NUMERIC, "-inf", pha__sample(&id, two, 3, &o, NULL, 0, 0, work));
}

/* At the very places where one token ends and the next begins it says that it does not know; nearly everywhere else it
 * does. */
static void in_doubt(void **state)
{
    (void)state;
    static double sums[MOST], after[MOST];
    enum { N = 1000 };
    make_logits(N, 5, 4);
    int64_t known = 0, tried = 0;
    double total = 0;
    for (int i = N - 1; i >= 0; i--) after[i] = total += exp(some[i] - 4.0);
    for (int i = N - 1; i >= 0; i--)
        for (int way = -3; way <= 3; way++) {
            int32_t id = -1, want = -1;
            double sum = 0, u = after[i] / total * (1 + way * (way == -3 || way == 3 ? 1e-6 : 0x1p-53));
            if (u >= 1) continue;
            for (int k = N; k-- > 0 && want < 0;)
                if ((sum += exp(some[k] - 4.0)) > u * total) want = k;
            bool sure = pha__draw_soon(&id, some, N, &(pha_sample_options){.temperature = 1}, u, sums);
            if (sure) assert_int_equal(id, want);
            if (way == -3 || way == 3) tried++, known += sure;
            else if (some[i] > -INFINITY && (i == 0 || some[i - 1] > -INFINITY)) assert_false(sure);
        }
    assert_true(tried > N && known > tried * 9 / 10);
}

/* Of every instruction set: each sum as libm has it. */
static void weights(void **state)
{
    (void)state;
    static double sums[MOST / PHA__WEIGH_BLOCK + 1];
    const pha__cpu_table_info *sets;
    size_t n_sets = pha__cpu_tables(&sets);
    for (size_t s = 0; s < n_sets; s++)
        for (int n = 1; sets[s].supported && n <= MOST; n = n < 70 ? n + 1 : n * 3) {
            make_logits(n, (uint64_t)n, n % 2 ? 3 : 600);
            float top = sets[s].weigh(some, n, 1.25, sums);
            assert_true(top == (n % 2 ? 3 : 600));
            for (int i = 0; i < n; i += PHA__WEIGH_BLOCK) {
                double want = 0;
                for (int k = i; k < n && k < i + PHA__WEIGH_BLOCK; k++) want += exp(((double)some[k] - top) * 1.25);
                assert_true(fabs(sums[i / PHA__WEIGH_BLOCK] - want) <= 1e-12 * want + 1e-300);
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy),   cmocka_unit_test(draws),  cmocka_unit_test(many_tokens), cmocka_unit_test(seeds),
        cmocka_unit_test(refusals), cmocka_unit_test(sooner), cmocka_unit_test(in_doubt),    cmocka_unit_test(weights),
        cmocka_unit_test(sooner_biased),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
