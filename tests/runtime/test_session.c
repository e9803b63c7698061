/* Reading in pieces: every cut of every model gives the bits of the whole text; files, copies, threads, limits */
#include <pthread.h>

#include "base/hash.h"
#include "base/rng.h"
#include "runtime/infer/session.h"
#include "support/allocations.h"
#include "support/child.h"
#include "tiny.h"

enum { N = 90, V = 256 };

static void same_states(const pha_session *a, const pha_session *b)
{
    char *x = tiny_state(a), *y = tiny_state(b);
    assert_int_equal(a->position, b->position);
    assert_memory_equal(x, y, tiny_used(a));
    pha__free(x), pha__free(y);
}

static void same_logits(const float *a, const float *b) { assert_memory_equal(a, b, V * sizeof *a); }

static pha_session *open_session(const pha_model *m, int64_t max_context, int chunk, int threads)
{
    pha_session *s;
    OK(pha_session_open(&s, m, &(pha_session_options){.max_context = max_context, .chunk = chunk, .threads = threads}));
    return s;
}

/* Feeds pieces of the given length, 0: of random lengths; compares the logits after each piece. */
static void pieces(pha_session *s, const lab_variant *v, const int32_t *ids, const float *whole, int length,
                   uint64_t seed)
{
    pha_session_reset(s);
    for (int i = 0, k = 0; i < N; k++) {
        uint32_t counter[4] = {(uint32_t)k, 7, 7, 7}, x[4];
        pha__philox(seed, counter, x);
        int n = length ? length : 1 + (int)(x[0] % 40);
        if (n > N - i) n = N - i;
        const float *logits;
        OK(pha_session_feed(s, ids + i, (size_t)n, &logits));
        i += n;
        assert_int_equal(pha_session_position(s), i);
        if (memcmp(logits, whole + (int64_t)(i - 1) * V, V * sizeof *logits))
            fail_msg("%s, pieces of %d: other bits after token %d", v->name, length, i);
    }
}

static void scored(pha_session *s, const lab_variant *v, const int32_t *ids, const float *whole, int first)
{
    static float all[N * V];
    pha_session_reset(s);
    OK(pha_session_score(s, ids, (size_t)first, all));
    OK(pha_session_score(s, ids + first, (size_t)(N - first), all + first * V));
    for (int i = 0; i < N; i++) {
        if (memcmp(all + i * V, whole + i * V, V * sizeof *all))
            fail_msg("%s, scored from %d: other bits at token %d", v->name, first, i);
    }
    assert_true(s->ready);
    assert_memory_equal(s->logits, all + (N - 1) * V, V * sizeof *all);
}

static void every_model(void **state)
{
    (void)state;
    for (int i = 0; i < lab_n_variants; i++) {
        const lab_variant *v = &lab_variants[i];
        int32_t ids[N];
        pha_model *m = tiny_model(v->name, v, V, NULL);
        lab_tokens(ids, NULL, N, V, 0, (uint64_t)i);
        float *whole = tiny_logits(m, ids, N);
        pha_session *s = open_session(m, N, 16, 2);
        pieces(s, v, ids, whole, 1, 0);
        pieces(s, v, ids, whole, 17, 0);
        pieces(s, v, ids, whole, N, 0);
        for (uint64_t seed = 0; seed < 3; seed++) pieces(s, v, ids, whole, 0, seed);
        scored(s, v, ids, whole, 1);
        scored(s, v, ids, whole, 37);
        pha_session_close(s);
        pha__free(whole);
        pha_model_close(m);
    }
}

/* Goes on with the rest of the text in both sessions, token by token; everything must be equal. */
static void go_on(pha_session *a, pha_session *b, const int32_t *ids, int from)
{
    for (int i = from; i < N; i++) {
        const float *x, *y;
        OK(pha_session_feed(a, ids + i, 1, &x));
        OK(pha_session_feed(b, ids + i, 1, &y));
        same_logits(x, y);
    }
    same_states(a, b);
    assert_memory_equal(a->ids, b->ids, N * sizeof *a->ids);
}

