/* test_engine.c -- through pha.h alone: a text has the same bits however it is cut, scored, batched, forked or gone
 * back in; many sessions of one engine; stopping (long file: one text through every door)
 *
 * PHA_ISA and PHA_DEVICE choose what it runs on (tests/CMakeLists.txt runs it on several).
 */
#include <stdatomic.h>
#include <time.h>

#include <pthread.h>

#include "base/mem.h"
#include "damage.h"
#include "models/lab.h"
#include "pha.h"
#include "support/root.h"

enum { N = 700, V = 256 };

static pha_model *open_model(const lab_variant *v)
{
    char config[400], folder[400];
    snprintf(config, sizeof config, "%s.json", in_root("engine"));
    snprintf(folder, sizeof folder, "%s", in_root("engine"));
    lab_write_config(config, v, V);
    OK(pha_model_init(config, 11, NULL, folder));
    pha_model *m;
    OK(pha_model_open(&m, folder));
    return m;
}

static const char *const variants[] = {"default", "window 7", "sequential", "attention", "window per layer",
                                       "state space", "filter none", "filter norm", "filter conv4", "qk rms",
                                       "gpt2, local",
                                       "sequential, window 100", "attention, window 100", "filter none, window 100",
                                       "filter norm, window 100", "filter conv4, window 100",
                                       "attention, local 100"};
enum { N_VARIANTS = sizeof variants / sizeof *variants, EVERY_CUT = 3 /* of the first ones */ };

/* Variants of this test alone; others are in lab.c. */
static const lab_variant windowed[] = {
    {"sequential, window 100", "seq", "\"window\": 100"},
    {"attention, window 100", "pha", "\"branches\": [\"attn\"], \"window\": 100"},
    {"filter none, window 100", "pha", "\"gss_filter\": \"none\", \"window\": 100"},
    {"filter norm, window 100", "pha", "\"gss_filter\": \"norm\", \"window\": 100"},
    {"filter conv4, window 100", "pha", "\"gss_filter\": \"conv4\", \"window\": 100"},
    {"attention, local 100", "pha", "\"branches\": [\"attn\"], \"local\": 100"},
};

static const lab_variant *find(const char *name)
{
    for (size_t i = 0; i < sizeof windowed / sizeof *windowed; i++)
        if (!strcmp(windowed[i].name, name)) return &windowed[i];
    return lab_find(name);
}

typedef struct text {
    const char *name;
    pha_model *model;
    pha_engine *engine;
    int32_t ids[N];
    float *want; /* (N, V): fed token by token */
} text;

static pha_weights weights; /* of the engines that are opened */
static pha_precision cache;

static pha_engine *open_engine(const pha_model *m, int32_t chunk, int32_t batch, int threads)
{
    pha_engine *e;
    pha_engine_options o = {.max_context = N, .chunk = chunk, .batch = batch, .threads = threads, .weights = weights,
                            .cache = cache};
    OK(pha_engine_open(&e, m, &o));
    return e;
}

static pha_session *open_session(pha_engine *e)
{
    pha_session *s;
    OK(pha_engine_session(e, &s));
    return s;
}

static void same(const text *t, const float *got, int at, const char *what, int number)
{
    if (memcmp(got, t->want + (int64_t)at * V, V * sizeof *got))
        fail_msg("%s: %s %d: other bits at token %d", t->name, what, number, at);
}

static void open_text(text *t, const char *name)
{
    *t = (text){.name = name, .model = open_model(find(name)), .want = malloc(sizeof(float) * N * V)};
    t->engine = open_engine(t->model, 256, 33, 2);
    lab_tokens(t->ids, NULL, N, V, 0, 77);
    pha_session *s = open_session(t->engine);
    for (int i = 0; i < N; i++) {
        const float *logits;
        OK(pha_session_feed(s, t->ids + i, 1, &logits));
        memcpy(t->want + (int64_t)i * V, logits, V * sizeof *logits);
    }
    pha_session_close(s);
}

static void close_text(text *t)
{
    pha_engine_close(t->engine);
    pha_model_close(t->model);
    free(t->want);
}

