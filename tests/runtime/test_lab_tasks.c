/* test_lab_tasks.c -- the tasks of the recall laboratory hold what docs/lab.md says, example by example
 * (long file: one task after the other) */
#include "runtime/lab/tasks.h"

#include <math.h>

#include "base/mem.h"
#include "support/root.h"

enum { MOST = 512, MANY = 300 };

static int32_t x[MOST], y[MOST];

static pha__lab_sizes sizes(int32_t T, int32_t V, int32_t n)
{
    return (pha__lab_sizes){.T = T, .V = V, .n = n, .depth = PHA__LAB_ANY_DEPTH, .avoid = -1};
}

static pha__lab_task opened(const pha__lab_row *row, pha__lab_sizes s, uint64_t seed)
{
    pha__lab_task t;
    OK(pha__lab_open(&t, row, &s, seed));
    return t;
}

static int32_t scored(int32_t T)
{
    int32_t n = 0;
    for (int32_t i = 0; i < T; i++) n += y[i] >= 0;
    return n;
}

static void in_vocabulary(int32_t T, int32_t V)
{
    for (int32_t i = 0; i < T; i++) {
        assert_in_range(x[i], 0, V - 1);
        assert_true(y[i] >= -1 && y[i] < V);
    }
}

static int32_t count(int32_t id, int32_t end)
{
    int32_t n = 0;
    for (int32_t i = 0; i < end; i++) n += x[i] == id;
    return n;
}

/* ---- mqar ------------------------------------------------------------------------------------------------- */

/* Pairs at the beginning, different keys of the lower half and values of the upper one; behind them each key once more
 * at an even place, where its value is the target. */
static void is_mqar(int32_t T, int32_t V, int32_t n)
{
    static bool used[1 << 14];
    memset(used, 0, sizeof used);
    in_vocabulary(T, V);
    for (int32_t j = 0; j < n; j++) {
        int32_t key = x[2 * j], value = x[2 * j + 1], asked = 0;
        assert_true(key >= 1 && key < V / 2 && value >= V / 2 && value < V);
        assert_false(used[key] || used[value]);
        used[key] = used[value] = true;
        for (int32_t i = 2 * n; i < T; i++) asked += y[i] >= 0 && x[i] == key && y[i] == value && i % 2 == 0;
        assert_int_equal(asked, 1);
    }
    assert_int_equal(scored(T), n);
    for (int32_t i = 0; i < 2 * n; i++) assert_int_equal(y[i], -1);
}

static void mqar(void **state)
{
    (void)state;
    static const int32_t shapes[][3] = {{64, 8192, 4}, {16, 10, 4}, {16, 11, 4}, {4, 4, 1}, {256, 130, 64}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int32_t *s = shapes[i];
        pha__lab_task t = opened(&pha__lab_mqar, sizes(s[0], s[1], s[2]), 3);
        for (int e = 0; e < MANY; e++) pha__lab_make(&t, e % 2, (uint64_t)e, x, y), is_mqar(s[0], s[1], s[2]);
        pha__lab_close(&t);
    }
}

/* All other inputs are any token, as likely each. */
static void mqar_filling(void **state)
{
    (void)state;
    enum { T = 64, V = 16, N = 4000 };
    static double found[V];
    double all = 0;
    memset(found, 0, sizeof found);
    pha__lab_task t = opened(&pha__lab_mqar, sizes(T, V, 4), 1);
    for (int e = 0; e < N; e++) {
        pha__lab_make(&t, false, (uint64_t)e, x, y);
        for (int i = 8; i < T; i++)
            if (y[i] < 0) found[x[i]]++, all++;
    }
    pha__lab_close(&t);
    for (int v = 0; v < V; v++) assert_true(fabs(found[v] - all / V) < 5 * sqrt(all / V));
}

