/* test_session_device.c -- what sessions do with their device, seen by a backend that watches: only under the lock of
 * the engine, no more than must be read again, and nothing half done when it fails
 */
#include <pthread.h>

#include "runtime/tiny.h"

enum { V = 256, N = 600 };

static const pha__backend *real;
static pha__backend watching;
static pha_engine *watched;
static int unlocked; /* calls without the lock */
static int runs;     /* steps of programs */
static int fail_in;  /* copies and uploads until one fails; 0: none */

static void look(void)
{
    if (pthread_mutex_trylock(&watched->lock)) return;
    pthread_mutex_unlock(&watched->lock);
    unlocked++;
}

static pha_status fail_now(void)
{
    look();
    return fail_in && --fail_in == 0 ? pha__fail(PHA_FAILED, "the device fails") : PHA_OK;
}

static void *watch_alloc(pha__device *d, size_t size)
{
    look();
    void *p = real->alloc(d, size);
    if (p) OK(real->fill(d, p, 0x7f, size)); /* large numbers: nothing may count on zeros */
    return p;
}

static void watch_free(pha__device *d, void *p)
{
    look();
    real->free(d, p);
}

static pha_status watch_upload(pha__device *d, void *to, const void *from, size_t size)
{
    TRY(fail_now());
    return real->upload(d, to, from, size);
}

static pha_status watch_download(pha__device *d, void *to, const void *from, size_t size)
{
    look();
    return real->download(d, to, from, size);
}

static pha_status watch_copy(pha__device *d, void *to, const void *from, size_t size)
{
    TRY(fail_now());
    return real->copy(d, to, from, size);
}

static pha_status watch_fill(pha__device *d, void *to, int byte, size_t size)
{
    look();
    return real->fill(d, to, byte, size);
}

static pha_status watch_run(pha__device *d, const void *kernel, const pha__args *a, pha__pass pass, void *scratch)
{
    look();
    runs++;
    return real->run(d, kernel, a, pass, scratch);
}

static void open_engine(const pha_model *m, int32_t chunk)
{
    OK(pha_engine_open(&watched, m, &(pha_engine_options){.max_context = N, .chunk = chunk, .batch = 2, .threads = 1}));
    real = watched->device->backend, watching = *real;
    watching.alloc = watch_alloc, watching.free = watch_free, watching.upload = watch_upload;
    watching.download = watch_download, watching.copy = watch_copy, watching.fill = watch_fill;
    watching.run = watch_run;
    watched->device->backend = &watching;
    unlocked = runs = fail_in = 0;
}

static void close_engine(void)
{
    watched->device->backend = real;
    pha_engine_close(watched);
}

static pha_session *open_session(void)
{
    pha_session *s;
    OK(pha_engine_session(watched, &s));
    return s;
}

/* A device is used by one thread at a time, and sessions of an engine may be on several. */
static void under_the_lock(void **state)
{
    (void)state;
    static float all[100 * V];
    int32_t ids[N];
    lab_tokens(ids, NULL, N, V, 0, 1);
    pha_model *m = tiny_model("locked", lab_find("default"), V, NULL);
    open_engine(m, 64);
    pha_session *a = open_session(), *b = open_session(), *c;
    OK(pha_session_feed(a, ids, 200, NULL));
    OK(pha_session_score(a, ids, 100, all));
    OK(pha_engine_step(watched, (pha_session *[]){a, b}, ids, 2, all));
    OK(pha_session_rewind(a, 190));
    OK(pha_session_rewind(a, 20));
    OK(pha_session_fork(&c, a));
    OK(pha_session_copy(b, a));
    OK(pha_session_save(a, in_root("locked-state")));
    OK(pha_session_load(b, in_root("locked-state")));
    pha_session_reset(a);
    pha_session_close(a), pha_session_close(b), pha_session_close(c);
    assert_true(runs > 0);
    assert_int_equal(unlocked, 0);
    close_engine();
    pha_model_close(m);
}

/* Steps of programs that going back takes, in runs of the chunk program and one of the step program. */
static void back_by(pha_session *s, int64_t to, int chunks)
{
    int before = runs;
    OK(pha_session_rewind(s, to));
    assert_int_equal(s->position, to);
    assert_true(s->ready);
    assert_int_equal(runs - before, chunks * watched->program[PHA__CHUNK]->n_steps +
                                        watched->program[PHA__STEP]->n_steps);
}