static void copies_and_files(void **state)
{
    (void)state;
    int32_t ids[N];
    char path[400];
    lab_tokens(ids, NULL, N, V, 0, 3);
    for (int k = 0; k < 2; k++) {
        pha_model *m = tiny_model(k ? "file7" : "file", lab_find(k ? "window 7" : "default"), V, NULL);
        pha_session *a = open_session(m, N, 16, 1), *b = open_session(m, N, 32, 2), *c = open_session(m, N, 16, 1);
        pha_session *other = open_session(m, N + 64, 16, 1);
        snprintf(path, sizeof path, "%s/state", root);
        OK(pha_session_feed(a, ids, 41, NULL));
        OK(pha_session_feed(b, ids, 5, NULL));
        OK(pha_session_save(a, path));
        OK(pha_session_copy(b, a));
        same_logits(a->logits, b->logits);
        OK(pha_session_load(c, path));
        assert_int_equal(pha_session_position(c), 41);
        same_logits(a->logits, c->logits);
        if (k == 0) {
            FAILS(USAGE, "max_context", pha_session_copy(other, a));
            FAILS(BAD_INPUT, "max_context", pha_session_load(other, path));
        }
        go_on(a, b, ids, 41);
        pha_session_copy(b, c);
        pha_session_reset(a);
        OK(pha_session_feed(a, ids, 41, NULL));
        go_on(a, c, ids, 41);
        pha_session_close(a), pha_session_close(b), pha_session_close(c), pha_session_close(other);
        pha_model_close(m);
    }
}

/* Puts the checksum right, as an attacker would. */
static void sign(unsigned char *file, size_t size)
{
    pha__hasher *h = pha__hasher_open();
    pha__hasher_add(h, file, 88);
    pha__hasher_add(h, file + 96, size - 96);
    uint64_t value = pha__hasher_value(h);
    memcpy(file + 88, &value, 8);
    pha__hasher_close(h);
}

/* Writes a file with one byte changed; it is not accepted. */
static void damaged(pha_session *s, const char *path, const unsigned char *good, size_t size, size_t at,
                    unsigned char with, bool sum, const char *part)
{
    unsigned char *bad = pha__alloc(size, 1);
    memcpy(bad, good, size);
    bad[at] = with;
    if (sum) sign(bad, size);
    OK(pha__write_file(path, bad, size));
    FAILS(BAD_INPUT, part, pha_session_load(s, path));
    pha__free(bad);
}

/* Any bytes: refused, or a session that can go on. */
static void random_damage(pha_session *s, const char *path, const unsigned char *good, size_t size)
{
    unsigned char *bad = pha__alloc(size, 1);
    int accepted = 0;
    for (uint32_t i = 0; i < 400; i++) {
        memcpy(bad, good, size);
        for (uint32_t k = 0; k <= i % 5; k++) {
            uint32_t counter[4] = {i, k, 1, 1}, x[4];
            pha__philox(42, counter, x);
            bad[x[0] % (i % 2 ? size : 1024)] = (unsigned char)x[1];
        }
        sign(bad, size);
        OK(pha__write_file(path, bad, size));
        pha_status status = pha_session_load(s, path);
        if (status) assert_int_equal(status, PHA_BAD_INPUT);
        else OK(pha_session_feed(s, (int32_t[]){1, 2, 3}, 3, NULL));
        accepted += !status;
    }
    assert_in_range(accepted, 50, 399);
    pha__free(bad);
}

static void hostile_files(void **state)
{
    (void)state;
    char path[400], *good;
    size_t size;
    int32_t ids[N];
    lab_tokens(ids, NULL, N, V, 0, 4);
    pha_model *m = tiny_model("hostile", lab_find("default"), V, NULL),
              *other = tiny_model("other", lab_find("qk dot"), V, NULL);
    pha_session *s = open_session(m, N, 16, 1), *t = open_session(other, N, 16, 1);
    snprintf(path, sizeof path, "%s/hostile-state", root);
    OK(pha_session_feed(s, ids, 20, NULL));
    OK(pha_session_save(s, path));
    OK(pha__read_file(&good, &size, path, 1 << 24));
    const unsigned char *g = (const unsigned char *)good;
    OK(pha_session_load(s, path));
    FAILS(BAD_INPUT, "another model", pha_session_load(t, path));
    FAILS(USAGE, "same model", pha_session_copy(t, s));
    damaged(s, path, g, size, 0, 'x', true, "not the state");
    damaged(s, path, g, size, 8, 9, true, "version");
    damaged(s, path, g, size, 24, 1, true, "max_context"); /* state bytes */
    damaged(s, path, g, size, 64, (unsigned char)(g[64] + 1), true, "truncated"); /* bytes stored */
    damaged(s, path, g, size, 39, 0x80, true, "position");
    damaged(s, path, g, size, 32, 200, true, "position"); /* beyond the context */
    damaged(s, path, g, size, 32, 21, true, "are expected");
    damaged(s, path, g, size, 200, (unsigned char)(g[200] ^ 1), false, "checksum");
    damaged(s, path, g, size, size - 1, 0x80, true, "not the id");
    const pha__state *layout = &s->engine->state;
    int counts = 0;
    size_t at = 96;
    for (int i = 0; i < layout->n; i++) {
        const pha__state_layout *l = &layout->part[i].layout;
        if (layout->part[i].node->op->position) damaged(s, path, g, size, at + 7, 0xff, true, "has read"), counts++;
        at += l->fixed + (size_t)l->lanes * l->token * 20;
    }
    assert_int_equal(counts, 3); /* two layers and the table of angles */
    for (size_t cut = 0; cut < size; cut += cut < 100 ? 1 : size / 50) {
        OK(pha__write_file(path, good, cut));
        FAILS(BAD_INPUT, "state", pha_session_load(s, path));
    }
    assert_int_equal(pha_session_position(s), 20);
    FAILS(IO, "absent", pha_session_load(s, "/absent/absent"));
    FAILS(IO, "absent", pha_session_save(s, "/absent/absent"));
    const float *logits;
    OK(pha_session_feed(s, ids + 20, 1, &logits)); /* and it still works */
    float *whole = tiny_logits(m, ids, 21);
    same_logits(logits, whole + 20 * V);
    pha__free(whole);
    random_damage(s, path, g, size);
    pha__free(good);
    pha_session_close(s), pha_session_close(t);
    pha_model_close(m), pha_model_close(other);
}

