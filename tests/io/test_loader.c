/* Which tokens a window holds: every window once per epoch, every token in two epochs; every target scored once */
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

static const int sizes[][2] = { { 100, 7 }, { 99, 7 }, { 98, 7 }, { 101, 1 }, { 101, 100 }, { 101, 50 }, { 110, 60 } };
enum { SIZES = sizeof sizes / sizeof *sizes }; /* tokens, T */

/* One epoch: whole windows side by side from `*begin` on, each once, in an order of their own. */
static void one_epoch(const pha__loader *l, uint64_t epoch, int *begin, int32_t *first)
{
    int T = l->T, lowest = 1000, highest = 0;
    char seen[128] = { 0 };
    for (uint64_t i = 0; i < l->windows; i++) {
        int32_t tokens[128], targets[128];
        OK(pha__loader_get(l, epoch * l->windows + i, tokens, targets));
        for (int j = 0; j < T; j++) {
            assert_int_equal(tokens[j], tokens[0] + j);
            assert_int_equal(targets[j], tokens[0] + j + 1);
            assert_false(seen[targets[j]]++);
        }
        first[i] = tokens[0];
        lowest = tokens[0] < lowest ? tokens[0] : lowest, highest = tokens[0] > highest ? tokens[0] : highest;
    }
    assert_int_equal(highest - lowest, ((int)l->windows - 1) * T);
    *begin = lowest;
}

static void epochs(void **state)
{
    (void)state;
    for (int k = 0; k < SIZES; k++) {
        int n = sizes[k][0], T = sizes[k][1], left = (n - 1) % T, begin, moved = 0;
        pha__tokens *t = stream((size_t)n);
        pha__loader l;
        int32_t first[2][128], tokens[128], targets[128];
        OK(pha__loader_open(&l, t, T, 42));
        uint64_t windows = pha__loader_windows(&l);
        assert_int_equal(windows, (n - 1) / T);
        for (uint64_t epoch = 0; epoch < 6; epoch++) {
            one_epoch(&l, epoch, &begin, first[epoch > 0]);
            if (epoch < 2) assert_int_equal(begin, epoch ? left : 0);
            assert_in_range(begin, 0, left);
            for (uint64_t i = 0; i < windows && epoch; i++) moved += first[0][i] != first[1][i] - begin;
            for (uint64_t i = windows; i > 0 && epoch; i--) { /* in any order of asking: there is no position */
                OK(pha__loader_get(&l, epoch * windows + i - 1, tokens, targets));
                assert_int_equal(tokens[0], first[1][i - 1]);
            }
        }
        if (windows > 5) assert_true(moved > 0); /* each epoch has its own order */
        pha__tokens_close(t);
    }
}

/* How many targets the first n sequences leave out, counted. */
static int unseen(const pha__loader *l, uint64_t n, int tokens)
{
    bool seen[128] = { false };
    int32_t ids[128], targets[128], count = 0;
    for (uint64_t i = 0; i < n; i++) {
        OK(pha__loader_get(l, i, ids, targets));
        for (int j = 0; j < l->T; j++) seen[targets[j]] = true;
    }
    for (int i = 1; i < tokens; i++) count += !seen[i];
    return count;
}

/* Two epochs have every target; what fewer sequences leave out is known. */
static void every_token(void **state)
{
    (void)state;
    for (int k = 0; k < SIZES; k++)
        for (uint64_t seed = 1; seed < 5; seed++) {
            pha__tokens *t = stream((size_t)sizes[k][0]);
            pha__loader l;
            OK(pha__loader_open(&l, t, sizes[k][1], seed));
            for (uint64_t n = 0; n <= 3 * l.windows; n++)
                assert_int_equal(pha__loader_unseen(&l, n), unseen(&l, n, sizes[k][0]));
            assert_int_equal(unseen(&l, 2 * l.windows, sizes[k][0]), 0);
            pha__tokens_close(t);
        }
}

/* Side by side: each lane is one stretch of the stream, in order; the lanes lie behind each other; an epoch has whole
 * turns of them, and two have every target. */
static void lanes(void **state)
{
    (void)state;
    static const int cases[][3] = {{101, 7, 3}, {100, 9, 4}, {64, 5, 12}, {50, 7, 7}, {60, 7, 1}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        int n = cases[c][0], T = cases[c][1], m = cases[c][2];
        pha__tokens *t = stream((size_t)n);
        pha__loader l;
        int32_t ids[128], targets[128];
        OK(pha__loader_open_lanes(&l, t, T, 42, m));
        int per = (n - 1) / T / m, left = n - 1 - per * m * T;
        assert_int_equal(pha__loader_windows(&l), per * m);
        for (int epoch = 0; epoch < 4; epoch++) {
            int begin = -1;
            for (int i = 0; i < per * m; i++) {
                OK(pha__loader_get(&l, (uint64_t)(epoch * per * m + i), ids, targets));
                if (i == 0) begin = ids[0];
                for (int j = 0; j < T; j++) {
                    assert_int_equal(ids[j], begin + (i % m * per + i / m) * T + j);
                    assert_int_equal(targets[j], ids[j] + 1);
                }
            }
            assert_in_range(begin, 0, left);
            if (epoch < 2) assert_int_equal(begin, epoch ? left : 0);
        }
        for (uint64_t k = 0; k <= 2 * l.windows; k++) assert_int_equal(pha__loader_unseen(&l, k), unseen(&l, k, n));
        assert_int_equal(unseen(&l, 2 * l.windows, n), 0);
        FAILS(BAD_INPUT, "texts side by side", pha__loader_open_lanes(&l, t, T, 42, (n - 1) / T + 1));
        pha__tokens_close(t);
    }
}

/* From the third epoch on (seed, epoch) draw where it begins: every place comes about equally often. */
static void shifts(void **state)
{
    (void)state;
    pha__tokens *t = stream(101 + 9);
    int count[10] = { 0 }, differ = 0;
    for (uint64_t seed = 7; seed < 9; seed++) {
        pha__loader l;
        OK(pha__loader_open(&l, t, 50, seed));
        assert_int_equal(l.left, 9);
        for (uint64_t epoch = 2; epoch < 502; epoch++) {
            int32_t first[128];
            int begin, again;
            one_epoch(&l, epoch, &begin, first);
            count[begin]++;
            if (seed > 7) continue;
            l.seed++;
            one_epoch(&l, epoch, &again, first);
            l.seed--;
            differ += again != begin;
        }
    }
    for (int i = 0; i < 10; i++) assert_in_range(count[i], 60, 140); /* 100 expected, deviation 9.5 */
    assert_true(differ > 400);
    pha__tokens_close(t);
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
    const struct CMUnitTest tests[] = { cmocka_unit_test(epochs), cmocka_unit_test(every_token),
                                        cmocka_unit_test(lanes), cmocka_unit_test(shifts), cmocka_unit_test(too_short),
                                        cmocka_unit_test(scored_once) };
    return cmocka_run_group_tests(tests, root_setup, root_teardown);
}
