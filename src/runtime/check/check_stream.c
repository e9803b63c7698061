/* check_stream.c -- a text at once, in pieces, beside others, from copies and files, on other threads and kernels
 *
 * What everything is compared with are the logits of a program without state that reads the whole text in one run.
 */
#include <math.h>
#include <string.h>

#include "base/fs.h"
#include "runtime/check/check.h"

enum { TEXT = 96, LONG_TEXT = 700, FEW = 32, SESSIONS = 4 };
static const double ISA_LIMIT = 2e-5; /* E2 of logits */

typedef struct pha__check_text {
    const pha_model *model;
    const char *folder; /* for files */
    int32_t n;
    size_t V;
    int32_t *ids;
    float *want, *got; /* (n, V): at once, and otherwise */
    pha_engine *engine;
    pha_session *a, *b;
} text;

/* Logits of the whole text from one run without state. */
static pha_status at_once(const text *t, const char *device_name, int threads, int32_t n, float *out)
{
    pha__program_options o = {.B = 1, .T = n, .dtype = PHA__F32};
    pha__program *p = NULL;
    pha__exec *e = NULL;
    pha__weights w = {0};
    pha__device *device;
    TRY(pha__device_open(&device, device_name, threads));
    pha_status status = pha__weights_place(&w, &t->model->config, t->model->store, device, PHA__F32,
                                           PHA_WEIGHTS_DEFAULT);
    if (!status) status = pha__record(&p, &t->model->config, &o, PHA__HEAD_LOGITS);
    if (!status) status = pha__exec_open(&e, p, w.store, device);
    if (!status) status = pha__exec_run(e, 1, n, &(pha__run){.tokens = t->ids}, NULL, false);
    if (!status) status = pha__exec_output(e, "logits", n, out);
    pha__exec_close(e);
    pha__program_close(p);
    pha__weights_close(&w);
    pha__device_close(device);
    return status;
}

static pha_status open_text(text *t, const pha_model *model, int32_t n)
{
    int64_t longest = pha__longest_text(model->names);
    *t = (text){.model = model, .n = n < longest ? n : (int32_t)longest, .V = (size_t)model->config.vocab_size};
    size_t size = (size_t)t->n * t->V;
    t->ids = pha__alloc((size_t)t->n, sizeof *t->ids);
    t->want = pha__alloc(size, sizeof *t->want);
    t->got = pha__alloc_zero(size, sizeof *t->got);
    if (!t->ids || !t->want || !t->got) return PHA_NO_MEMORY;
    pha__check_tokens(t->ids, t->n, (int32_t)t->V, 5);
    return PHA_OK;
}

static pha_status open_sessions(text *t, int threads)
{
    pha_engine_options o = {.max_context = t->n, .chunk = 64, .batch = SESSIONS, .threads = threads};
    TRY(at_once(t, NULL, threads, t->n, t->want));
    TRY(pha_engine_open(&t->engine, t->model, &o));
    TRY(pha_engine_session(t->engine, &t->a));
    return pha_engine_session(t->engine, &t->b);
}

static void close_text(text *t)
{
    pha_session_close(t->a);
    pha_session_close(t->b);
    pha_engine_close(t->engine);
    pha__free(t->ids);
    pha__free(t->want);
    pha__free(t->got);
}

