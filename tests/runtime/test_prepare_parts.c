/* Parts of prepare by themselves: the sample for a vocabulary, and the table of documents */
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "runtime/data/prepare_impl.h"
#include "support/check.h"

/* One large document, thousands of small ones, and both: the sample has the size that was asked for, and comes from
 * everywhere. */
static void sample(void **state)
{
    (void)state;
    enum { TOTAL = 3700000 };
    char *text = pha__alloc(TOTAL + 64, 1);
    pha__sample one, other;
    pha__sample_begin(&one, 1, TOTAL, 400000);
    pha__sample_begin(&other, 2, TOTAL, 400000);
    assert_true(one.from != other.from && one.from > 0);
    for (size_t i = 0; i < TOTAL + 64; i++) text[i] = i % 6 == 5 ? ' ' : (char)('a' + i / 6 % 26);
    static const size_t sizes[][2] = {{TOTAL, TOTAL}, {524288, 524288}, {600, 600}, {40, 40}, {7, 90000}, {1, 30}};
    static const uint64_t wants[] = {1000, 30000, 400000, 3000000, TOTAL, TOTAL + 5};
    for (size_t shape = 0; shape < sizeof sizes / sizeof *sizes; shape++)
        for (size_t w = 0; w < sizeof wants / sizeof *wants; w++)
            for (uint64_t seed = 0; seed < 12; seed++) {
                pha__sample s;
                uint64_t got = 0, want = wants[w] < TOTAL ? wants[w] : TOTAL, fifths[5] = {0};
                pha__sample_begin(&s, seed, TOTAL, wants[w]);
                for (size_t at = 0, k = 0; at < TOTAL; k++) {
                    size_t n = sizes[shape][k % 7 == 6], begin, end;
                    if (n > TOTAL - at) n = TOTAL - at;
                    while (pha__sample_next(&s, text + at, n, &begin, &end)) {
                        assert_true(begin < end && end <= n);
                        got += end - begin, fifths[(at + begin) * 5 / TOTAL] += end - begin;
                    }
                    at += n;
                }
                double share = (double)got / (double)want;
                if (share < 0.9 || share > 1.1)
                    fail_msg("shape %zu, %d wanted, seed %d: %d", shape, (int)want, (int)seed, (int)got);
                for (int i = 0; want >= 30000 && want < TOTAL && i < 5; i++) assert_true(fifths[i] > want / 10);
            }
    pha__free(text);
}

/* The table of documents holds its bound, and estimates then. */
static void many_copies(void **state)
{
    (void)state;
    enum { N = 200000 };
    pha__copies *c;
    uint64_t counts[PHA__DATA_SPLITS];
    OK(pha__copies_open(&c));
    pha__copies_limit(c, 1 << 14);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < N; i++) {
            char text[32];
            size_t n = (size_t)snprintf(text, sizeof text, "number %d", i);
            pha__segment valid = {text, n, PHA__SPLIT_VALID, true, true, false}, train = valid;
            train.split = PHA__SPLIT_TRAIN;
            if (pass == 0) OK(pha__copies_remember(c, &valid));
            else if (i % 4 == 0) OK(pha__copies_look(c, &train));
        }
        OK(pha__copies_end_pass(c, pass == 1));
    }
    assert_false(pha__copies_count(c, counts));
    assert_true(fabs((double)counts[PHA__SPLIT_VALID] - N / 4) < N / 40);
    assert_true(fabs((double)counts[PHA__SPLIT_TRAIN] - N / 4) < N / 40);
    pha__copies_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sample), cmocka_unit_test(many_copies)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