/* The slot of the first key has the probability p_i ~ (i + 1)^(a - 1); that of the second has it among the others. */
static void mqar_gaps(void **state)
{
    (void)state;
    enum { T = 28, N = 40000, SLOTS = (T - 4) / 2 };
    double p[SLOTS], sum = 0, first[SLOTS] = {0}, second[SLOTS] = {0};
    for (int i = 0; i < SLOTS; i++) sum += p[i] = pow(i + 1, 0.01 - 1);
    for (int i = 0; i < SLOTS; i++) p[i] /= sum;
    pha__lab_task t = opened(&pha__lab_mqar, sizes(T, 64, 2), 2);
    for (int e = 0; e < N; e++) {
        pha__lab_make(&t, false, (uint64_t)e, x, y);
        for (int i = 0; i < SLOTS; i++) {
            if (y[4 + 2 * i] < 0) continue;
            (x[4 + 2 * i] == x[0] ? first : second)[i]++;
        }
    }
    pha__lab_close(&t);
    for (int i = 0; i < SLOTS; i++) {
        double then = 0;
        for (int j = 0; j < SLOTS; j++) then += j == i ? 0 : p[j] * p[i] / (1 - p[j]);
        assert_true(fabs(first[i] - N * p[i]) < 5 * sqrt(N * p[i]));
        assert_true(fabs(second[i] - N * then) < 5 * sqrt(N * then));
    }
}

/* ---- induction, copies ------------------------------------------------------------------------------------ */

static void induction(void **state)
{
    (void)state;
    enum { T = 9, V = 5 };
    int at[T] = {0};
    pha__lab_task t = opened(&pha__lab_induction, sizes(T, V, 1), 3);
    for (int e = 0; e < 20 * MANY; e++) {
        pha__lab_make(&t, false, (uint64_t)e, x, y);
        in_vocabulary(T, V);
        assert_true(scored(T) == 1 && count(V - 1, T) == 2 && x[T - 1] == V - 1);
        for (int i = 0; i < T - 1; i++)
            if (x[i] == V - 1) at[i]++, assert_int_equal(x[i + 1], y[T - 1]);
    }
    pha__lab_close(&t);
    for (int i = 0; i < T - 2; i++) assert_true(fabs(at[i] - 20.0 * MANY / (T - 2)) < 5 * sqrt(20.0 * MANY / (T - 2)));
    assert_true(at[T - 2] == 0); /* what follows it is the end, which tells nothing */
}

/* n tokens among blanks before n marks, whose targets they are. Returns the place of the first. */
static int is_copy(int32_t T, int32_t V, int32_t n)
{
    int32_t next = T - n, first = -1;
    for (int32_t i = 0; i < T - n; i++) {
        assert_int_equal(y[i], -1);
        if (x[i] == 0) continue;
        assert_in_range(x[i], 1, V - 2);
        if (first < 0) first = i;
        assert_true(next < T);
        assert_int_equal(y[next], x[i]);
        assert_int_equal(x[next++], V - 1);
    }
    assert_int_equal(next, T);
    return first;
}

static void copies(void **state)
{
    (void)state;
    enum { T = 20, V = 6, N = 5 };
    double begins[T] = {0}, all = 20 * MANY, p = (double)N / (T - N);
    pha__lab_task plain = opened(&pha__lab_copy, sizes(T, V, N), 3);
    pha__lab_task among = opened(&pha__lab_selective, sizes(T, V, N), 3);
    for (int e = 0; e < all; e++) {
        pha__lab_make(&plain, false, (uint64_t)e, x, y);
        assert_int_equal(is_copy(T, V, N), 0);
        assert_true(x[N - 1] != 0 && x[N] == 0);
        pha__lab_make(&among, false, (uint64_t)e, x, y);
        begins[is_copy(T, V, N)]++;
    }
    pha__lab_close(&plain);
    pha__lab_close(&among);
    for (int i = 0; i + N <= T - N; i++) { /* the first of N of 15 places, all sets as likely */
        assert_true(fabs(begins[i] - all * p) < 5 * sqrt(all * p) + 1);
        p *= 1 - (double)(N - 1) / (T - N - i - 1);
    }
}