/* A window that is as wide as the context or wider loses nothing: no need to read the text from its start. */
static void as_little_as_needed(void **state)
{
    (void)state;
    static const char *const windows[] = {"\"window\": 7", "\"window\": 600", "\"window\": 1000",
                                          "\"window\": [7, null]", "\"local\": 7", "\"local\": 600"};
    int32_t ids[N];
    lab_tokens(ids, NULL, N, V, 0, 2);
    for (int i = 0; i < 6; i++) {
        const lab_variant v = {windows[i], "pha", windows[i]};
        pha_model *m = tiny_model("little", &v, V, NULL);
        open_engine(m, 64);
        pha_session *s = open_session();
        OK(pha_session_feed(s, ids, 300, NULL));
        back_by(s, 290, 1); /* from 256 */
        back_by(s, 257, 0);
        back_by(s, 256, 1); /* with the logits of its last token: from 192 */
        back_by(s, 70, 1);
        OK(pha_session_rewind(s, 0));
        pha_session_close(s);
        close_engine();
        pha_model_close(m);
    }
}

/* Once a ring has been overwritten, what lies further back than its slack is read again from the start. */
static void far_back(const lab_variant *v)
{
    int32_t ids[N];
    lab_tokens(ids, NULL, N, V, 0, 3);
    pha_model *m = tiny_model("much", v, V, NULL);
    open_engine(m, 64); /* rings of 520 tokens */
    pha_session *s = open_session();
    const float *logits;
    float *whole = tiny_logits(m, ids, N);
    OK(pha_session_feed(s, ids, N, NULL));
    back_by(s, 340, 1); /* from 320 */
    pha_session *fork;
    OK(pha_session_fork(&fork, s));
    back_by(fork, 300, 5);
    pha_session_close(fork);
    back_by(s, 300, 5); /* 256 is 344 back from the furthest, beyond the 320 */
    OK(pha_session_feed(s, ids + 300, 1, &logits));
    assert_memory_equal(logits, whole + 300 * V, V * sizeof *logits);
    pha__free(whole);
    pha_session_close(s);
    close_engine();
    pha_model_close(m);
}

static void as_much_as_needed(void **state)
{
    (void)state;
    far_back(&(lab_variant){"window 200", "pha", "\"window\": 200"});
    far_back(&(lab_variant){"local 200", "pha", "\"local\": 200"});
}

/* Places of a text that is gone are forgotten, also those that the new one passes without a stop. */
static void another_text(void **state)
{
    (void)state;
    int32_t ids[N], other[N];
    lab_tokens(ids, NULL, N, V, 0, 6);
    lab_tokens(other, NULL, N, V, 0, 7);
    pha_model *m = tiny_model("another", lab_find("default"), V, NULL);
    open_engine(m, 256);
    pha_session *s = open_session();
    for (int i = 0; i < 320; i += 64) OK(pha_session_feed(s, ids + i, 64, NULL)); /* a mark after each */
    OK(pha_session_rewind(s, 70));
    OK(pha_session_feed(s, other + 70, 200, NULL));
    OK(pha_session_rewind(s, 150));
    memcpy(other, ids, 70 * sizeof *ids);
    float *whole = tiny_logits(m, other, 150);
    assert_memory_equal(s->logits, whole + 149 * V, V * sizeof *whole);
    pha__free(whole);
    pha_session_close(s);
    close_engine();
    pha_model_close(m);
}

/* After a step every session has its own logits, in runs of two. */
static void logits_of_a_step(void **state)
{
    (void)state;
    enum { SESSIONS = 5 };
    static float logits[SESSIONS * V];
    pha_session *s[SESSIONS];
    int32_t ids[SESSIONS];
    pha_model *m = tiny_model("step", lab_find("default"), V, NULL);
    open_engine(m, 64);
    for (int i = 0; i < SESSIONS; i++) s[i] = open_session(), ids[i] = 10 * i;
    OK(pha_engine_step(watched, s, ids, SESSIONS, logits));
    for (int i = 0; i < SESSIONS; i++) {
        float *whole = tiny_logits(m, ids + i, 1);
        assert_true(s[i]->ready);
        assert_memory_equal(logits + i * V, whole, V * sizeof *whole);
        assert_memory_equal(s[i]->logits, whole, V * sizeof *whole);
        pha__free(whole);
        pha_session_close(s[i]);
    }
    close_engine();
    pha_model_close(m);
}

/* To the start no token is read again, so none must be known. */
static void start_of_a_file(void **state)
{
    (void)state;
    enum { LONG = PHA__RECENT + 100 };
    static int32_t ids[LONG];
    lab_tokens(ids, NULL, LONG, V, 0, 4);
    pha_model *m = tiny_model("start", lab_find("window 7"), V, NULL);
    open_engine(m, 64);
    pha_session *s = open_session();
    const float *logits;
    OK(pha_session_feed(s, ids, LONG, NULL));
    OK(pha_session_save(s, in_root("start-state")));
    OK(pha_session_load(s, in_root("start-state")));
    FAILS(USAGE, "not known any more", pha_session_rewind(s, 10));
    assert_int_equal(pha_session_position(s), LONG);
    OK(pha_session_rewind(s, 0));
    OK(pha_session_feed(s, ids, 20, &logits));
    float *whole = tiny_logits(m, ids, 20);
    assert_memory_equal(logits, whole + 19 * V, V * sizeof *logits);
    pha__free(whole);
    pha_session_close(s);
    close_engine();
    pha_model_close(m);
}