/* The whole text in chunks of a size: those of the engine, and those that are fed. */
static void check_chunks(const text *t)
{
    static const int sizes[] = {1, 2, 7, 16, 17, 64, 100, 256, 700};
    for (int k = 0; k < 9; k++) {
        const float *logits;
        pha_engine *e = open_engine(t->model, sizes[k], 1, 1 + k % 3);
        pha_session *s = open_session(e), *pieces = open_session(t->engine);
        OK(pha_session_feed(s, t->ids, N, &logits));
        same(t, logits, N - 1, "chunk", sizes[k]);
        for (int i = 0, n; i < N; i += n) {
            n = sizes[k] < N - i ? sizes[k] : N - i;
            OK(pha_session_feed(pieces, t->ids + i, (size_t)n, &logits));
            same(t, logits, i + n - 1, "pieces of", sizes[k]);
        }
        pha_session_close(s), pha_session_close(pieces);
        pha_engine_close(e);
    }
}

static void check_cuts(const text *t, int step)
{
    pha_session *s = open_session(t->engine);
    for (int k = 1; k < N; k += step) {
        pha_session *rest;
        const float *logits;
        OK(pha_session_feed(s, t->ids + pha_session_position(s), (size_t)(k - pha_session_position(s)), NULL));
        OK(pha_session_fork(&rest, s));
        OK(pha_session_feed(rest, t->ids + k, (size_t)(N - k), &logits));
        same(t, logits, N - 1, "cut at", k);
        pha_session_close(rest);
    }
    pha_session_close(s);
}

static void check_score(const text *t)
{
    float *all = malloc(sizeof *all * N * V);
    static const int first[] = {0, 1, 63, 64, 65, 300};
    for (int k = 0; k < 6; k++) {
        pha_session *s = open_session(t->engine);
        if (first[k]) OK(pha_session_score(s, t->ids, (size_t)first[k], all));
        OK(pha_session_score(s, t->ids + first[k], (size_t)(N - first[k]), all + (int64_t)first[k] * V));
        for (int i = 0; i < N; i++) same(t, all + (int64_t)i * V, i, "scored from", first[k]);
        pha_session_close(s);
    }
    free(all);
}

/* n sessions at places of their own take three steps together. */
static void check_steps(const text *t, int n)
{
    pha_session *s[40];
    int32_t ids[40];
    static float logits[40 * V];
    int at[40];
    for (int i = 0; i < n; i++) {
        at[i] = 1 + i * 131 % (N - 4);
        s[i] = open_session(t->engine);
        OK(pha_session_feed(s[i], t->ids, (size_t)at[i], NULL));
    }
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < n; i++) ids[i] = t->ids[at[i] + k];
        OK(pha_engine_step(t->engine, s, ids, (size_t)n, logits));
        for (int i = 0; i < n; i++) same(t, logits + i * V, at[i] + k, "step of", n);
    }
    for (int i = 0; i < n; i++) {
        const float *one;
        assert_int_equal(pha_session_position(s[i]), at[i] + 3);
        OK(pha_session_feed(s[i], t->ids + at[i] + 3, 1, &one)); /* the states went along */
        same(t, one, at[i] + 3, "after a step of", n);
        pha_session_close(s[i]);
    }
}

static void one_text_one_result(void **state)
{
    (void)state;
    static const int sizes[] = {1, 2, 16, 17, 33, 40};
    for (int i = 0; i < N_VARIANTS; i++) {
        text t;
        open_text(&t, variants[i]);
        check_chunks(&t);
        check_cuts(&t, i < EVERY_CUT ? 1 : 23);
        check_score(&t);
        for (int k = 0; k < 6; k++) check_steps(&t, sizes[k]);
        close_text(&t);
    }
}

/* Back to a place and on from there. */
static void go_back_and_on(const text *t, pha_session *s, int at)
{
    const float *logits;
    OK(pha_session_rewind(s, at));
    OK(pha_session_feed(s, t->ids + at, 1, &logits));
    same(t, logits, at, "back to", at);
    OK(pha_session_feed(s, t->ids + at + 1, 43, &logits));
    same(t, logits, at + 43, "on from", at);
}