/* The first token of [from, to) whose logits have other bits; -1: none. */
static int64_t other(const text *t, const float *got, int64_t from, int64_t to)
{
    for (int64_t i = from; i < to; i++)
        if (memcmp(got + (i - from) * (int64_t)t->V, t->want + i * (int64_t)t->V, t->V * sizeof *got)) return i;
    return -1;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

void pha__check_close_text(pha__check *c)
{
    if (c->text) close_text(c->text);
    pha__free(c->text);
    c->text = NULL;
}

/* Opens the text of a model. */
static pha_status need_text(pha__check *c, const pha_model *m, int32_t n)
{
    if (c->text) return PHA_OK;
    c->text = pha__alloc_zero(1, sizeof *c->text);
    if (!c->text) return PHA_NO_MEMORY;
    TRY(open_text(c->text, m, n));
    c->text->folder = c->work;
    return open_sessions(c->text, c->o->threads);
}

/* Tries it on the text that the first checks share, with both sessions at its beginning. */
static pha_status on_text(pha__check *c, pha__finding *f, pha_status (*attempt)(text *t, pha__finding *f))
{
    pha_status status = need_text(c, c->model, TEXT);
    if (status) return pha__check_close_text(c), status;
    pha_session_reset(c->text->a);
    pha_session_reset(c->text->b);
    return attempt(c->text, f);
}

/* ---- cuts -------------------------------------------------------------------------------------------------- */

/* All of the text in pieces of `size` tokens behind one of `first`; the last logits of each piece are compared. */
static pha_status feed_in(text *t, int64_t first, int64_t size, int64_t *bad)
{
    pha_session_reset(t->a);
    for (int64_t i = 0, n; i < t->n && *bad < 0; i += n) {
        const float *logits;
        n = least(i == 0 && first ? first : size, t->n - i);
        TRY(pha_session_feed(t->a, t->ids + i, (size_t)n, &logits));
        *bad = other(t, logits, i + n - 1, i + n);
    }
    return PHA_OK;
}

static pha_status cuts(text *t, pha__finding *f)
{
    static const int sizes[] = {64, 7, 1}, firsts[] = {1, 2, 31, 63, 65};
    int64_t bad;
    TRY(pha_session_score(t->a, t->ids, (size_t)t->n, t->got));
    bad = other(t, t->got, 0, t->n);
    for (int k = 0; k < 3 && bad < 0; k++) {
        int32_t all = t->n;
        if (sizes[k] == 1 && t->n <= TEXT) t->n = (int32_t)least(t->n, FEW); /* a large model is slow at them */
        pha_status status = feed_in(t, 0, sizes[k], &bad);
        t->n = all;
        TRY(status);
    }
    for (int k = 0; k < 5 && bad < 0; k++) TRY(feed_in(t, firsts[k], t->n, &bad));
    if (bad < 0) pha__check_same(f, true, "%d tokens at once, in pieces and one by one, cut in 9 ways", t->n);
    else pha__check_same(f, false, "token %d has other logits in pieces than at once", (int)bad);
    return PHA_OK;
}

pha_status pha__try_cuts(pha__check *c, pha__finding *f)
{
    return on_text(c, f, cuts);
}

pha_status pha__try_long(pha__check *c, pha__finding *f)
{
    pha__check_close_text(c);
    pha_status status = need_text(c, c->small, LONG_TEXT);
    if (!status) status = cuts(c->text, f);
    pha__check_close_text(c);
    return status;
}

/* ---- sessions beside each other, copies, files -------------------------------------------------------------- */

/* Sessions at different places take steps together. */
static pha_status together(text *t, pha__finding *f)
{
    enum { STEPS = 3 };
    pha_session *all[SESSIONS] = {t->a, t->b};
    int64_t at[SESSIONS], bad = -1;
    int32_t ids[SESSIONS];
    pha_status status = PHA_OK;
    for (int i = 2; i < SESSIONS && !status; i++) status = pha_engine_session(t->engine, &all[i]);
    for (int i = 0; i < SESSIONS && !status; i++) {
        at[i] = (1 + 13 * i) % (t->n - STEPS);
        if (at[i]) status = pha_session_feed(all[i], t->ids, (size_t)at[i], NULL);
    }
    for (int k = 0; k < STEPS && !status && bad < 0; k++) {
        for (int i = 0; i < SESSIONS; i++) ids[i] = t->ids[at[i]];
        status = pha_engine_step(t->engine, all, ids, SESSIONS, t->got);
        for (int i = 0; i < SESSIONS && bad < 0; i++, at[i - 1]++)
            bad = other(t, t->got + (size_t)i * t->V, at[i], at[i] + 1);
    }
    for (int i = 2; i < SESSIONS; i++) pha_session_close(all[i]);
    TRY(status);
    if (bad < 0) pha__check_same(f, true, "%d sessions at different places, %d steps together", SESSIONS, STEPS);
    else pha__check_same(f, false, "a session beside others has other logits at token %d", (int)bad);
    return PHA_OK;
}

pha_status pha__try_together(pha__check *c, pha__finding *f)
{
    return on_text(c, f, together);
}

/* Back to an earlier place and on from there, in the session itself and in a copy. */
static pha_status moves(text *t, pha__finding *f)
{
    int64_t back = t->n / 3, bad;
    const float *logits;
    TRY(pha_session_feed(t->a, t->ids, (size_t)t->n, NULL));
    TRY(pha_session_rewind(t->a, back));
    TRY(pha_session_copy(t->b, t->a));
    TRY(pha_session_feed(t->a, t->ids + back, (size_t)(t->n - back), &logits));
    bad = other(t, logits, t->n - 1, t->n);
    if (bad < 0) TRY(pha_session_feed(t->b, t->ids + back, (size_t)(t->n - back), &logits));
    if (bad < 0) bad = other(t, logits, t->n - 1, t->n);
    if (bad < 0)
        pha__check_same(f, true, "from token %d back to %d and on, in the session and in a copy", t->n, (int)back);
    else pha__check_same(f, false, "a session that went back to token %d goes on otherwise", (int)back);
    return PHA_OK;
}

pha_status pha__try_moves(pha__check *c, pha__finding *f)
{
    return on_text(c, f, moves);
}

static pha_status saved(text *t, pha__finding *f)
{
    int64_t half = t->n / 2;
    const float *logits;
    char *path = pha__path_join(t->folder, "state");
    if (!path) return PHA_NO_MEMORY;
    pha_status status = pha_session_feed(t->a, t->ids, (size_t)half, NULL);
    if (!status) status = pha_session_save(t->a, path);
    if (!status) status = pha_session_load(t->b, path);
    pha__free(path);
    TRY(status);
    TRY(pha_session_feed(t->b, t->ids + half, (size_t)(t->n - half), &logits));
    if (other(t, logits, t->n - 1, t->n) < 0)
        pha__check_same(f, true, "%d tokens read, the state saved and loaded, %d more", (int)half, (int)(t->n - half));
    else pha__check_same(f, false, "behind %d tokens the loaded state goes on otherwise", (int)half);
    return PHA_OK;
}

pha_status pha__try_saved(pha__check *c, pha__finding *f) { return on_text(c, f, saved); }

/* ---- threads, instruction sets -------------------------------------------------------------------------------- */

static pha_status all_threads(text *t, pha__finding *f)
{
    static const int counts[] = {1, 2, 3, 7};
    for (int k = 0; k < 4; k++) {
        TRY(at_once(t, NULL, counts[k], t->n, k ? t->got : t->want));
        if (k && other(t, t->got, 0, t->n) >= 0) {
            pha__check_same(f, false, "%d threads give other logits than one", counts[k]);
            return PHA_OK;
        }
    }
    pha__check_same(f, true, "%d tokens on 1, 2, 3 and 7 threads", t->n);
    return PHA_OK;
}

static double e2(const float *x, const float *y, size_t n)
{
    double error = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        error += ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
        size += (double)y[i] * y[i];
    }
    double out = error > 0 ? sqrt(error / size) : error;
    return isfinite(out) ? out : INFINITY;
}