/* ---- haystacks -------------------------------------------------------------------------------------------- */

/* Where the four words of the end are found for the first time; the n behind them are the targets. */
static int is_passkey(int32_t T, int32_t n)
{
    int32_t at = 0, end = T - n - 3; /* of the phrase that asks */
    while (memcmp(x + at, x + end, 4 * sizeof *x) != 0) at++;
    assert_true(at < end);
    for (int32_t j = 0; j < n; j++) {
        assert_int_equal(y[end + 3 + j], x[at + 4 + j]);
        if (j + 1 < n) assert_int_equal(x[end + 4 + j], x[at + 4 + j]);
    }
    assert_int_equal(scored(T), n);
    return at;
}

/* Without the key and its phrase there is a sentence of sixteen words again and again. */
static void is_sentence(int32_t T, int32_t n, int32_t at)
{
    int32_t end = T - n - 3, told = 0, sentence[16];
    for (int32_t i = 0; i < end; i++) {
        if (i >= at && i < at + 4 + n) continue;
        if (told < 16) sentence[told] = x[i];
        else assert_int_equal(x[i], sentence[told % 16]);
        told++;
    }
    assert_true(told > 16);
}

static void passkey(void **state)
{
    (void)state;
    enum { T = 100, V = 40, N = 5, HAY = T - 17 };
    static const int32_t depths[] = {0, 25, 50, 100, PHA__LAB_ANY_DEPTH}, places[] = {0, 21, 42, HAY};
    for (int d = 0; d < 5; d++) {
        pha__lab_sizes s = sizes(T, V, N);
        s.depth = depths[d];
        pha__lab_task t = opened(&pha__lab_passkey, s, 5);
        int least = T, most = 0, keys = 0, last = -1;
        for (int e = 0; e < MANY; e++) {
            pha__lab_make(&t, false, (uint64_t)e, x, y);
            in_vocabulary(T, V);
            int at = is_passkey(T, N);
            is_sentence(T, N, at);
            least = at < least ? at : least, most = at > most ? at : most;
            keys += y[T - 1] != last;
            last = y[T - 1];
        }
        pha__lab_close(&t);
        if (depths[d] >= 0) assert_true(least == places[d] && most == places[d]);
        else assert_true(least < 4 && most > HAY - 4);
        assert_in_range(keys, MANY * 8 / 10, MANY); /* ten digits, drawn for each example */
    }
}

/* Marks are followed by different keys, one of which is asked for. Returns its place. */
static int is_needle(int32_t T, int32_t n)
{
    int32_t mark = x[T - 2], place = 0, found = -1, needles = 0, keys[MOST];
    for (int32_t i = 0; i < T - 2; i++, place++) {
        if (x[i] != mark) continue;
        for (int32_t j = 0; j < needles; j++) assert_int_not_equal(keys[j], x[i + 1]);
        keys[needles++] = x[i + 1];
        assert_true(x[i + 1] != mark && x[i + 2] != mark && i + 2 < T - 2);
        if (x[i + 1] == x[T - 1]) found = place, assert_int_equal(x[i + 2], y[T - 1]);
        i += 2;
    }
    assert_int_equal(needles, n);
    assert_true(found >= 0 && scored(T) == 1 && y[T - 1] >= 0);
    return found;
}

static void needle(void **state)
{
    (void)state;
    enum { T = 80, V = 30, N = 4, PLACES = T - 2 - 2 * N };
    static const int32_t depths[] = {0, 50, 100, PHA__LAB_ANY_DEPTH}, places[] = {0, 35, PLACES - 1};
    for (int d = 0; d < 4; d++) {
        pha__lab_sizes s = sizes(T, V, N);
        s.depth = depths[d];
        pha__lab_task t = opened(&pha__lab_needle, s, 5);
        int found[PLACES] = {0}, others = 0;
        for (int e = 0; e < MANY; e++) {
            pha__lab_make(&t, false, (uint64_t)e, x, y);
            in_vocabulary(T, V);
            found[is_needle(T, N)]++;
            for (int i = 0; i < 6; i++) others += x[i] == x[T - 2] && x[i + 1] != x[T - 1];
        }
        pha__lab_close(&t);
        if (depths[d] >= 0) assert_int_equal(found[places[d]], MANY);
        else assert_true(found[0] < MANY / 8 && found[35] < MANY / 8);
        assert_true(others > 0); /* those that are not asked for lie anywhere */
    }
}

