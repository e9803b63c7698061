/* Philox against Random123's known answers; initial values; shuffling */
#include "base/rng.h"

#include <math.h>

#include "support/check.h"

static void philox_known_answers(void **state)
{
    (void)state;
    static const struct { uint32_t counter[4], key[2], out[4]; } cases[] = {
        { { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { { ~0u, ~0u, ~0u, ~0u }, { ~0u, ~0u }, { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 }, { 0xa4093822, 0x299f31d0 },
          { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t out[4];
        pha__philox((uint64_t)cases[i].key[1] << 32 | cases[i].key[0], cases[i].counter, out);
        assert_memory_equal(out, cases[i].out, sizeof out);
    }
}

static void normal_moments(void **state)
{
    (void)state;
    enum { N = 200001 };
    float *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
    pha__fill_normal(x, N, 2.0, 7, "layer0.attn.q");
    double s1 = 0, s2 = 0, s4 = 0, lag = 0;
    for (int i = 0; i < N; i++) {
        assert_true(isfinite(x[i]));
        s1 += x[i], s2 += (double)x[i] * x[i], s4 += pow(x[i], 4);
        if (i) lag += (double)x[i] * x[i - 1];
    }
    assert_true(fabs(s1 / N) < 0.02);
    assert_true(fabs(s2 / N - 4) < 0.06);
    assert_true(fabs(s4 / N - 48) < 2);
    assert_true(fabs(lag / N) < 0.04);

    pha__fill_normal(y, 1001, 2.0, 7, "layer0.attn.q"); /* a prefix does not depend on the length */
    assert_memory_equal(x, y, 1001 * sizeof *x);
    pha__fill_normal(y, N, 2.0, 7, "layer1.attn.q");
    double cross = 0;
    for (int i = 0; i < N; i++) cross += (double)x[i] * y[i];
    assert_true(fabs(cross / N) < 0.04);
    pha__fill_normal(y, 4, 2.0, 8, "layer0.attn.q");
    assert_memory_not_equal(x, y, 4 * sizeof *x);
    free(x);
    free(y);
}

static void permute_is_a_permutation(void **state)
{
    (void)state;
    static const uint64_t sizes[] = { 1, 2, 3, 4, 5, 17, 1000, 4096, 65537, (1 << 20) + 3 };
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        uint64_t n = sizes[s], fixed = 0, same = 0;
        unsigned char *seen = calloc(n, 1);
        for (uint64_t i = 0; i < n; i++) {
            uint64_t p = pha__permute(i, n, 42, 3);
            assert_true(p < n);
            assert_int_equal(seen[p], 0);
            seen[p] = 1;
            fixed += p == i;
            same += n <= 4096 && p == pha__permute(i, n, 42, 4);
        }
        free(seen);
        if (n >= 1000) assert_true(fixed < 12); /* about 1 is expected */
        if (n >= 1000 && n <= 4096) assert_true(same < 12);
    }
    /* both orders of two things occur, and a large n stays in range */
    unsigned orders = 0;
    for (uint32_t epoch = 0; epoch < 20; epoch++) orders |= 1u << pha__permute(0, 2, 1, epoch);
    assert_int_equal(orders, 3);
    for (uint64_t i = 0; i < 1000; i++) assert_true(pha__permute(i, UINT64_C(5) << 40, 1, 0) < UINT64_C(5) << 40);
}

static void permute_spreads(void **state)
{
    (void)state;
    enum { N = 10000, CELLS = 10 };
    int count[CELLS][CELLS] = { 0 };
    for (int i = 0; i < N; i++) count[i * CELLS / N][pha__permute((uint64_t)i, N, 9, 0) * CELLS / N]++;
    double chi = 0; /* 81 degrees of freedom */
    for (int a = 0; a < CELLS; a++)
        for (int b = 0; b < CELLS; b++) chi += pow(count[a][b] - 100.0, 2) / 100.0;
    assert_true(chi < 140);
}

static void path_hash_differs(void **state)
{
    (void)state;
    assert_true(pha__hash_path("layer1.attn.q") != pha__hash_path("layer1.attn.k"));
    assert_int_equal(pha__hash_path("embed"), pha__hash_path("embed"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_known_answers),     cmocka_unit_test(normal_moments),
        cmocka_unit_test(permute_is_a_permutation), cmocka_unit_test(permute_spreads),
        cmocka_unit_test(path_hash_differs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
