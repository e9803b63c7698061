/* test_streaming.c -- one definition, three programs: whole sequences, chunks, single tokens give the same logits
 *
 * For every variant of lab.c: a sequence cut at every point, into random pieces and into single tokens equals the whole
 * (numerics.md 2: fp32 E2 <= 1e-5, bf16 E2 <= 2e-2 and the argmax agrees on 99% of non-ties); three sessions at
 * different positions in one step program equal the same sessions alone.
 */
#include <math.h>

#include "models/lab.h"

enum { T = 33, V = 256, CONTEXT = 40 };

typedef struct stream {
    const lab_variant *variant;
    double limit;
    lab whole, chunk, step, steps; /* steps: three sessions */
    int32_t tokens[T];
    float want[T * V], got[T * V];
    char *session[3];
    int bad;
    double worst;
} stream;

static void open_stream(stream *s, const lab_variant *v, pha__dtype dtype)
{
    *s = (stream){.variant = v, .limit = dtype == PHA__BF16 ? 2e-2 : 1e-5};
    pha__config c;
    lab_config(&c, v);
    pha__program_options o = {.B = 1, .T = T, .dtype = dtype};
    lab_open(&s->whole, &c, &o, PHA__HEAD_LOGITS, lab_device());
    o.max_context = CONTEXT;
    lab_open(&s->chunk, &c, &o, PHA__HEAD_LOGITS, lab_device());
    o.T = 1;
    lab_open(&s->step, &c, &o, PHA__HEAD_LOGITS, lab_device());
    o.B = 3;
    lab_open(&s->steps, &c, &o, PHA__HEAD_LOGITS, lab_device());
    assert_int_equal(s->chunk.program->state, s->step.program->state); /* one block serves all programs */
    assert_int_equal(s->chunk.program->state, s->steps.program->state);
    for (int i = 0; i < 3; i++) s->session[i] = pha__alloc_zero(s->chunk.program->state + 1, 1);
    lab_tokens(s->tokens, NULL, T, V, 0, 17);
    OK(pha__exec_run(s->whole.exec, 1, T, &(pha__run){.tokens = s->tokens}, NULL, false));
    memcpy(s->want, lab_output(&s->whole, "logits", T), sizeof s->want);
}

static void close_stream(stream *s)
{
    lab_close(&s->whole);
    lab_close(&s->chunk);
    lab_close(&s->step);
    lab_close(&s->steps);
    for (int i = 0; i < 3; i++) pha__free(s->session[i]);
}

static void restart(stream *s, int session) { memset(s->session[session], 0, s->chunk.program->state); }

/* Tokens [t, t + n) of a session through the chunk program, or the step program if n is 1. */
static void feed(stream *s, int session, int t, int n)
{
    lab *l = n == 1 ? &s->step : &s->chunk;
    OK(pha__exec_run(l->exec, 1, n, &(pha__run){.tokens = s->tokens + t}, &s->session[session], false));
    memcpy(s->got + t * V, lab_output(l, "logits", n), (size_t)n * V * sizeof(float));
}

static int argmax(const float *x, float *margin)
{
    int best = 0;
    for (int j = 1; j < V; j++)
        if (x[j] > x[best]) best = j;
    *margin = INFINITY;
    for (int j = 0; j < V; j++)
        if (j != best) *margin = fminf(*margin, x[best] - x[j]);
    return best;
}

static void compare(stream *s, const char *what, int t, int n)
{
    double e2 = lab_e2(s->got + t * V, s->want + t * V, (int64_t)n * V), rms = 0;
    for (int i = 0; i < n * V; i++) rms += (double)s->want[t * V + i] * s->want[t * V + i] / (n * V);
    int differ = 0;
    for (int i = t; i < t + n; i++) {
        float margin, other;
        int best = argmax(s->want + i * V, &margin);
        if (margin > 0.05 * sqrt(rms)) differ += argmax(s->got + i * V, &other) != best; /* not a tie */
    }
    if (e2 > s->worst) s->worst = e2;
    if (e2 <= s->limit && differ * 100 <= n) return;
    print_message("FAILED %s: %s: E2 %.2e, %d of %d best tokens differ\n", s->variant->name, what, e2, differ, n);
    s->bad++;
}