/* The same over weights of every format; which are not the same text. */
static void every_format(void **state)
{
    (void)state;
    static const int sizes[] = {2, 16, 33};
    static const char *const some[] = {"default", "sequential, window 100", "gpt2, local"};
    for (int i = 0; i < 3; i++) {
        float *before = malloc(sizeof *before * N * V);
        for (int w = PHA_WEIGHTS_FP32; w <= PHA_WEIGHTS_Q4; w++) {
            text t;
            weights = (pha_weights)w;
            open_text(&t, some[i]);
            check_chunks(&t);
            check_cuts(&t, 61);
            check_score(&t);
            for (int k = 0; k < 3; k++) check_steps(&t, sizes[k]);
            assert_true(w == PHA_WEIGHTS_FP32 || memcmp(before, t.want, sizeof *before * N * V));
            memcpy(before, t.want, sizeof *before * N * V);
            close_text(&t);
        }
        free(before);
    }
    weights = PHA_WEIGHTS_DEFAULT;
}

/* The same with a cache of 16 bits: half the bytes, and another text. */
static void half_cache(void **state)
{
    (void)state;
    static const char *const some[] = {"default", "window 7", "gpt2, local", "attention, local 100"};
    for (int i = 0; i < 4; i++) {
        size_t bytes[2];
        float *before = malloc(sizeof *before * N * V);
        for (int k = 0; k < 2; k++) {
            text t;
            cache = k ? PHA_BF16 : PHA_FP32;
            open_text(&t, some[i]);
            pha_session *s = open_session(t.engine), *other;
            bytes[k] = pha_session_state_bytes(s);
            assert_true(k == 0 || memcmp(before, t.want, sizeof *before * N * V));
            memcpy(before, t.want, sizeof *before * N * V);
            if (k) {
                check_chunks(&t);
                check_cuts(&t, 23);
                check_score(&t);
                check_steps(&t, 17);
                OK(pha_session_feed(s, t.ids, 300, NULL));
                OK(pha_session_save(s, in_root("half")));
                other = open_session(t.engine);
                OK(pha_session_load(other, in_root("half")));
                go_back_and_on(&t, s, 299), go_back_and_on(&t, s, 20), go_back_and_on(&t, other, 255);
                pha_session_close(other);
                OK(pha_session_open(&other, t.model, &(pha_session_options){.max_context = N}));
                FAILS(BAD_INPUT, "of another precision", pha_session_load(other, in_root("half")));
                pha_session_close(other);
            }
            pha_session_close(s);
            close_text(&t);
        }
        assert_true(bytes[1] < bytes[0]);
        free(before);
    }
    cache = PHA_PRECISION_DEFAULT;
}

/* A state belongs to the weights that it was made with. */
static void state_of_other_weights(void **state)
{
    (void)state;
    pha_model *m = open_model(lab_find("default"));
    static const pha_weights all[] = {PHA_WEIGHTS_DEFAULT, PHA_WEIGHTS_FP32, PHA_WEIGHTS_Q8, PHA_WEIGHTS_Q4};
    pha_session *s[4], *to;
    for (int i = 0; i < 4; i++) {
        OK(pha_session_open(&s[i], m, &(pha_session_options){.max_context = 64, .weights = all[i]}));
        OK(pha_session_feed(s[i], (int32_t[]){1, 2, 3}, 3, NULL));
        OK(pha_session_save(s[i], in_root("weights")));
        for (int j = 0; j < 4; j++) {
            OK(pha_session_open(&to, m, &(pha_session_options){.max_context = 64, .weights = all[j]}));
            if (i == j || i + j == 1) OK(pha_session_load(to, in_root("weights"))); /* fp32 is what is in the file */
            else FAILS(BAD_INPUT, "another model", pha_session_load(to, in_root("weights")));
            pha_session_close(to);
        }
    }
    for (int i = 0; i < 4; i++) pha_session_close(s[i]);
    pha_engine *e;
    FAILS(USAGE, "no weights", pha_engine_open(&e, m, &(pha_engine_options){.weights = (pha_weights)6}));
    pha_model_close(m);
}