/* No example of ordinary words has the id that ends texts, and all others are words. */
static void avoided(void **state)
{
    (void)state;
    static const pha__lab_row *const rows[] = {&pha__lab_passkey, &pha__lab_needle, &pha__lab_tracking};
    for (int r = 0; r < 3; r++)
        for (int32_t avoid = 0; avoid < 42; avoid += 7) {
            pha__lab_sizes s = sizes(64, 42, 3);
            s.avoid = avoid;
            bool seen[42] = {false};
            pha__lab_task t = opened(rows[r], s, 9);
            for (int e = 0; e < MANY; e++) {
                pha__lab_make(&t, false, (uint64_t)e, x, y);
                in_vocabulary(64, 42);
                assert_int_equal(count(avoid, 64), 0);
                for (int i = 0; i < 64; i++) seen[x[i]] = true, assert_int_not_equal(y[i], avoid);
            }
            pha__lab_close(&t);
            for (int i = 0; i < 42 && r != 0; i++) assert_int_equal(seen[i], i != avoid); /* passkey needs fewer */
        }
}

/* ---- tracking --------------------------------------------------------------------------------------------- */
/* The variables whose chain of assignments ends in the value asked for, followed from statement to statement. */
/* The variables whose chain of assignments ends in the value asked for, followed from one statement to the next. */
static void is_tracking(int32_t T, int32_t n, int32_t chains, int32_t var)
{
    int32_t end = T - n - 1, of[MOST], value[MOST], statements = 0, known = x[end + 1];
    for (int32_t i = 0; i < end; i++) {
        if (x[i] != var) continue;
        of[statements] = x[i + 1], value[statements++] = x[i + 2];
        i += 2;
    }
    assert_int_equal(statements, n * chains);
    assert_int_equal(count(x[end], end), 0); /* QUERY */
    for (int32_t j = 0, from = 0; j < n; j++) {
        while (from < statements && value[from] != known) from++; /* a variable is set after what it is set to */
        assert_true(from < statements);
        assert_int_equal(y[end + 1 + j], of[from]);
        if (j + 1 < n) assert_int_equal(x[end + 2 + j], of[from]);
        known = of[from++];
    }
    assert_int_equal(scored(T), n);
}

static void tracking(void **state)
{
    (void)state;
    static const int32_t shapes[][4] = {{64, 128, 5, 1}, {100, 64, 4, 3}, {61, 40, 3, 2}, {22, 26, 3, 2}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int32_t *s = shapes[i];
        pha__lab_sizes of = sizes(s[0], s[1], s[2]);
        of.chains = s[3];
        pha__lab_task t = opened(&pha__lab_tracking, of, 4);
        for (int e = 0; e < MANY; e++) {
            pha__lab_make(&t, false, (uint64_t)e, x, y);
            in_vocabulary(s[0], s[1]);
            is_tracking(s[0], s[2], s[3], t.word[0]);
        }
        pha__lab_close(&t);
    }
}

