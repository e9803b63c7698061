/* session_move.c -- going back in a text, and copies of a session */
#include <inttypes.h>
#include <string.h>

#include "base/hash.h"
#include "runtime/infer/session.h"

/* ---- back ----------------------------------------------------------------------------------------------- */

/* The last position before `wanted` from which a session can go on: a mark whose rings are still whole, or the start;
 * -1: none whose tokens are known. At least one token is read again, for its logits. */
static int64_t start_of(const pha_session *s, int64_t wanted)
{
    const pha__marks *m = &s->marks;
    if (wanted == 0) return 0;
    for (int64_t p = (wanted - 1) / PHA__MARK_EVERY * PHA__MARK_EVERY; p > 0 && p >= s->known; p -= PHA__MARK_EVERY) {
        if (!pha__state_reaches(&s->engine->state, s->highest, p)) break;
        if (m->position[p / PHA__MARK_EVERY % m->n] == p) return p;
    }
    return s->known == 0 ? 0 : -1;
}

static pha_status return_to(pha_session *s, int64_t start)
{
    const pha__state *layout = &s->engine->state;
    s->ready = false;
    s->chain.page = PHA__NO_PAGE; /* the pages behind `start` are another text's from here on */
    if (start == 0) return pha__session_clear(s);
    const char *mark = s->marks.memory + (size_t)(start / PHA__MARK_EVERY % s->marks.n) * layout->fixed;
    TRY(pha__state_return(layout, s->engine->device, s->state, mark));
    s->position = start;
    pha__session_forget(s, start);
    return PHA_OK;
}

pha_status pha_session_rewind(pha_session *s, int64_t position)
{
    if (!s) FAIL(USAGE, "a text needs a session");
    if (position < 0 || position > s->position)
        FAIL(USAGE, "a session of %" PRId64 " tokens can't go back to %" PRId64, s->position, position);
    if (position == s->position) return PHA_OK;
    if (position && atomic_load(&s->stop)) FAIL(STOPPED, "the session was asked to stop");
    int64_t start = start_of(s, position), n = position - start;
    if (start < 0)
        FAIL(USAGE, "the session can't go back from %" PRId64 " to %" PRId64 " tokens: the tokens before %" PRId64
             " are not known any more", s->position, position, s->known);
    int32_t *ids = pha__alloc((size_t)n + 1, sizeof *ids);
    if (!ids) return PHA_NO_MEMORY;
    for (int64_t i = 0; i < n; i++) ids[i] = s->ids[(start + i) % s->n_ids];
    pthread_mutex_lock(&s->engine->lock);
    pha_status status = return_to(s, start);
    pthread_mutex_unlock(&s->engine->lock);
    if (!status && n) status = pha__session_read(s, ids, (size_t)n, false);
    pha__free(ids);
    return status;
}

/* ---- to what has been read already ------------------------------------------------------------------------- */

const char *pha_miss_text(pha_miss miss)
{
    static const char *const texts[] = {"none", "first_use", "short", "differs", "evicted", "disabled", "no_room",
                                        "damaged", "other_model"};
    return (unsigned)miss < sizeof texts / sizeof *texts ? texts[miss] : "";
}

static pha_status begin(pha_session *s, const int32_t *ids, size_t n, const char *tenant, pha_reuse *reuse)
{
    pha_engine *e = s->engine;
    TRY(pha__session_clear(s));
    if (!e->prefix) return PHA_OK;
    const char *name = tenant ? tenant : "";
    s->chain = (pha__chain){.page = PHA__ROOT, .root = pha__prefix_root(name)};
    TRY(pha__prefix_find(e->prefix, &s->chain, e->device, s->state, ids, n, reuse));
    int64_t from = reuse->tokens > s->n_ids ? reuse->tokens - s->n_ids : 0;
    for (int64_t i = from; i < reuse->tokens; i++) s->ids[i % s->n_ids] = ids[i];
    s->position = s->highest = reuse->tokens, s->known = from;
    return PHA_OK;
}