/* Back from the end to every position, and on from there. */
static void back(void **state)
{
    (void)state;
    for (int i = 0; i < EVERY_CUT; i++) {
        text t;
        const float *logits;
        open_text(&t, variants[i]);
        pha_session *s = open_session(t.engine), *fork;
        OK(pha_session_feed(s, t.ids, N, NULL));
        for (int p = N - 2; p >= 0; p -= i ? 9 : 1) {
            OK(pha_session_rewind(s, p));
            assert_int_equal(pha_session_position(s), p);
            OK(pha_session_fork(&fork, s));
            OK(pha_session_feed(fork, t.ids + p, 1, &logits));
            same(&t, logits, p, "back to", p);
            OK(pha_session_feed(fork, t.ids + p + 1, 1, &logits));
            same(&t, logits, p + 1, "back to", p);
            pha_session_close(fork);
        }
        FAILS(USAGE, "can't go back to", pha_session_rewind(s, pha_session_position(s) + 1));
        FAILS(USAGE, "can't go back to", pha_session_rewind(s, -1));
        /* another text over the old one: nothing of it comes back */
        OK(pha_session_rewind(s, 0));
        OK(pha_session_feed(s, t.ids + 100, 200, NULL));
        OK(pha_session_rewind(s, 130));
        pha_session *fresh = open_session(t.engine);
        const float *x, *y;
        OK(pha_session_feed(fresh, t.ids + 100, 130, NULL));
        OK(pha_session_feed(s, t.ids, 1, &x));
        OK(pha_session_feed(fresh, t.ids, 1, &y));
        assert_memory_equal(x, y, V * sizeof *x);
        pha_session_close(s), pha_session_close(fresh);
        close_text(&t);
    }
}

/* A session from a file knows the ids in the file, and goes back by reading them again. */
static void back_from_a_file(void **state)
{
    (void)state;
    text t;
    const float *logits;
    open_text(&t, "default");
    pha_session *s = open_session(t.engine), *other = open_session(t.engine);
    OK(pha_session_feed(s, t.ids, 300, NULL));
    OK(pha_session_save(s, in_root("back")));
    OK(pha_session_load(other, in_root("back")));
    OK(pha_session_rewind(other, 129));
    OK(pha_session_feed(other, t.ids + 129, 1, &logits));
    same(&t, logits, 129, "file, back to", 129);
    pha_session_close(s), pha_session_close(other);
    close_text(&t);
}