/* Attention within chunks that the ring can hold has no end, as with a window. */
static void in_chunks(const int32_t *ids)
{
    const float *logits;
    pha_model *m = tiny_model("chunks", lab_find("local 7"), V, NULL);
    pha_session *s = open_session(m, 7, 8, 1), *short_ring = open_session(m, 6, 8, 1);
    float *whole = tiny_logits(m, ids, N);
    OK(pha_session_feed(s, ids, N, &logits));
    same_logits(logits, whole + (N - 1) * V);
    FAILS(USAGE, "context of 6", pha_session_feed(short_ring, ids, 7, NULL));
    pha__free(whole);
    pha_session_close(s), pha_session_close(short_ring);
    pha_model_close(m);
}

static void limits(void **state)
{
    (void)state;
    int32_t ids[N];
    float *all = pha__alloc(N * V, sizeof *all);
    const float *logits;
    lab_tokens(ids, NULL, N, V, 0, 5);
    pha_model *m = tiny_model("limits", lab_find("default"), V, NULL),
              *rolling = tiny_model("rolling", lab_find("window 7"), V, NULL);
    pha_session *s = open_session(m, 30, 8, 1), *r = open_session(rolling, 7, 8, 1),
                *short_ring = open_session(rolling, 6, 8, 1);
    OK(pha_session_feed(s, ids, 25, NULL));
    char *before = tiny_state(s);
    FAILS(USAGE, "context of 30", pha_session_feed(s, ids, 6, &logits));
    assert_null(logits);
    FAILS(USAGE, "context of 30", pha_session_score(s, ids, 6, all));
    FAILS(USAGE, "token 1 has the id 256", pha_session_feed(s, (int32_t[]){1, 256}, 2, NULL));
    FAILS(USAGE, "token 0 has the id -1", pha_session_feed(s, (int32_t[]){-1}, 1, NULL));
    FAILS(USAGE, "at least one", pha_session_feed(s, ids, 0, NULL));
    assert_int_equal(pha_session_position(s), 25);
    char *after = tiny_state(s);
    assert_memory_equal(before, after, tiny_used(s));
    OK(pha_session_feed(s, ids, 5, NULL));
    FAILS(USAGE, "context of 30", pha_session_feed(s, ids, 1, NULL));
    pha_session_reset(s);
    OK(pha_session_feed(s, ids, 30, NULL));
    /* a window in every layer that the ring can hold: no end */
    float *whole = tiny_logits(rolling, ids, N);
    OK(pha_session_feed(r, ids, N, &logits));
    same_logits(logits, whole + (N - 1) * V);
    FAILS(USAGE, "context of 6", pha_session_feed(short_ring, ids, 7, NULL));
    in_chunks(ids);
    pha_session *none;
    FAILS(USAGE, "chunk", pha_session_open(&none, m, &(pha_session_options){.chunk = -1}));
    assert_null(none);
    FAILS(USAGE, "max_context", pha_session_open(&none, m, &(pha_session_options){.max_context = -1}));
    pha__free(whole), pha__free(all), pha__free(before), pha__free(after);
    pha_session_close(s), pha_session_close(r), pha_session_close(short_ring);
    pha_model_close(m), pha_model_close(rolling);
}

typedef struct reader {
    pha_session *session;
    const int32_t *ids;
    float logits[V];
    pha_status status;
} reader;