/* Three chains of two have fifteen ways to lie in between one another, as likely each. */
static void interleaved(void **state)
{
    (void)state;
    static double found[6 * 6 * 6];
    double all = 20 * MANY;
    int ways = 0;
    memset(found, 0, sizeof found);
    pha__lab_sizes s = sizes(21, 60, 2);
    s.chains = 3;
    pha__lab_task t = opened(&pha__lab_tracking, s, 4);
    for (int e = 0; e < all; e++) {
        int way = 0;
        pha__lab_make(&t, false, (uint64_t)e, x, y);
        for (int i = 0; i < 6; i++) /* VAR name source: which statement sets the one that a later one names */
            for (int j = 0; j < i; j++)
                if (x[3 * i + 2] == x[3 * j + 1]) way = 6 * way + j;
        found[way]++;
    }
    pha__lab_close(&t);
    for (int way = 0; way < 6 * 6 * 6; way++) {
        ways += found[way] > 0;
        assert_true(found[way] == 0 || fabs(found[way] - all / 15) < 5 * sqrt(all / 15));
    }
    assert_int_equal(ways, 15);
}

/* ---- examples as functions -------------------------------------------------------------------------------- */

static uint64_t hash_of(int32_t T)
{
    uint64_t h = 1;
    for (int32_t i = 0; i < T; i++) h = (h ^ (uint64_t)(x[i] + 1) << 32 ^ (uint64_t)(y[i] + 1)) * 0x9e3779b97f4a7c15u;
    return h;
}

static uint64_t made(pha__lab_task *t, bool test, uint64_t index)
{
    pha__lab_make(t, test, index, x, y);
    return hash_of(t->s.T);
}

/* The same whatever was made before, and another one for another index, part, seed or task. */
static void functions(void **state)
{
    (void)state;
    for (int r = 0; pha__lab_rows[r]; r++) {
        const pha__lab_row *row = pha__lab_rows[r];
        pha__lab_task t = opened(row, sizes(0, 0, 0), 1), other = opened(row, sizes(0, 0, 0), 2);
        uint64_t first = made(&t, false, 7), before = pha__mem_count();
        made(&t, true, 3);
        assert_true(made(&t, false, 7) == first);
        assert_true(made(&t, false, 8) != first);
        assert_true(made(&t, true, 7) != first);
        assert_true(made(&t, false, 7 + ((uint64_t)1 << 32)) != first);
        assert_true(made(&other, false, 7) != first);
        assert_true(pha__mem_count() == before); /* making allocates nothing */
        pha__lab_close(&t);
        pha__lab_close(&other);
    }
}

/* What is drawn for one index of one part and task is drawn for no other: their counters differ. */
static void disjoint(void **state)
{
    (void)state;
    static const uint64_t index[] = {0, 1, 99999, (uint64_t)1 << 32, ((uint64_t)1 << 63) - 1};
    pha__draws d[64];
    int n = 0;
    for (int test = 0; test < 2; test++)
        for (uint32_t kind = 0; kind < 4; kind++)
            for (int i = 0; i < 5; i++) {
                pha__draws_begin(&d[n], 1, kind, test, index[i]);
                assert_int_equal(d[n].counter[3] & 0xff, PHA__STREAM_TASK); /* and for nothing else of the house */
                for (int k = 0; k < n; k++) assert_memory_not_equal(d[k].counter + 1, d[n].counter + 1, 12);
                n++;
            }
    pha__lab_task t = opened(&pha__lab_mqar, sizes(0, 0, 0), 1);
    static uint64_t train[3000];
    for (int i = 0; i < 3000; i++) train[i] = made(&t, false, (uint64_t)i);
    for (int k = 0; k < 300; k++) {
        uint64_t one = made(&t, true, (uint64_t)k);
        for (int i = 0; i < 3000; i++) assert_true(train[i] != one);
    }
    pha__lab_close(&t);
}

/* ---- what cannot be --------------------------------------------------------------------------------------- */

static void refused(const pha__lab_row *row, pha__lab_sizes s, const char *why)
{
    pha__lab_task t;
    FAILS(USAGE, why, pha__lab_open(&t, row, &s, 1));
    FAILS(USAGE, row->name, pha__lab_open(&t, row, &s, 1));
}

