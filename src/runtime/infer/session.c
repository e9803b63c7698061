/* session.c -- reading a text piece by piece with a state of constant size
 *
 * A chunk program reads all but the last token of what is given, the step program reads the last one and gives its
 * logits, a score program gives the logits of every token (engine.c).
 */
#include "runtime/infer/session.h"

#include <inttypes.h>
#include <string.h>

#include "runtime/stop.h"

enum { MOST_IDS = 1 << 20 };

static size_t vocabulary(const pha_session *s) { return (size_t)s->engine->model->config.vocab_size; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- opening -------------------------------------------------------------------------------------------- */

static pha_status open_marks(pha__marks *m, const pha_engine *e)
{
    int64_t n = e->max_context / PHA__MARK_EVERY + 1;
    m->n = (int)least(n, PHA__MOST_MARKS);
    m->memory = pha__device_alloc(e->device, (size_t)m->n * e->state.fixed);
    m->position = pha__alloc((size_t)m->n, sizeof *m->position);
    return m->memory && m->position ? PHA_OK : PHA_NO_MEMORY;
}

static pha_status open_parts(pha_session *s)
{
    const pha_engine *e = s->engine;
    s->n_ids = least(e->max_context > PHA__RECENT ? e->max_context : PHA__RECENT, MOST_IDS);
    s->ids = pha__alloc((size_t)s->n_ids, sizeof *s->ids);
    s->logits = pha__alloc_zero(vocabulary(s), sizeof *s->logits);
    if (!s->ids || !s->logits) return PHA_NO_MEMORY;
    s->state = pha__device_alloc(e->device, e->state.bytes);
    if (!s->state || open_marks(&s->marks, e))
        FAIL(NO_MEMORY, "no memory for a state of %.1f MB (%" PRId64 " tokens); a smaller max_context needs less",
             (double)e->state.bytes / 1e6, e->max_context);
    return pha__session_clear(s);
}

pha_status pha_engine_session(pha_engine *e, pha_session **out)
{
    NEED(out, "a place for its result");
    *out = NULL;
    if (!e) FAIL(USAGE, "a session needs an engine");
    pha_session *s = pha__alloc_zero(1, sizeof *s);
    if (!s) return PHA_NO_MEMORY;
    s->engine = e;
    pha__engine_keep(e);
    pthread_mutex_lock(&e->lock);
    pha_status status = open_parts(s);
    pthread_mutex_unlock(&e->lock);
    if (status) pha_session_close(s);
    else *out = s;
    return status;
}

pha_status pha_session_open(pha_session **out, const pha_model *model, const pha_session_options *options)
{
    pha_engine_options o = {.batch = 1};
    pha_engine *e;
    NEED(out, "a place for its result");
    *out = NULL;
    if (!model) FAIL(USAGE, "a session needs a model");
    if (options) {
        o.max_context = options->max_context, o.chunk = options->chunk;
        o.threads = options->threads, o.weights = options->weights, o.cache = options->cache;
    }
    TRY(pha_engine_open(&e, model, &o));
    pha_status status = pha_engine_session(e, out);
    pha_engine_close(e); /* the session keeps it */
    return status;
}

void pha_session_close(pha_session *s)
{
    if (!s) return;
    pthread_mutex_lock(&s->engine->lock);
    pha__device_free(s->engine->device, s->state);
    pha__device_free(s->engine->device, s->marks.memory);
    pthread_mutex_unlock(&s->engine->lock);
    pha__free(s->marks.position);
    pha__free(s->ids);
    pha__free(s->logits);
    pha__engine_release(s->engine);
    pha__free(s);
}

void pha__session_forget(pha_session *s, int64_t position)
{
    for (int i = 0; i < s->marks.n; i++)
        if (position < 0 || s->marks.position[i] > position) s->marks.position[i] = -1;
}

pha_status pha__session_clear(pha_session *s)
{
    pha__session_forget(s, -1);
    s->position = s->highest = s->known = 0;
    s->ready = false;
    s->chain = (pha__chain){.page = PHA__NO_PAGE}; /* whose text it will be, pha_session_begin says */
    return pha__state_clear(&s->engine->state, s->engine->device, s->state);
}

void pha_session_reset(pha_session *s)
{
    if (!s) return;
    pthread_mutex_lock(&s->engine->lock);
    pha__session_clear(s);
    pthread_mutex_unlock(&s->engine->lock);
}

void pha_session_request_stop(pha_session *s)
{
    if (s) atomic_store(&s->stop, true);
}

void pha_session_clear_stop(pha_session *s)
{
    if (s) atomic_store(&s->stop, false);
}

/* ---- reading -------------------------------------------------------------------------------------------- */

int64_t pha__session_room(const pha_session *s)
{
    return s->engine->rolling ? INT64_MAX / 2 : s->engine->max_context - s->position;
}

pha_status pha__session_check(const pha_session *s, const int32_t *ids, size_t n)
{
    if (!s) FAIL(USAGE, "a text needs a session");
    if (!ids || n < 1) FAIL(USAGE, "at least one token must be given");
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= vocabulary(s))
            FAIL(USAGE, "token %zu has the id %d, but the model's vocabulary is 0 to %d", i, ids[i],
                 (int)vocabulary(s) - 1);
    bool all = s->engine->max_context == s->engine->longest;
    if (n > (uint64_t)pha__session_room(s) && all)
        FAIL(USAGE, "%zu tokens after the %" PRId64 " read so far exceed the %" PRId64 " positions of the model; reset "
             "the session", n, s->position, s->engine->longest);
    if (n > (uint64_t)pha__session_room(s))
        FAIL(USAGE, "%zu tokens after the %" PRId64 " read so far exceed the context of %" PRId64 " tokens; open the "
             "session with a larger max_context, or reset it", n, s->position, s->engine->max_context);
    return PHA_OK;
}

