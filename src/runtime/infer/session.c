/* session.c -- reading a text piece by piece with a state of constant size
 *
 * The same model is recorded three times over one layout of state: a chunk program reads all but the last token of what
 * it is given, a step program reads the last one and gives its logits, a score program gives the logits of every token.
 */
#include "runtime/infer/session.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "runtime/stop.h"

enum { MOST_CHUNK = 65536, SCORE = 64 };
static const int64_t MOST_CONTEXT = (int64_t)1 << 40;

/* ---- opening -------------------------------------------------------------------------------------------- */

static int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }

static pha_status open_program(pha_session *s, int which)
{
    static const pha__head heads[] = {PHA__HEAD_NONE, PHA__HEAD_LOGITS, PHA__HEAD_LOGITS};
    const int32_t lengths[] = {s->chunk, 1, least(s->chunk, SCORE)};
    pha__program_options o = {.B = 1, .T = lengths[which], .max_context = s->max_context, .dtype = PHA__F32};
    TRY(pha__record(&s->program[which], &s->model->config, &o, heads[which]));
    if (which != PHA__SESSION_CHUNK && s->program[which]->state != s->state_bytes)
        FAIL(FAILED, "the programs of a session disagree on its state: %zu and %zu bytes", s->state_bytes,
             s->program[which]->state);
    return pha__exec_open(&s->exec[which], s->program[which], s->weights.store, s->device);
}

/* A layer with attention looks back no further than its window, and its ring holds at least that. */
static bool rolls(const pha__config *c, int64_t max_context)
{
    if (!(c->branches & PHA__BRANCH_ATTN)) return true;
    for (int i = 0; i < c->n_layer; i++)
        if (c->window[i] == 0 || c->window[i] > max_context) return false;
    return true;
}

/* Tells models apart: the configuration, the number of parameters, and the first numbers of every parameter. */
static pha_status fingerprint(uint64_t *out, const pha_model *m)
{
    pha__config_rules rules = pha__rules();
    json_t *json = pha__config_to_json(&m->config, &rules);
    char *text = json ? json_dumps(json, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
    json_decref(json);
    if (!text) FAIL(NO_MEMORY, "no memory for the fingerprint of a model");
    uint64_t hash = pha__hash(text, strlen(text), m->names->parameters);
    free(text);
    for (int i = 0; i < m->names->n_params; i++) {
        int64_t n = pha__param_size(m->names, i);
        pha__place at = pha__store_at(m->store, PHA__WEIGHT, i);
        hash = pha__hash(at.data, (size_t)(n < 64 ? n : 64) * pha__dtype_size(at.format), hash);
    }
    *out = hash;
    return PHA_OK;
}

static pha_status open_parts(pha_session *s, const pha_session_options *o)
{
    TRY(pha__device_open(&s->device, NULL, o->threads));
    TRY(fingerprint(&s->fingerprint, s->model));
    TRY(pha__weights_place(&s->weights, &s->model->config, s->model->store, s->device, PHA__F32));
    s->logits = pha__alloc_zero((size_t)s->model->config.vocab_size, sizeof *s->logits);
    if (!s->logits) return PHA_NO_MEMORY;
    TRY(open_program(s, PHA__SESSION_CHUNK));
    s->state_bytes = s->program[PHA__SESSION_CHUNK]->state;
    TRY(open_program(s, PHA__SESSION_STEP));
    s->state = pha__device_alloc(s->device, s->state_bytes);
    if (!s->state)
        FAIL(NO_MEMORY, "no memory for a state of %.1f MB (%" PRId64 " tokens); a smaller max_context needs less",
             (double)s->state_bytes / 1e6, s->max_context);
    return pha__fill(s->device, s->state, 0, s->state_bytes);
}

pha_status pha_session_open(pha_session **out, const pha_model *model, const pha_session_options *options)
{
    static const pha_session_options defaults;
    const pha_session_options *o = options ? options : &defaults;
    *out = NULL;
    if (!model) FAIL(USAGE, "a session needs a model");
    if (o->max_context < 0 || o->max_context > MOST_CONTEXT)
        FAIL(USAGE, "max_context is %" PRId64 ", not in 1 to %" PRId64, o->max_context, MOST_CONTEXT);
    if (o->chunk < 0 || o->chunk > MOST_CHUNK) FAIL(USAGE, "chunk is %d, not in 1 to %d", o->chunk, MOST_CHUNK);
    pha_session *s = pha__alloc_zero(1, sizeof *s);
    if (!s) return PHA_NO_MEMORY;
    s->model = model;
    s->max_context = o->max_context ? o->max_context : 4096;
    s->chunk = o->chunk ? o->chunk : 256;
    s->rolling = rolls(&model->config, s->max_context);
    pha_status status = open_parts(s, o);
    if (status) pha_session_close(s);
    else *out = s;
    return status;
}

void pha_session_close(pha_session *s)
{
    if (!s) return;
    for (int i = 0; i < PHA__SESSION_PROGRAMS; i++) {
        pha__exec_close(s->exec[i]);
        pha__program_close(s->program[i]);
    }
    pha__device_free(s->device, s->state);
    pha__weights_close(&s->weights);
    pha__device_close(s->device);
    pha__free(s->logits);
    pha__free(s);
}

void pha_session_reset(pha_session *s)
{
    pha__fill(s->device, s->state, 0, s->state_bytes);
    s->position = 0;
    s->ready = false;
}

/* ---- reading -------------------------------------------------------------------------------------------- */

int64_t pha__session_room(const pha_session *s) { return s->rolling ? INT64_MAX / 2 : s->max_context - s->position; }

static pha_status check_ids(const pha_session *s, const int32_t *ids, size_t n)
{
    int32_t V = s->model->config.vocab_size;
    if (!ids || n < 1) FAIL(USAGE, "at least one token must be given");
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= V)
            FAIL(USAGE, "token %zu has the id %d, but the model's vocabulary is 0 to %d", i, ids[i], V - 1);
    if (n > (uint64_t)pha__session_room(s))
        FAIL(USAGE, "%zu tokens after the %" PRId64 " read so far exceed the context of %" PRId64 " tokens; open the "
             "session with a larger max_context, or reset it", n, s->position, s->max_context);
    return PHA_OK;
}

