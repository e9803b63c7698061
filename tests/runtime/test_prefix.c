/* test_prefix.c -- texts that begin as one that has been read: the same bits as reading all of it, and why not more */
#include "base/mem.h"
#include "models/lab.h"
#include "pha.h"
#include "support/check.h"
#include "support/root.h"

enum { N = 700, V = 256 };

static int32_t ids[N];
static float want[N][V];

static const lab_variant windowed[] = {
    {"window 100", "pha", "\"window\": 100"},
    {"filter conv4, window 100", "pha", "\"gss_filter\": \"conv4\", \"window\": 100"},
    {"attention, local 100", "pha", "\"branches\": [\"attn\"], \"local\": 100"},
};

static pha_model *open_model(const lab_variant *v)
{
    char config[400], folder[400];
    snprintf(config, sizeof config, "%s.json", in_root("prefix"));
    snprintf(folder, sizeof folder, "%s", in_root("prefix"));
    lab_write_config(config, v, V);
    OK(pha_model_init(config, 11, NULL, folder));
    pha_model *m;
    OK(pha_model_open(&m, folder));
    return m;
}

static pha_engine *open_engine(const pha_model *m, uint64_t bytes)
{
    pha_engine *e;
    OK(pha_engine_open(&e, m, &(pha_engine_options){.max_context = N, .threads = 2, .state_ram = bytes}));
    return e;
}

static pha_session *open_session(pha_engine *e)
{
    pha_session *s;
    OK(pha_engine_session(e, &s));
    return s;
}

/* What a session without a store says of every token. */
static void read_plainly(const pha_model *m)
{
    pha_engine *e = open_engine(m, 0);
    pha_session *s = open_session(e);
    pha_reuse r;
    OK(pha_session_begin(s, ids, N, NULL, &r));
    assert_true(r.tokens == 0 && r.miss == PHA_MISS_DISABLED);
    OK(pha_session_score(s, ids, N, want[0]));
    pha_session_close(s);
    pha_engine_close(e);
}

static pha_reuse begin(pha_session *s, const int32_t *text, size_t n, const char *tenant)
{
    pha_reuse r;
    OK(pha_session_begin(s, text, n, tenant, &r));
    assert_int_equal(pha_session_position(s), r.tokens);
    return r;
}

/* Goes on to token n, and compares. */
static void go_on(pha_session *s, int64_t from, int64_t n)
{
    const float *got;
    OK(pha_session_feed(s, ids + from, (size_t)(n - from), &got));
    assert_memory_equal(got, want[n - 1], sizeof want[0]);
}

static void same_bits(const lab_variant *v)
{
    static const int lengths[] = {65, 66, 128, 129, 200, 320, 321, 400, 449, 600, N};
    pha_model *m = open_model(v);
    read_plainly(m);
    pha_engine *e = open_engine(m, 64000000);
    pha_session *a = open_session(e), *b = open_session(e);
    begin(a, ids, N, "ann");
    for (int at = 0; at < 448; at += 64) OK(pha_session_read(a, ids + at, 64));
    OK(pha_session_read(a, ids + 448, 37)); /* ends in a page */
    for (int at = 485; at < 600; at++) OK(pha_engine_step(e, &a, ids + at, 1, NULL));
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        int n = lengths[i], known = (n - 1) / 64 * 64 < 576 ? (n - 1) / 64 * 64 : 576;
        pha_reuse r = begin(b, ids, (size_t)n, "ann");
        assert_int_equal(r.tokens, known);
        assert_int_equal(r.miss, PHA_MISS_NONE);
        go_on(b, r.tokens, n);
        OK(pha_session_rewind(b, n - 3)); /* from what it has read since, and what it knows */
        go_on(b, n - 3, n);
    }
    assert_int_equal(begin(b, ids, N, "bob").miss, PHA_MISS_FIRST_USE);
    go_on(b, 0, N);
    assert_int_equal(begin(b, ids, N, "bob").tokens, 512); /* read 256 at a time, and the rest to no page's end */
    go_on(b, 512, N);
    pha_session_close(a);
    pha_session_close(b);
    pha_engine_close(e);
    pha_model_close(m);
}