static size_t used(const char *path)
{
    size_t size;
    char *data;
    OK(pha__read_file(&data, &size, path, (size_t)1 << 30));
    pha__free(data);
    return size;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* 256 sessions of one engine: each costs its state, and no time to speak of. */
static void many(void **state)
{
    (void)state;
    enum { MANY = 256 };
    pha_model *m = open_model(lab_find("default"));
    pha_engine *e;
    static pha_session *s[MANY];
    static int32_t ids[MANY];
    static float logits[MANY * V];
    OK(pha_engine_open(&e, m, NULL)); /* 4096 tokens, 16 sessions a run */
    size_t held = pha__mem_now();
    double begin = now();
    for (int i = 0; i < MANY; i++) s[i] = open_session(e);
    double each = (now() - begin) / MANY, bytes = (double)(pha__mem_now() - held) / MANY;
    print_message("%d sessions: %.3f ms and %.0f bytes each to open, state of %zu bytes\n", MANY, each * 1e3, bytes,
                  pha_session_state_bytes(s[0]));
    assert_true(bytes < 1.1 * (double)pha_session_state_bytes(s[0])); /* marks to go back to, ids, logits */
#ifndef __SANITIZE_ADDRESS__ /* which makes memory slow */
    if (!getenv("PHA_DEVICE")) assert_true(each < 0.2e-3);
#endif
    for (int k = 0; k < 5; k++) {
        for (int i = 0; i < MANY; i++) ids[i] = (i * 7 + k * 3) % V;
        OK(pha_engine_step(e, s, ids, MANY, logits));
    }
    for (int i = 0; i < MANY; i += 51) {
        pha_session *alone = open_session(e);
        const float *one = NULL;
        for (int k = 0; k < 5; k++) OK(pha_session_feed(alone, (int32_t[]){(i * 7 + k * 3) % V}, 1, &one));
        assert_memory_equal(one, logits + i * V, V * sizeof *one);
        pha_session_close(alone);
    }
    OK(pha_session_save(s[0], in_root("five-tokens")));
    size_t size = used(in_root("five-tokens"));
    assert_in_range(size, V * 4, 20000); /* not the room for 4096 */
    assert_true(pha_session_state_bytes(s[0]) > 100 * size);
    pha_engine_close(e); /* the sessions keep it */
    OK(pha_session_feed(s[1], ids, 1, NULL));
    for (int i = 0; i < MANY; i++) pha_session_close(s[i]);
    pha_model_close(m);
}

static void wrong_steps(void **state)
{
    (void)state;
    pha_model *m = open_model(lab_find("default"));
    pha_engine *e, *f;
    pha_session *none;
    OK(pha_engine_open(&e, m, &(pha_engine_options){.max_context = 3, .batch = 2}));
    OK(pha_engine_open(&f, m, NULL));
    pha_session *a = open_session(e), *b = open_session(e), *other = open_session(f);
    pha_engine_close(f); /* its session keeps it */
    int32_t ids[] = {1, 2, 3};
    FAILS(USAGE, "at least one session", pha_engine_step(e, &a, ids, 0, NULL));
    FAILS(USAGE, "needs an engine", pha_engine_step(NULL, &a, ids, 1, NULL));
    FAILS(USAGE, "session 1 is not one of this engine", pha_engine_step(e, (pha_session *[]){a, other}, ids, 2, NULL));
    FAILS(USAGE, "session 2 is twice", pha_engine_step(e, (pha_session *[]){a, b, a}, ids, 3, NULL));
    FAILS(USAGE, "session 1: token 0 has the id 256",
          pha_engine_step(e, (pha_session *[]){a, b}, (int32_t[]){1, V}, 2, NULL));
    assert_int_equal(pha_session_position(a), 0);
    OK(pha_session_feed(b, ids, 3, NULL));
    FAILS(USAGE, "session 1: 1 tokens after the 3", pha_engine_step(e, (pha_session *[]){a, b}, ids, 2, NULL));
    assert_int_equal(pha_session_position(a), 0);
    FAILS(USAGE, "batch", pha_engine_open(&f, m, &(pha_engine_options){.batch = -1}));
    FAILS(NO_DEVICE, "no such device", pha_engine_open(&f, m, &(pha_engine_options){.device = "abacus"}));
    assert_null(f);
    FAILS(USAGE, "needs an engine", pha_engine_session(NULL, &none));
    none = a;
    FAILS(USAGE, "needs a session", pha_session_fork(&none, NULL));
    assert_null(none);
    FAILS(USAGE, "two sessions", pha_session_copy(a, NULL));
    FAILS(USAGE, "needs a session", pha_session_feed(NULL, ids, 1, NULL));
    FAILS(USAGE, "needs a session", pha_session_score(NULL, ids, 1, (float *)ids));
    FAILS(USAGE, "needs a session", pha_session_rewind(NULL, 0));
    FAILS(USAGE, "needs a session", pha_session_save(NULL, "x"));
    FAILS(USAGE, "needs a session", pha_session_load(NULL, "x"));
    pha_engine_close(e);
    pha_session_close(a), pha_session_close(b), pha_session_close(other);
    pha_model_close(m);
}

/* Weights that differ anywhere make another model of it, to a file of a session and to a copy. */
static void other_weights(void **state)
{
    (void)state;
    pha_model *m = open_model(lab_find("default")), *n;
    pha_session *s, *t;
    OK(pha_session_open(&s, m, &(pha_session_options){.max_context = 64}));
    OK(pha_session_feed(s, (int32_t[]){1, 2, 3}, 3, NULL));
    OK(pha_session_save(s, in_root("weights")));
    char place[300];
    snprintf(place, sizeof place, "%s", in_root("others"));
    OK(pha_model_init(in_root("engine.json"), 11, NULL, place)); /* the same, so far */
    whole_file f = read_whole(place, "model.safetensors");
    static const int parts[] = {0, 1, 2}; /* none; the last number of the last tensor; one in the middle of a matrix */
    for (int k = 0; k < 3; k++) {
        size_t at = k ? (f.size - 1) / (size_t)parts[k] : 0;
        f.data[at] = (char)(f.data[at] ^ (k ? 0x40 : 0));
        reseal(&f);
        put_bytes(&f);
        f.data[at] = (char)(f.data[at] ^ (k ? 0x40 : 0));
        OK(pha_model_open(&n, place));
        OK(pha_session_open(&t, n, &(pha_session_options){.max_context = 64}));
        if (k) FAILS(BAD_INPUT, "another model", pha_session_load(t, in_root("weights")));
        else OK(pha_session_load(t, in_root("weights")));
        if (k) FAILS(USAGE, "the same model", pha_session_copy(t, s));
        else OK(pha_session_copy(t, s));
        assert_int_equal(pha_session_position(t), k ? 0 : 3);
        pha_session_close(t);
        pha_model_close(n);
    }
    pha__free(f.data);
    pha_session_close(s);
    pha_model_close(m);
}

typedef struct stopping {
    pha_session *session;
    int32_t *ids;
    size_t n;
    pha_status status;
    _Atomic bool begun;
} stopping;

static void *read_long(void *context)
{
    stopping *r = context;
    r->begun = true;
    r->status = pha_session_feed(r->session, r->ids, r->n, NULL);
    return NULL;
}

/* A request ends one session and no other. */
static void stop(void **state)
{
    (void)state;
    enum { LONG = 400000 };
    pha_model *m = open_model(lab_find("window 7"));
    pha_engine *e = open_engine(m, 64, 1, 1);
    stopping r = {.session = open_session(e), .ids = calloc(LONG, sizeof(int32_t)), .n = LONG};
    pha_session *other = open_session(e);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_long, &r), 0);
    while (!r.begun) sched_yield();
    OK(pha_session_feed(other, r.ids, 100, NULL)); /* takes its turns meanwhile */
    pha_session_request_stop(r.session);
    pthread_join(thread, NULL);
    assert_int_equal(r.status, PHA_STOPPED);
    int64_t read = pha_session_position(r.session);
    assert_in_range(read, 0, LONG - 1);
    FAILS(STOPPED, "asked to stop", pha_session_feed(r.session, r.ids, 1, NULL));
    FAILS(STOPPED, "session 1 was asked to stop",
          pha_engine_step(e, (pha_session *[]){other, r.session}, r.ids, 2, NULL));
    assert_int_equal(pha_session_position(other), 100);
    if (read) FAILS(STOPPED, "asked to stop", pha_session_rewind(r.session, read - 1));
    assert_int_equal(pha_session_position(r.session), read);
    OK(pha_session_feed(other, r.ids, 100, NULL));
    pha_session_clear_stop(r.session);
    OK(pha_session_feed(r.session, r.ids, 1, NULL));
    assert_int_equal(pha_session_position(r.session), read + 1);
    pha_session_close(r.session), pha_session_close(other);
    free(r.ids);
    pha_engine_close(e);
    pha_model_close(m);
}

int main(void)
{
    const char *isa = getenv("PHA_ISA");
    if (isa && *isa && strcmp(isa, pha_isa())) return 77; /* skipped: not one of this processor */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_text_one_result), cmocka_unit_test(every_format), cmocka_unit_test(half_cache),
        cmocka_unit_test(state_of_other_weights), cmocka_unit_test(back), cmocka_unit_test(back_from_a_file),
        cmocka_unit_test(many), cmocka_unit_test(wrong_steps), cmocka_unit_test(other_weights), cmocka_unit_test(stop),
    };
    return cmocka_run_group_tests(tests, root_setup, root_teardown);
}
