/* test_streaming.c -- one definition, three programs: whole sequences, chunks and single tokens give the same bits
 *
 * For every variant of lab.c a text cut at every point, into random pieces and into single tokens equals the whole;
 * for those that differ in how they remember, a long text in chunks of all kinds does too. Sessions at different places
 * that take steps together equal the whole as well, however many they are.
 */
#include "models/lab.h"

enum { V = 256, MOST = 33 };

typedef struct stream {
    const lab_variant *variant;
    const char *dtype;
    int T;
    lab whole, chunk, step, steps; /* steps: MOST sessions */
    int32_t *tokens;
    float *want, *got; /* (T, V) */
    char *session[MOST], *copy[MOST];
    int bad;
} stream;

static void open_stream(stream *s, const lab_variant *v, pha__dtype dtype, int T)
{
    *s = (stream){.variant = v, .dtype = dtype == PHA__BF16 ? "bf16" : "fp32", .T = T};
    pha__config c;
    lab_config(&c, v);
    pha__program_options o = {.B = 1, .T = T, .dtype = dtype};
    lab_open(&s->whole, &c, &o, PHA__HEAD_LOGITS, lab_device());
    o.max_context = T + 7;
    lab_open(&s->chunk, &c, &o, PHA__HEAD_LOGITS, lab_device());
    o.T = 1;
    lab_open(&s->step, &c, &o, PHA__HEAD_LOGITS, lab_device());
    o.B = MOST;
    lab_open(&s->steps, &c, &o, PHA__HEAD_LOGITS, lab_device());
    size_t state = s->chunk.program->state;
    assert_int_equal(state, s->step.program->state); /* one block serves all programs */
    assert_int_equal(state, s->steps.program->state);
    for (int i = 0; i < MOST; i++) s->session[i] = pha__alloc_zero(state + 1, 1), s->copy[i] = pha__alloc(state + 1, 1);
    s->tokens = malloc((size_t)T * sizeof *s->tokens);
    s->want = malloc((size_t)T * V * sizeof *s->want);
    s->got = malloc((size_t)T * V * sizeof *s->got);
    lab_tokens(s->tokens, NULL, T, V, 0, 17);
    OK(pha__exec_run(s->whole.exec, 1, T, &(pha__run){.tokens = s->tokens}, NULL, false));
    memcpy(s->want, lab_output(&s->whole, "logits", T), (size_t)T * V * sizeof *s->want);
}

static void close_stream(stream *s)
{
    lab_close(&s->whole);
    lab_close(&s->chunk);
    lab_close(&s->step);
    lab_close(&s->steps);
    for (int i = 0; i < MOST; i++) pha__free(s->session[i]), pha__free(s->copy[i]);
    free(s->tokens);
    free(s->want);
    free(s->got);
}

static void restart(stream *s, int session) { memset(s->session[session], 0, s->chunk.program->state); }

/* Tokens [t, t + n) of a session through the chunk program, or the step program if n is 1. */
static void feed(stream *s, int session, int t, int n)
{
    lab *l = n == 1 ? &s->step : &s->chunk;
    OK(pha__exec_run(l->exec, 1, n, &(pha__run){.tokens = s->tokens + t}, &s->session[session], false));
    memcpy(s->got + t * V, lab_output(l, "logits", n), (size_t)n * V * sizeof(float));
}

static void compare(stream *s, const char *what, int number, const float *got, int t, int n)
{
    for (int i = t; i < t + n; i++) {
        if (lab_same(got + (i - t) * V, s->want + i * V, V * sizeof(float))) continue;
        double e2 = lab_e2(got + (i - t) * V, s->want + i * V, V);
        print_message("FAILED %s, %s: %s %d: other bits from token %d on, E2 %.1e\n", s->variant->name, s->dtype, what,
                      number, i, e2);
        s->bad++;
        return;
    }
}

/* The text in pieces: one of `first` tokens (0: none), then all of `size`; size 0: random ones. */
static void pieces(stream *s, const char *what, int first, int size)
{
    uint64_t random = (uint64_t)first + 5;
    restart(s, 0);
    for (int t = 0, n; t < s->T; t += n) {
        n = t == 0 && first ? first : size ? size : 1 + (int)(lab_random(&random) % (unsigned)(s->T / 4));
        n = n < s->T - t ? n : s->T - t;
        feed(s, 0, t, n);
    }
    compare(s, what, first ? first : size, s->got, 0, s->T);
}

