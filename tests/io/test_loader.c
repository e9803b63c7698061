/* Which tokens a window holds: every window once per epoch; every target scored once */
#include "io/loader.h"

#include "support/root.h"

static pha__tokens *stream(size_t n)
{
    pha__tokens_writer *w;
    pha__tokens *t;
    OK(pha__remove_tree(root));
    OK(pha__mkdirs(root));
    OK(pha__tokens_writer_open(&w, root, "t", 5000, 1));
    pha__tokens_writer_limit(w, 13);
    for (size_t i = 0; i < n; i++) OK(pha__tokens_writer_add(w, &(int32_t){ (int32_t)i }, 1));
    OK(pha__tokens_writer_finish(w, NULL));
    OK(pha__tokens_open(&t, root, "t", false));
    return t;
}

static void epochs(void **state)
{
    (void)state;
    const int sizes[][2] = { { 100, 7 }, { 99, 7 }, { 98, 7 }, { 101, 1 }, { 101, 100 }, { 101, 50 } }; /* tokens, T */
    for (int k = 0; k < 6; k++) {
        int n = sizes[k][0], T = sizes[k][1];
        pha__tokens *t = stream((size_t)n);
        pha__loader l, again;
        int32_t tokens[128], targets[128], same[128], first[128], moved = 0;
        OK(pha__loader_open(&l, t, T, 42));
        OK(pha__loader_open(&again, t, T, 42));
        uint64_t windows = pha__loader_windows(&l);
        assert_int_equal(windows, (n - 1) / T);
        for (uint64_t epoch = 0; epoch < 3; epoch++) {
            char seen[128] = { 0 };
            for (uint64_t i = 0; i < windows; i++) {
                OK(pha__loader_get(&l, epoch * windows + i, tokens, targets));
                assert_int_equal(tokens[0] % T, 0);
                assert_false(seen[tokens[0] / T]++);
                for (int j = 0; j < T; j++) {
                    assert_int_equal(tokens[j], tokens[0] + j);
                    assert_int_equal(targets[j], tokens[0] + j + 1);
                }
                if (epoch == 0) first[i] = tokens[0];
                else moved += first[i] != tokens[0];
                OK(pha__loader_get(&again, epoch * windows + i, same, targets));
                assert_memory_equal(tokens, same, (size_t)T * sizeof *tokens);
            }
        }
        if (windows > 5) assert_true(moved > 0); /* each epoch has its own order */
        pha__tokens_close(t);
    }
}

static void too_short(void **state)
{
    (void)state;
    pha__tokens *t = stream(8);
    pha__loader l;
    pha__cursor c;
    OK(pha__loader_open(&l, t, 7, 1));
    FAILS(BAD_INPUT, "too few for one training window of 8", pha__loader_open(&l, t, 8, 1));
    FAILS(USAGE, "window of 0", pha__loader_open(&l, t, 0, 1));
    FAILS(USAGE, "stride", pha__cursor_open(&c, t, 4, 5));
    FAILS(USAGE, "stride", pha__cursor_open(&c, t, 4, -1));
    pha__tokens_close(t);
    t = stream(1);
    FAILS(BAD_INPUT, "nothing to evaluate", pha__cursor_open(&c, t, 4, 4));
    pha__tokens_close(t);
    t = stream(0);
    FAILS(BAD_INPUT, "nothing to evaluate", pha__cursor_open(&c, t, 4, 4));
    FAILS(BAD_INPUT, "too few", pha__loader_open(&l, t, 1, 1));
    pha__tokens_close(t);
}

/* All small cases: each token but the first is scored once, with at least T - stride tokens before it where there are
 * any. */
static void scored_once(void **state)
{
    (void)state;
    for (int n = 2; n <= 40; n++) {
        pha__tokens *t = stream((size_t)n);
        for (int T = 1; T <= 20; T++)
            for (int stride = 1; stride <= T; stride++) {
                pha__cursor c;
                int32_t tokens[20], targets[20], length, scored;
                int count[40] = { 0 };
                OK(pha__cursor_open(&c, t, T, stride));
                for (uint64_t w = 0; w < pha__cursor_windows(&c); w++) {
                    OK(pha__cursor_get(&c, w, tokens, targets, &length, &scored));
                    int real = 0;
                    for (int i = 0; i < T; i++) {
                        if (i >= length) assert_true(tokens[i] == 0 && targets[i] == -1);
                        if (targets[i] < 0) continue;
                        assert_int_equal(targets[i], tokens[i] + 1);
                        if (w > 0) assert_true(i >= T - stride);
                        real++, count[targets[i]]++;
                    }
                    assert_true(real == scored && scored >= 1);
                    assert_int_equal(tokens[0], (int)w * stride);
                }
                assert_int_equal(count[0], 0);
                for (int i = 1; i < n; i++) assert_int_equal(count[i], 1);
                FAILS(USAGE, "evaluation window",
                      pha__cursor_get(&c, pha__cursor_windows(&c), tokens, targets, &length, &scored));
            }
        pha__tokens_close(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(epochs), cmocka_unit_test(too_short),
                                        cmocka_unit_test(scored_once) };
    return cmocka_run_group_tests(tests, root_setup, root_teardown);
}