static pha_status run(pha_session *s, int which, const int32_t *ids, int n)
{
    pha__run r = {.tokens = ids};
    s->ready = false;
    TRY(pha__exec_run(s->exec[which], 1, n, &r, &s->state, false));
    for (int i = 0; i < n; i++) s->recent[(s->position + i) % PHA__RECENT] = ids[i];
    s->position += n;
    return PHA_OK;
}


pha_status pha__session_read(pha_session *s, const int32_t *ids, size_t n, bool stoppable)
{
    TRY(check_ids(s, ids, n));
    for (size_t i = 0; i + 1 < n;) {
        if (stoppable && pha__stop_requested()) FAIL(STOPPED, "asked to stop");
        size_t left = n - 1 - i, some = left < (size_t)s->chunk ? left : (size_t)s->chunk;
        TRY(run(s, PHA__SESSION_CHUNK, ids + i, (int)some));
        i += some;
    }
    if (stoppable && pha__stop_requested()) FAIL(STOPPED, "asked to stop");
    TRY(run(s, PHA__SESSION_STEP, ids + n - 1, 1));
    TRY(pha__exec_output(s->exec[PHA__SESSION_STEP], "logits", 1, s->logits));
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
    size_t V = (size_t)s->model->config.vocab_size, T = (size_t)least(s->chunk, SCORE);
    if (!all_logits) FAIL(USAGE, "pha_session_score needs room for the logits");
    TRY(check_ids(s, ids, n));
    if (!s->exec[PHA__SESSION_SCORE]) {
        pha__program_close(s->program[PHA__SESSION_SCORE]); /* of an attempt that ran out of memory */
        s->program[PHA__SESSION_SCORE] = NULL;
        TRY(open_program(s, PHA__SESSION_SCORE));
    }
    for (size_t i = 0; i < n; i += T) {
        size_t some = n - i < T ? n - i : T;
        TRY(run(s, PHA__SESSION_SCORE, ids + i, (int)some));
        TRY(pha__exec_output(s->exec[PHA__SESSION_SCORE], "logits", (int64_t)some, all_logits + i * V));
    }
    memcpy(s->logits, all_logits + (n - 1) * V, V * sizeof *s->logits);
    s->ready = true;
    return PHA_OK;
}

int64_t pha_session_position(const pha_session *s) { return s->position; }
size_t pha_session_state_bytes(const pha_session *s) { return s->state_bytes; }

size_t pha__session_recent(const pha_session *s, int32_t *out, size_t n)
{
    if (n > PHA__RECENT) n = PHA__RECENT;
    if ((uint64_t)s->position < n) n = (size_t)s->position;
    for (size_t i = 0; i < n; i++) out[i] = s->recent[(s->position - (int64_t)(n - i)) % PHA__RECENT];
    return n;
}

pha_status pha_session_copy(pha_session *to, const pha_session *from)
{
    if (to == from) return PHA_OK;
    if (to->fingerprint != from->fingerprint)
        FAIL(USAGE, "state can only be copied between sessions of the same model");
    if (to->max_context != from->max_context || to->state_bytes != from->state_bytes)
        FAIL(USAGE,
             "state can only be copied between sessions of the same max_context, not from %" PRId64 " to %" PRId64,
             from->max_context, to->max_context);
    TRY(to->device->backend->copy(to->device, to->state, from->state, to->state_bytes));
    memcpy(to->logits, from->logits, (size_t)to->model->config.vocab_size * sizeof *to->logits);
    memcpy(to->recent, from->recent, sizeof to->recent);
    to->position = from->position;
    to->ready = from->ready;
    return PHA_OK;
}