static void *read_text(void *context)
{
    reader *r = context;
    for (int round = 0; round < 5; round++) {
        const float *logits = NULL;
        pha_session_reset(r->session);
        r->status = pha_session_feed(r->session, r->ids, 40, &logits);
        for (int i = 40; i < N && !r->status; i++) r->status = pha_session_feed(r->session, r->ids + i, 1, &logits);
        if (r->status) return NULL;
        memcpy(r->logits, logits, sizeof r->logits);
    }
    return NULL;
}

static void threads(void **state)
{
    (void)state;
    int32_t ids[2][N];
    pha_model *m = tiny_model("threads", lab_find("default"), V, NULL);
    static reader alone[2], together[2], three[2];
    pthread_t thread[2];
    for (int i = 0; i < 2; i++) {
        lab_tokens(ids[i], NULL, N, V, 0, 100 + (uint64_t)i);
        alone[i] = (reader){.session = open_session(m, N, 16, 1), .ids = ids[i]};
        together[i] = (reader){.session = open_session(m, N, 16, 2), .ids = ids[i]};
        three[i] = (reader){.session = open_session(m, N, 16, 3), .ids = ids[i]};
        read_text(&alone[i]);
        read_text(&three[i]);
    }
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&thread[i], NULL, read_text, &together[i]), 0);
    for (int i = 0; i < 2; i++) pthread_join(thread[i], NULL);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(alone[i].status | together[i].status | three[i].status, PHA_OK);
        same_logits(alone[i].logits, together[i].logits);
        same_logits(alone[i].logits, three[i].logits);
        same_states(alone[i].session, three[i].session);
        pha_session_close(alone[i].session), pha_session_close(together[i].session),
            pha_session_close(three[i].session);
    }
    assert_memory_not_equal(alone[0].logits, alone[1].logits, sizeof alone[0].logits);
    pha_model_close(m);
}

static pha_status open_and_close(void *model)
{
    pha_session *s = (void *)1;
    pha_status status = pha_session_open(&s, model, NULL);
    if (status) assert_null(s);
    else pha_session_close(s);
    return status;
}

/* Reading allocates nothing; every allocation of opening may fail. */
static void memory(void **state)
{
    (void)state;
    int32_t ids[N];
    pha_model *m = tiny_model("memory", lab_find("default"), V, NULL);
    lab_tokens(ids, NULL, N, V, 0, 6);
    pha_session *s = open_session(m, N, 16, 2);
    uint64_t count = pha__mem_count();
    OK(pha_session_feed(s, ids, N, NULL));
    assert_int_equal(pha__mem_count(), count);
    pha_session_close(s);
    assert_true(fail_allocations(open_and_close, m, 60) > 20);
    pha_model_close(m);
}

static int save_again(void *s) { return pha_session_save(s, in_root("saved-state")); }

/* Killed, or out of space, at every system call of a save over an older one: the file has the old state or the new. */
static void disturbed_saves(void **state)
{
    (void)state;
    static const char *const faults[] = {"PHA_FAULT_WRITE", "PHA_FAULT_ENOSPC", "PHA_FAULT_EIO"};
    char path[400];
    int32_t ids[N];
    pha_model *m = tiny_model("saved", lab_find("default"), V, NULL);
    lab_tokens(ids, NULL, N, V, 0, 6);
    pha_session *s = open_session(m, N, 16, 1), *t = open_session(m, N, 16, 1);
    snprintf(path, sizeof path, "%s/saved-state", root);
    for (int k = 0; k < 3; k++) {
        int status = 1, news = 0, olds = 0;
        pha_session_reset(s);
        OK(pha_session_feed(s, ids, 5, NULL));
        OK(pha_session_save(s, path));
        OK(pha_session_feed(s, ids + 5, 1, NULL));
        for (int n = 1; n < 50 && status; n++) {
            status = in_child(faults[k], n, save_again, s);
            assert_true(!status || status == (k ? PHA_IO : -1));
            OK(pha_session_load(t, path));
            int64_t position = pha_session_position(t);
            assert_true(position == 5 || position == 6);
            news += position == 6, olds += position == 5;
        }
        assert_true(!status && news > 0 && olds > 2);
    }
    pha_session_close(s), pha_session_close(t);
    pha_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_model), cmocka_unit_test(copies_and_files), cmocka_unit_test(hostile_files),
        cmocka_unit_test(limits),      cmocka_unit_test(threads),          cmocka_unit_test(memory),
        cmocka_unit_test(disturbed_saves),
    };
    return cmocka_run_group_tests(tests, root_setup, root_teardown);
}