static void bits(void **state)
{
    static const char *const names[] = {"default", "sequential", "window 7", "filter conv4", "gpt2, local"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) same_bits(lab_find(names[i]));
    for (size_t i = 0; i < sizeof windowed / sizeof *windowed; i++) same_bits(&windowed[i]);
}

static void reasons(void **state)
{
    (void)state;
    pha_model *m = open_model(&lab_variants[0]);
    pha_engine *e = open_engine(m, 64000000), *small = open_engine(m, 1000);
    pha_session *a = open_session(e), *b = open_session(e), *c = open_session(small);
    int32_t other[N];
    memcpy(other, ids, sizeof ids);
    other[150] ^= 1;
    pha_reuse r = begin(a, ids, N, "ann");
    assert_true(r.miss == PHA_MISS_FIRST_USE && r.at == 0);
    OK(pha_session_read(a, ids, 256));
    r = begin(b, ids, 64, "ann");
    assert_true(r.miss == PHA_MISS_SHORT && r.tokens == 0);
    r = begin(b, other, N, "ann"); /* the page of 128 has no state of its own: a run of 256 was read over it */
    assert_true(r.miss == PHA_MISS_DIFFERS && r.at == 150 && r.tokens == 0);
    OK(pha_session_read(b, other, 128));
    OK(pha_session_read(b, other + 128, 128));
    r = begin(b, other, N, "ann");
    assert_true(r.tokens == 256);
    r = begin(b, ids, 200, "ann"); /* and now it has */
    assert_true(r.tokens == 128 && r.miss == PHA_MISS_NONE);
    r = begin(b, ids, N, NULL);
    assert_int_equal(r.miss, PHA_MISS_FIRST_USE);
    r = begin(c, ids, N, NULL);
    assert_true(r.miss == PHA_MISS_NO_ROOM && r.tokens == 0);
    OK(pha_session_read(c, ids, 256));
    assert_string_equal(pha_miss_text(PHA_MISS_NONE), "none");
    assert_string_equal(pha_miss_text(PHA_MISS_NO_ROOM), "no_room");
    assert_string_equal(pha_miss_text((pha_miss)99), "");
    pha_session_close(a), pha_session_close(b), pha_session_close(c);
    pha_engine_close(e), pha_engine_close(small);
    pha_model_close(m);
}

/* Room for some pages only: what is not found is read again, and the bits stay. */
static void eviction(void **state)
{
    (void)state;
    pha_model *m = open_model(&lab_variants[0]);
    read_plainly(m);
    pha_engine_info info;
    pha_engine *e = open_engine(m, 0);
    pha_engine_get_info(e, &info);
    pha_engine_close(e);
    e = open_engine(m, info.session_bytes / N * 64 * 6); /* some five pages */
    pha_session *s[3];
    int32_t texts[3][N];
    int evicted = 0, found = 0;
    for (int k = 0; k < 3; k++) {
        s[k] = open_session(e);
        for (int i = 0; i < N; i++) texts[k][i] = i < 64 * k ? ids[i] : (ids[i] + 7 * k) % V;
    }
    for (int round = 0; round < 12; round++) {
        int k = round % 3;
        pha_reuse r = begin(s[k], texts[k], 300, NULL);
        evicted += r.miss == PHA_MISS_EVICTED, found += r.tokens > 0;
        for (int64_t at = r.tokens, some; at < 299; at += some) {
            some = at + 64 < 299 ? 64 : 299 - at;
            OK(pha_session_read(s[k], texts[k] + at, (size_t)some));
        }
        if (k) continue;
        go_on(s[0], 299, 300);
        OK(pha_session_rewind(s[0], 130));
        go_on(s[0], 130, 280);
    }
    assert_true(evicted > 0 && found > 0);
    for (int k = 0; k < 3; k++) pha_session_close(s[k]);
    pha_engine_close(e);
    pha_model_close(m);
}