static pha_status set_mark(pha_session *s)
{
    pha__marks *m = &s->marks;
    const pha__state *layout = &s->engine->state;
    int at = (int)(s->position / PHA__MARK_EVERY % m->n);
    m->position[at] = -1;
    TRY(pha__state_mark(layout, s->engine->device, m->memory + (size_t)at * layout->fixed, s->state));
    m->position[at] = s->position;
    return PHA_OK;
}

pha_status pha__session_advance(pha_session *s, const int32_t *ids, int n)
{
    for (int i = 0; i < n; i++) s->ids[(s->position + i) % s->n_ids] = ids[i];
    s->position += n;
    if (s->highest < s->position) s->highest = s->position;
    if (s->known < s->position - s->n_ids) s->known = s->position - s->n_ids;
    if (s->engine->prefix)
        pha__prefix_add(s->engine->prefix, &s->chain, s->engine->device, s->state, s->ids, s->n_ids, s->position);
    return s->position % PHA__MARK_EVERY ? PHA_OK : set_mark(s);
}

/* The next run of up to `most` of n tokens: it ends where a mark can be set. */
static int next_run(const pha_session *s, size_t n, int32_t most)
{
    int64_t grid = most < PHA__MARK_EVERY ? PHA__MARK_EVERY : most / PHA__MARK_EVERY * PHA__MARK_EVERY;
    int64_t some = least(most, grid - s->position % grid);
    return (int)(n < (uint64_t)some ? n : (uint64_t)some);
}

/* One run; logits (n, V) of its tokens, or NULL. */
static pha_status run_locked(pha_session *s, pha__reading which, const int32_t *ids, int n, float *logits)
{
    pha_engine *e = s->engine;
    s->ready = false;
    TRY(pha__engine_reading(e, which));
    TRY(pha__exec_run(e->exec[which], 1, n, &(pha__run){.tokens = ids}, &s->state, false));
    if (logits) TRY(pha__exec_output(e->exec[which], "logits", n, logits));
    return pha__session_advance(s, ids, n);
}

static pha_status run(pha_session *s, pha__reading which, const int32_t *ids, int n, float *logits)
{
    if (atomic_load(&s->stop)) FAIL(STOPPED, "the session was asked to stop");
    pthread_mutex_lock(&s->engine->lock);
    pha_status status = run_locked(s, which, ids, n, logits);
    pthread_mutex_unlock(&s->engine->lock);
    return status;
}

pha_status pha__session_read(pha_session *s, const int32_t *ids, size_t n, bool stoppable)
{
    TRY(pha__session_check(s, ids, n));
    for (size_t i = 0; i + 1 < n;) {
        if (stoppable && pha__stop_requested()) FAIL(STOPPED, "asked to stop");
        int some = next_run(s, n - 1 - i, s->engine->chunk);
        TRY(run(s, PHA__CHUNK, ids + i, some, NULL));
        i += (size_t)some;
    }
    if (stoppable && pha__stop_requested()) FAIL(STOPPED, "asked to stop");
    TRY(run(s, PHA__STEP, ids + n - 1, 1, s->logits));
    s->ready = true;
    return PHA_OK;
}

pha_status pha_session_feed(pha_session *s, const int32_t *ids, size_t n, const float **logits)
{
    if (logits) *logits = NULL;
    TRY(pha__session_read(s, ids, n, false));
    if (logits) *logits = s->logits;
    return PHA_OK;
}

pha_status pha_session_score(pha_session *s, const int32_t *ids, size_t n, float *all_logits)
{
    if (!all_logits) FAIL(USAGE, "pha_session_score needs room for the logits");
    TRY(pha__session_check(s, ids, n));
    size_t V = vocabulary(s);
    for (size_t i = 0; i < n;) {
        int some = next_run(s, n - i, (int32_t)least(s->engine->chunk, PHA__MARK_EVERY));
        TRY(run(s, PHA__SCORE, ids + i, some, all_logits + i * V));
        i += (size_t)some;
    }
    memcpy(s->logits, all_logits + (n - 1) * V, V * sizeof *s->logits);
    s->ready = true;
    return PHA_OK;
}

pha_status pha_session_read(pha_session *s, const int32_t *ids, size_t n)
{
    TRY(pha__session_check(s, ids, n));
    for (size_t i = 0; i < n;) {
        int some = next_run(s, n - i, s->engine->chunk);
        TRY(run(s, PHA__CHUNK, ids + i, some, NULL));
        i += (size_t)some;
    }
    return PHA_OK;
}

int64_t pha_session_position(const pha_session *s) { return s ? s->position : 0; }
size_t pha_session_state_bytes(const pha_session *s) { return s ? s->engine->state.bytes : 0; }

size_t pha__session_recent(const pha_session *s, int32_t *out, size_t n)
{
    size_t known = (size_t)(s->position - s->known);
    if (n > known) n = known;
    for (size_t i = 0; i < n; i++) out[i] = s->ids[(s->position - (int64_t)(n - i)) % s->n_ids];
    return n;
}