/* Wherever the device fails, half of another text stays nowhere. */
static void failing(void **state)
{
    (void)state;
    int32_t ids[N];
    lab_tokens(ids, NULL, N, V, 0, 5);
    pha_model *m = tiny_model("failing", lab_find("default"), V, NULL);
    open_engine(m, 64);
    pha_session *s = open_session(), *from = open_session(), *fork;
    float *whole = tiny_logits(m, ids, 20);
    const float *logits;
    OK(pha_session_feed(from, ids + 100, 130, NULL));
    OK(pha_session_save(from, in_root("failing-state")));
    for (int what = 0; what < 2; what++) {
        int n = 0;
        for (pha_status status = PHA_FAILED; status; n++) {
            pha_session_reset(s);
            OK(pha_session_feed(s, ids + 50, 70, NULL));
            fail_in = n + 1;
            status = what ? pha_session_copy(s, from) : pha_session_load(s, in_root("failing-state"));
            fail_in = 0;
            if (!status) break;
            assert_int_equal(pha_session_position(s), 0);
            OK(pha_session_feed(s, ids, 20, &logits));
            assert_memory_equal(logits, whole + 19 * V, V * sizeof *logits);
        }
        assert_true(n > 10);
    }
    fail_in = 3;
    FAILS(FAILED, "the device fails", pha_session_fork(&fork, from));
    assert_null(fork);
    pha__free(whole);
    pha_session_close(s), pha_session_close(from);
    close_engine();
    pha_model_close(m);
}

typedef struct reader {
    const pha_model *model;
    int32_t ids[N];
    float logits[V];
    pha_status status;
} reader;

static pha_status read_and_fork(reader *r, pha_session *s)
{
    pha_session *fork;
    const float *logits;
    for (int i = 0; i < 10; i++) {
        pha_session_reset(s);
        TRY(pha_session_feed(s, r->ids, 100, NULL));
        TRY(pha_session_rewind(s, 70));
        TRY(pha_session_fork(&fork, s));
        pha_status status = pha_session_feed(fork, r->ids + 70, 100, &logits);
        if (!status) memcpy(r->logits, logits, sizeof r->logits);
        pha_session_close(fork);
        TRY(status);
    }
    return PHA_OK;
}

static void *read_shared(void *context)
{
    reader *r = context;
    pha_session *s;
    if (!(r->status = pha_engine_session(watched, &s))) r->status = read_and_fork(r, s);
    pha_session_close(s);
    return NULL;
}

static void *read_own(void *context)
{
    reader *r = context;
    pha_session *s;
    pha_session_options o = {.max_context = N, .chunk = 64, .threads = 1};
    if (!(r->status = pha_session_open(&s, r->model, &o)))
        r->status = read_and_fork(r, s);
    pha_session_close(s);
    return NULL;
}

/* On several threads: sessions of one engine, and engines of one model. */
static void together(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    static reader r[THREADS];
    pthread_t thread[THREADS];
    pha_model *m = tiny_model("together", lab_find("default"), V, NULL);
    for (int shared = 0; shared < 2; shared++) {
        if (shared)
            OK(pha_engine_open(&watched, m, &(pha_engine_options){.max_context = N, .chunk = 64, .batch = 2,
                                                                  .threads = 2}));
        for (int i = 0; i < THREADS; i++) {
            r[i].model = m;
            lab_tokens(r[i].ids, NULL, N, V, 0, 10 + (uint64_t)i);
            assert_int_equal(pthread_create(&thread[i], NULL, shared ? read_shared : read_own, &r[i]), 0);
        }
        for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
        for (int i = 0; i < THREADS; i++) {
            float *whole = tiny_logits(m, r[i].ids, 170);
            assert_int_equal(r[i].status, PHA_OK);
            assert_memory_equal(r[i].logits, whole + 169 * V, V * sizeof *whole);
            pha__free(whole);
        }
    }
    pha_engine_close(watched);
    pha_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(under_the_lock),  cmocka_unit_test(as_little_as_needed), cmocka_unit_test(as_much_as_needed),
        cmocka_unit_test(start_of_a_file), cmocka_unit_test(another_text),        cmocka_unit_test(logits_of_a_step),
        cmocka_unit_test(failing),         cmocka_unit_test(together),
    };
    return cmocka_run_group_tests(tests, root_setup, root_teardown);
}