static void impossible(void **state)
{
    (void)state;
    refused(&pha__lab_mqar, sizes(63, 8192, 4), "63 is odd (nearest: 62, 64)");
    refused(&pha__lab_mqar, sizes(64, 8192, 17), "at least 4 x 17 = 68, not 64; at most 16 fit");
    refused(&pha__lab_mqar, sizes(64, 9, 4), "at least 10 tokens, not 9");
    refused(&pha__lab_mqar, sizes(64, 8192, 65), "1 to 64, the length");
    refused(&pha__lab_mqar, sizes(-2, 8192, 4), "length of -2");
    refused(&pha__lab_mqar, sizes((1 << 20) + 2, 8192, 4), "1 to 1048576");
    refused(&pha__lab_mqar, sizes(64, 1, 4), "vocabulary of 1");
    refused(&pha__lab_induction, sizes(3, 16, 1), "3 is below 4");
    refused(&pha__lab_induction, sizes(8, 2, 1), "2 tokens is below 3");
    refused(&pha__lab_induction, sizes(8, 16, 2), "one token to recall, not 2");
    refused(&pha__lab_copy, sizes(8, 16, 5), "at least 10, not 8; at most 4 fit");
    refused(&pha__lab_selective, sizes(8, 3, 2), "3 tokens is below 4");
    refused(&pha__lab_passkey, sizes(16, 64, 5), "at least 17, not 16");
    refused(&pha__lab_passkey, sizes(64, 29, 5), "29 words is below 30");
    refused(&pha__lab_needle, sizes(13, 64, 4), "at least 14, not 13");
    refused(&pha__lab_needle, sizes(64, 4, 4), "at least 5 words, not 4");
    refused(&pha__lab_tracking, sizes(20, 64, 5), "at least 21, not 20");
    refused(&pha__lab_tracking, sizes(64, 23, 5), "at least 24 words, not 23");
    pha__lab_sizes s = sizes(64, 64, 4);
    s.depth = 50;
    refused(&pha__lab_mqar, s, "has no depth");
    s.depth = 101;
    refused(&pha__lab_needle, s, "depth of 101");
    s = sizes(64, 64, 4), s.chains = 2;
    refused(&pha__lab_needle, s, "2 chains are out of range (1, for it has none)");
    const pha__lab_row *row;
    FAILS(USAGE, "no task 'mqra'; did you mean mqar?", pha__lab_find(&row, "mqra"));
    FAILS(USAGE, "there are mqar, induction, copy, selective, passkey, needle, tracking",
          pha__lab_find(&row, "sorting"));
}

/* The smallest that can be are made. */
static void smallest(void **state)
{
    (void)state;
    static const struct {
        const pha__lab_row *row;
        int32_t T, V, n;
    } least[] = {{&pha__lab_mqar, 4, 4, 1},      {&pha__lab_induction, 4, 3, 1}, {&pha__lab_copy, 2, 4, 1},
                 {&pha__lab_selective, 2, 4, 1}, {&pha__lab_passkey, 9, 30, 1},  {&pha__lab_needle, 5, 3, 1},
                 {&pha__lab_tracking, 5, 20, 1}};
    for (size_t i = 0; i < sizeof least / sizeof *least; i++) {
        pha__lab_task t = opened(least[i].row, sizes(least[i].T, least[i].V, least[i].n), 3);
        for (int e = 0; e < 20; e++) {
            pha__lab_make(&t, false, (uint64_t)e, x, y);
            in_vocabulary(least[i].T, least[i].V);
            assert_int_equal(scored(least[i].T), 1);
        }
        pha__lab_close(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mqar),      cmocka_unit_test(mqar_filling), cmocka_unit_test(mqar_gaps),
        cmocka_unit_test(induction), cmocka_unit_test(copies),       cmocka_unit_test(passkey),
        cmocka_unit_test(needle),    cmocka_unit_test(avoided),      cmocka_unit_test(tracking),
        cmocka_unit_test(interleaved), cmocka_unit_test(functions), cmocka_unit_test(disjoint),
        cmocka_unit_test(impossible), cmocka_unit_test(smallest),
    };
    return cmocka_run_group_tests(tests, root_setup, root_teardown);
}