/* The first B sessions, each at its own place of the text, take steps together. */
static void check_batch(stream *s, int B)
{
    enum { STEPS = 3 };
    int start[MOST];
    int32_t tokens[MOST];
    for (int b = 0; b < B; b++) {
        start[b] = b * 37 % (s->T - STEPS);
        memcpy(s->session[b], s->copy[b], s->chunk.program->state);
    }
    for (int k = 0; k < STEPS; k++) {
        for (int b = 0; b < B; b++) tokens[b] = s->tokens[start[b] + k];
        OK(pha__exec_run(s->steps.exec, B, 1, &(pha__run){.tokens = tokens}, s->session, false));
        const float *out = lab_output(&s->steps, "logits", B);
        for (int b = 0; b < B; b++) compare(s, "sessions together:", B, out + b * V, start[b] + k, 1);
    }
}

static void check_batches(stream *s, const int *sizes, int n)
{
    for (int b = 0; b < MOST; b++) {
        int start = b * 37 % (s->T - 3);
        restart(s, b);
        if (start) feed(s, b, 0, start);
        memcpy(s->copy[b], s->session[b], s->chunk.program->state);
    }
    for (int i = 0; i < n; i++) check_batch(s, sizes[i]);
}

static void check_all(pha__dtype dtype)
{
    static const int batches[] = {3, 17};
    stream s;
    int bad = 0;
    for (int i = 0; i < lab_n_variants; i++) {
        open_stream(&s, &lab_variants[i], dtype, 33);
        for (int cut = 1; cut < s.T; cut++) pieces(&s, "cut at", cut, s.T);
        pieces(&s, "pieces of", 0, 1);
        for (int trial = 1; trial < 5; trial++) pieces(&s, "random pieces after", trial, 0);
        check_batches(&s, batches, 2);
        bad += s.bad;
        close_stream(&s);
    }
    assert_int_equal(bad, 0);
}

static void check_long(const char *name, pha__dtype dtype)
{
    static const int sizes[] = {1, 2, 7, 16, 17, 64, 100, 256}, batches[] = {1, 2, 16, 17, 33};
    static const int first[] = {1, 16, 17, 63, 64, 100, 256, 300, 513};
    stream s;
    open_stream(&s, lab_find(name), dtype, 700);
    pieces(&s, "pieces of", 0, s.T);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) pieces(&s, "pieces of", 0, sizes[i]);
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) pieces(&s, "cut at", first[i], s.T);
    check_batches(&s, batches, sizeof batches / sizeof *batches);
    assert_int_equal(s.bad, 0);
    close_stream(&s);
}

static void test_fp32(void **state)
{
    (void)state;
    check_all(PHA__F32);
}

static void test_bf16(void **state)
{
    (void)state;
    check_all(PHA__BF16);
}

static void test_long(void **state)
{
    (void)state;
    static const char *const names[] = {"default", "window 7", "window 100", "local 7", "local 100", "attention",
                                        "filter none", "filter norm", "filter conv4", "sequential", "sequential, pre",
                                        "gpt2", "linear attention", "hedgehog"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) check_long(names[i], PHA__F32);
    check_long("default", PHA__BF16);
    check_long("window 100", PHA__BF16);
}

/* A copied block is a fork of the session: both go on as if the other were not there. */
static void test_fork(void **state)
{
    (void)state;
    stream s;
    open_stream(&s, lab_find("window 7"), PHA__F32, 33);
    restart(&s, 0);
    feed(&s, 0, 0, 20);
    memcpy(s.session[1], s.session[0], s.chunk.program->state);
    feed(&s, 0, 5, 3); /* the first goes somewhere else */
    feed(&s, 1, 20, 13);
    compare(&s, "fork at", 20, s.got + 20 * V, 20, 13);
    assert_int_equal(s.bad, 0);
    close_stream(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fp32), cmocka_unit_test(test_bf16),
                                       cmocka_unit_test(test_long), cmocka_unit_test(test_fork)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