static void check_cuts(stream *s)
{
    char what[80];
    for (int cut = 1; cut < T; cut++) {
        restart(s, 0);
        feed(s, 0, 0, cut);
        feed(s, 0, cut, T - cut);
        snprintf(what, sizeof what, "cut at %d", cut);
        compare(s, what, 0, T);
    }
    uint64_t random = 5;
    for (int trial = 0; trial < 6; trial++) {
        restart(s, 0);
        for (int t = 0, n; t < T; t += n) {
            n = trial == 0 ? 1 : 1 + (int)(lab_random(&random) % 7);
            n = n < T - t ? n : T - t;
            feed(s, 0, t, n);
        }
        compare(s, trial ? "random cuts" : "single tokens", 0, T);
    }
}

/* Three sessions that stand at different places of the sequence take steps together. */
static void check_batch(stream *s)
{
    static const int start[3] = {5, 12, 24};
    enum { STEPS = T - 24 };
    for (int b = 0; b < 3; b++) {
        restart(s, b);
        feed(s, b, 0, start[b]);
    }
    static float together[3][STEPS * V];
    for (int k = 0; k < STEPS; k++) {
        int32_t tokens[3];
        for (int b = 0; b < 3; b++) tokens[b] = s->tokens[start[b] + k];
        OK(pha__exec_run(s->steps.exec, 3, 1, &(pha__run){.tokens = tokens}, s->session, false));
        const float *out = lab_output(&s->steps, "logits", 3);
        for (int b = 0; b < 3; b++) memcpy(together[b] + k * V, out + b * V, V * sizeof(float));
    }
    for (int b = 0; b < 3; b++) {
        restart(s, 0);
        feed(s, 0, 0, start[b]);
        for (int k = 0; k < STEPS; k++) feed(s, 0, start[b] + k, 1);
        double e2 = lab_e2(together[b], s->got + start[b] * V, STEPS * V);
        s->bad += e2 > s->limit;
        if (e2 > s->limit) print_message("FAILED %s: session %d of three: E2 %.2e\n", s->variant->name, b, e2);
        memcpy(s->got + start[b] * V, together[b], sizeof together[b]);
        compare(s, "three sessions", start[b], STEPS);
    }
}

static void check(pha__dtype dtype)
{
    static stream s;
    int bad = 0;
    for (int i = 0; i < lab_n_variants; i++) {
        open_stream(&s, &lab_variants[i], dtype);
        check_cuts(&s);
        check_batch(&s);
        print_message("%-28s %s: at most %.1e\n", s.variant->name, dtype == PHA__BF16 ? "bf16" : "fp32", s.worst);
        bad += s.bad;
        close_stream(&s);
    }
    assert_int_equal(bad, 0);
}

static void test_fp32(void **state)
{
    (void)state;
    check(PHA__F32);
}

static void test_bf16(void **state)
{
    (void)state;
    check(PHA__BF16);
}

/* A copied block is a fork of the session: both go on as if the other were not there. */
static void test_fork(void **state)
{
    (void)state;
    static stream s;
    open_stream(&s, lab_find("window 7"), PHA__F32);
    restart(&s, 0);
    feed(&s, 0, 0, 20);
    memcpy(s.session[1], s.session[0], s.chunk.program->state);
    feed(&s, 0, 5, 3); /* the first goes somewhere else */
    feed(&s, 1, 20, T - 20);
    compare(&s, "fork", 20, T - 20);
    assert_int_equal(s.bad, 0);
    close_stream(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fp32), cmocka_unit_test(test_bf16),
                                       cmocka_unit_test(test_fork)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