/* Reads texts of a page; how many of the last ones are still there. The first is asked for again and again, and stays;
 * of the others those of long ago go in order. */
static int read_short_texts(pha_session *s, int first)
{
    enum { TEXTS = 12 };
    int32_t text[TEXTS][80];
    for (int k = 0; k < TEXTS; k++) {
        for (int i = 0; i < 80; i++) text[k][i] = (ids[i] + first + 5 * k) % V;
        begin(s, text[k], 80, NULL);
        OK(pha_session_read(s, text[k], 64));
        assert_int_equal(begin(s, text[0], 80, NULL).tokens, 64);
    }
    int kept = 0;
    for (int k = TEXTS - 1; k > 0 && begin(s, text[k], 80, NULL).tokens == 64; k--) kept++;
    for (int k = TEXTS - 1 - kept; k > 0; k--) assert_int_equal(begin(s, text[k], 80, NULL).miss, PHA_MISS_EVICTED);
    return kept;
}

static void the_oldest_goes(void **state)
{
    (void)state;
    pha_model *m = open_model(&lab_variants[0]);
    pha_engine_info info;
    pha_engine *e = open_engine(m, 0);
    pha_engine_get_info(e, &info);
    pha_engine_close(e);
    e = open_engine(m, info.session_bytes / N * 64 * 6); /* some five pages */
    pha_session *s = open_session(e);
    int kept = read_short_texts(s, 1);
    assert_in_range(kept, 2, 9);
    begin(s, ids, N, NULL);
    OK(pha_session_read(s, ids, 256)); /* a page behind another goes first, and then that one */
    assert_int_equal(read_short_texts(s, 2), kept);
    pha_session_close(s);
    pha_engine_close(e);
    pha_model_close(m);
}

/* What a session does otherwise does not end up under a text that it is not. */
static void other_ways(void **state)
{
    (void)state;
    pha_model *m = open_model(&lab_variants[0]);
    read_plainly(m);
    pha_engine *e = open_engine(m, 64000000);
    pha_session *a = open_session(e), *b = open_session(e), *fork;
    int32_t other[N];
    for (int i = 0; i < N; i++) other[i] = (ids[i] + 1) % V;
    begin(a, ids, N, NULL);
    for (int at = 0; at < 256; at += 64) OK(pha_session_read(a, ids + at, 64));
    OK(pha_session_rewind(a, 200)); /* to a mark at 192; from 200 on another text is read */
    OK(pha_session_read(a, other + 200, 184));
    int32_t mixed[N];
    memcpy(mixed, ids, sizeof ids);
    memcpy(mixed + 256, other + 256, (N - 256) * sizeof *mixed);
    assert_int_equal(begin(b, mixed, N, NULL).tokens, 256); /* which nobody has read any further */
    OK(pha_session_rewind(a, 100));
    OK(pha_session_read(a, other, 156)); /* another text of as many tokens */
    OK(pha_session_fork(&fork, a));
    OK(pha_session_read(fork, other, 64));
    pha_session_reset(a);
    OK(pha_session_read(a, other, 320)); /* whose it is nobody has said */
    pha_reuse r = begin(b, other, N, NULL);
    assert_true(r.tokens == 0);
    OK(pha_session_save(fork, in_root("saved")));
    begin(a, ids, N, NULL);
    OK(pha_session_load(a, in_root("saved")));
    OK(pha_session_read(a, ids, 64));
    r = begin(b, ids, N, NULL);
    assert_int_equal(r.tokens, 256);
    go_on(b, 256, N);
    pha_session_close(a), pha_session_close(b), pha_session_close(fork);
    pha_engine_close(e);
    pha_model_close(m);
}

static int setup(void **state)
{
    for (int i = 0; i < N; i++) ids[i] = (i * i + 3 * i) % V;
    return root_setup(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits), cmocka_unit_test(reasons), cmocka_unit_test(eviction), cmocka_unit_test(other_ways),
        cmocka_unit_test(the_oldest_goes),
    };
    return cmocka_run_group_tests(tests, setup, root_teardown);
}