static pha_status all_isas(text *t, pha__finding *f)
{
    const char *isa, *worst = "";
    int n = 0;
    f->limit = ISA_LIMIT;
    TRY(at_once(t, "cpu", 0, t->n, t->want));
    for (; (isa = pha__host_isa_at((size_t)n)); n++) {
        char name[40];
        pha__print(name, sizeof name, "cpu:%s", isa);
        TRY(at_once(t, name, 0, t->n, t->got));
        double x = e2(t->got, t->want, (size_t)t->n * t->V);
        if (x >= f->error) f->error = x, worst = isa;
    }
    f->passed = f->error <= f->limit;
    pha__print(f->text, sizeof f->text, "%d tokens with the kernels of %d sets against %s; furthest: %s", t->n, n,
               pha__host_isa(), worst);
    return PHA_OK;
}

static pha_status without_sessions(const pha_model *m, pha__finding *f, pha_status (*attempt)(text *, pha__finding *))
{
    text t;
    pha_status status = open_text(&t, m, FEW);
    if (!status) status = attempt(&t, f);
    close_text(&t);
    return status;
}

pha_status pha__try_threads(pha__check *c, pha__finding *f) { return without_sessions(c->model, f, all_threads); }
pha_status pha__try_isas(pha__check *c, pha__finding *f) { return without_sessions(c->model, f, all_isas); }