pha_status pha_session_begin(pha_session *s, const int32_t *ids, size_t n, const char *tenant, pha_reuse *reuse)
{
    pha_reuse unused, *r = reuse ? reuse : &unused;
    *r = (pha_reuse){.miss = PHA_MISS_DISABLED};
    if (!s) FAIL(USAGE, "a text needs a session");
    if (!ids || n < 1) FAIL(USAGE, "at least one token must be given");
    pthread_mutex_lock(&s->engine->lock);
    pha_status status = begin(s, ids, n, tenant, r);
    if (status) { /* half of a state is none */
        pha__session_clear(s);
        *r = (pha_reuse){.miss = PHA_MISS_DISABLED};
    }
    pthread_mutex_unlock(&s->engine->lock);
    return status;
}

pha_status pha_engine_recall(pha_engine *e, const int32_t *ids, size_t n, const char *tenant, int64_t *tokens)
{
    if (tokens) *tokens = 0;
    if (!e) FAIL(USAGE, "a text needs an engine");
    if (!ids || n < 1) FAIL(USAGE, "at least one token must be given");
    int64_t came = e->prefix ? pha__prefix_recall(e->prefix, pha__prefix_root(tenant ? tenant : ""), ids, n) : 0;
    if (tokens) *tokens = came;
    return PHA_OK;
}

void pha_engine_get_texts(const pha_engine *e, pha_texts_info *info)
{
    if (!info) return;
    *info = (pha_texts_info){0};
    if (e && e->prefix) pha__prefix_count(e->prefix, info);
}

/* ---- copies --------------------------------------------------------------------------------------------- */

static pha_status copy_marks(pha_session *to, const pha_session *from)
{
    pha__device *d = to->engine->device;
    size_t size = from->engine->state.fixed;
    for (int i = 0; i < from->marks.n; i++) {
        to->marks.position[i] = from->marks.position[i];
        if (from->marks.position[i] < 0) continue;
        TRY(d->backend->copy(d, to->marks.memory + (size_t)i * size, from->marks.memory + (size_t)i * size, size));
    }
    return PHA_OK;
}

/* The engines have one layout of state: the same model and max_context. */
static pha_status copy(pha_session *to, const pha_session *from)
{
    to->ready = false;
    to->chain.page = PHA__NO_PAGE;
    TRY(pha__state_copy(&to->engine->state, to->engine->device, to->state, from->state, from->position));
    TRY(copy_marks(to, from));
    memcpy(to->logits, from->logits, (size_t)to->engine->model->config.vocab_size * sizeof *to->logits);
    for (int64_t i = from->known; i < from->position; i++) to->ids[i % to->n_ids] = from->ids[i % from->n_ids];
    to->position = from->position, to->highest = from->highest, to->known = from->known;
    to->ready = from->ready;
    if (to->engine == from->engine) to->chain = from->chain;
    return PHA_OK;
}

pha_status pha_session_copy(pha_session *to, const pha_session *from)
{
    if (!to || !from) FAIL(USAGE, "a copy needs two sessions");
    const pha_engine *a = to->engine, *b = from->engine;
    if (to == from) return PHA_OK;
    if (a->fingerprint != b->fingerprint) FAIL(USAGE, "state can only be copied between sessions of the same model");
    if (a->max_context != b->max_context || a->state.bytes != b->state.bytes)
        FAIL(USAGE,
             "state can only be copied between sessions of the same max_context, not from %" PRId64 " to %" PRId64,
             b->max_context, a->max_context);
    if (a->device->backend != b->device->backend)
        FAIL(USAGE, "state can only be copied between sessions on devices of one kind");
    pthread_mutex_lock(&to->engine->lock);
    pha_status status = copy(to, from);
    if (status) pha__session_clear(to); /* half of a state is none */
    pthread_mutex_unlock(&to->engine->lock);
    return status;
}

pha_status pha_session_fork(pha_session **out, const pha_session *from)
{
    NEED(out, "a place for its result");
    *out = NULL;
    if (!from) FAIL(USAGE, "a fork needs a session");
    TRY(pha_engine_session(from->engine, out));
    pha_status status = pha_session_copy(*out, from);
    if (!status) return PHA_OK;
    pha_session_close(*out);
    *out = NULL;
    return status;
}
