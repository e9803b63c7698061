/* generate.c -- from a prompt to text: sampling, stop strings, whole characters */
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/utf8.h"
#include "runtime/infer/sample.h"
#include "runtime/infer/session.h"
#include "runtime/stop.h"

enum { END_MAX, END_TEXT, END_STRING, END_CALLER, END_FULL, END_ASKED };

typedef struct generation {
    pha_session *session;
    const pha__tokenizer *tokenizer;
    const pha_generate_options *o;
    pha_generate_result *result;
    pha__choice *work;       /* (V) */
    int32_t V;               /* ids of the tokenizer; a model may have rows that no text uses */
    int32_t *recent;         /* for the repetition penalty */
    size_t n_recent, recent_capacity;
    pha__str pending;        /* bytes not yet delivered */
} generation;

/* ---- text out ------------------------------------------------------------------------------------------- */

/* Where the first stop string begins in the pending text; its size if there is none. */
static size_t find_stop(const generation *g)
{
    size_t first = g->pending.size;
    for (size_t i = 0; i < g->o->n_stop; i++) {
        const char *at = memmem(g->pending.data, g->pending.size, g->o->stop[i], strlen(g->o->stop[i]));
        if (at && (size_t)(at - g->pending.data) < first) first = (size_t)(at - g->pending.data);
    }
    return first;
}

/* The longest end of the pending text with which a stop string may begin. */
static size_t held_back(const generation *g)
{
    size_t most = 0;
    for (size_t i = 0; i < g->o->n_stop; i++) {
        size_t length = strlen(g->o->stop[i]), n = length - 1 < g->pending.size ? length - 1 : g->pending.size;
        while (n > most && memcmp(g->pending.data + g->pending.size - n, g->o->stop[i], n)) n--;
        most = n > most ? n : most;
    }
    return most;
}

/* Delivers whole characters of the first n pending bytes; false: the caller wants no more. */
static bool deliver(generation *g, size_t n)
{
    n = pha__utf8_whole((const unsigned char *)g->pending.data, n);
    if (n == 0) return true;
    bool more = !g->o->text || g->o->text(g->o->user, g->pending.data, n);
    memmove(g->pending.data, g->pending.data + n, g->pending.size - n);
    g->pending.size -= n;
    return more;
}

/* Adds a token's text and delivers what is certain; *end is set if that ends the generation. */
static pha_status add_text(generation *g, int32_t id, int *end)
{
    size_t size, at;
    const unsigned char *bytes = pha__tokenizer_bytes(g->tokenizer, id, &size);
    if (!bytes || size == 0) return PHA_OK;
    pha__str_add(&g->pending, bytes, size);
    if (g->pending.failed) FAIL(NO_MEMORY, "no memory for the text");
    if ((at = find_stop(g)) < g->pending.size) {
        *end = deliver(g, at) ? END_STRING : END_CALLER;
        g->pending.size = 0;
    } else if (!deliver(g, g->pending.size - held_back(g))) {
        *end = END_CALLER;
        g->pending.size = 0;
    }
    return PHA_OK;
}

/* ---- tokens --------------------------------------------------------------------------------------------- */

static pha_status remember(generation *g, const int32_t *ids, size_t n)
{
    if (g->n_recent + n > g->recent_capacity) {
        size_t capacity = 2 * (g->n_recent + n) + PHA__RECENT;
        int32_t *grown = pha__realloc(g->recent, capacity, sizeof *grown);
        if (!grown) return PHA_NO_MEMORY;
        g->recent = grown, g->recent_capacity = capacity;
    }
    memcpy(g->recent + g->n_recent, ids, n * sizeof *ids);
    g->n_recent += n;
    return PHA_OK;
}

/* With what an engine that keeps texts knows of this one. */
static pha_status begin(generation *g, const int32_t *ids, size_t n)
{
    g->result->reuse.miss = PHA_MISS_DISABLED;
    if (!g->session->engine->prefix) return PHA_OK;
    TRY(pha__session_check(g->session, ids, n));
    TRY(pha_engine_recall(g->session->engine, ids, n, NULL, NULL));
    return pha_session_begin(g->session, ids, n, NULL, &g->result->reuse);
}

static pha_status read_ids(generation *g, const int32_t *ids, size_t n)
{
    int32_t end = pha__tokenizer_eot(g->tokenizer);
    if (n == 0 && g->session->position == 0) {
        if (end < 0)
            FAIL(USAGE, "the prompt is empty and no end token is known in the tokenizer to begin with; give a prompt");
        ids = &end, n = 1;
    }
    if (n == 0 && !g->session->ready)
        FAIL(USAGE, "the session was stopped while it read; reset it or give a prompt");
    if (n == 0) return PHA_OK;
    if (g->session->position == 0) TRY(begin(g, ids, n));
    size_t known = (size_t)g->result->reuse.tokens;
    TRY(pha__session_read(g->session, ids + known, n - known, true));
    g->result->prompt_tokens = (int64_t)n;
    return remember(g, ids, n);
}

static pha_status read_prompt(generation *g, const char *prompt, size_t size)
{
    double begin = pha__seconds();
    pha__encoder *encoder;
    const int32_t *ids = NULL;
    size_t n = 0;
    if (!(g->recent = pha__alloc(PHA__RECENT, sizeof *g->recent))) return PHA_NO_MEMORY;
    g->recent_capacity = PHA__RECENT;
    g->n_recent = pha__session_recent(g->session, g->recent, PHA__RECENT);
    TRY(pha__encoder_open(&encoder, g->tokenizer));
    pha_status status = size ? pha__encode(encoder, prompt, size, !g->o->plain_prompt, &ids, &n) : PHA_OK;
    if (!status) status = read_ids(g, ids, n);
    pha__encoder_close(encoder);
    g->result->prompt_seconds = pha__seconds() - begin;
    return status;
}

static pha_status choose(generation *g, int32_t *id)
{
    pha_draw d = {.logits = g->session->logits, .n_logits = g->V, .options = &g->o->sample, .text = g->recent,
                  .n_text = g->n_recent, .n_new = (size_t)g->result->new_tokens,
                  .count = (uint64_t)g->result->new_tokens};
    return pha__draw(id, &d, g->work);
}

/* One token; *end stays -1 if there is more to come. The token that completes a stop string and the end of the text are
 * not read into the session. */
static pha_status next(generation *g, int *end)
{
    int32_t id;
    if (pha__stop_requested() || atomic_load(&g->session->stop)) return *end = END_ASKED, PHA_OK;
    if (pha__session_room(g->session) < 1) return *end = END_FULL, PHA_OK;
    TRY(choose(g, &id));
    if (id == pha__tokenizer_eot(g->tokenizer) && !g->o->ignore_end) return *end = END_TEXT, PHA_OK;
    g->result->new_tokens++;
    if (g->o->token) g->o->token(g->o->user, id);
    TRY(add_text(g, id, end));
    if (*end == END_STRING) return PHA_OK;
    TRY(pha__session_read(g->session, &id, 1, false));
    return remember(g, &id, 1);
}

static pha_status generate(generation *g, const char *prompt, size_t size)
{
    int64_t most = g->o->max_tokens ? g->o->max_tokens : 256;
    int end = -1;
    g->work = pha__alloc((size_t)g->V, sizeof *g->work);
    if (!g->work) return PHA_NO_MEMORY;
    pha_status status = read_prompt(g, prompt, size);
    if (status == PHA_STOPPED) g->result->end = END_ASKED;
    TRY(status);
    double begin = pha__seconds();
    while (!status && end < 0 && g->result->new_tokens < most) status = next(g, &end);
    if (end < 0) end = END_MAX;
    if (!status && !deliver(g, g->pending.size) && end != END_ASKED)
        end = END_CALLER; /* an unfinished character is dropped */
    g->result->new_seconds = pha__seconds() - begin;
    g->result->end = end;
    if (!status && end == END_ASKED) FAIL(STOPPED, "asked to stop");
    return status;
}

static pha_status check(const pha_session *s, const char *prompt, size_t size, const pha_generate_options *o)
{
    if (!s) FAIL(USAGE, "a text needs a session");
    if (!s->engine->model->tokenizer)
        FAIL(USAGE, "%s: the model has no tokenizer.json, so it can't read or write text", s->engine->model->folder);
    if (!prompt && size) FAIL(USAGE, "the prompt is missing");
    if (o->max_tokens < 0) FAIL(USAGE, "max_tokens is %lld, below 0", (long long)o->max_tokens);
    if (o->n_stop && !o->stop) FAIL(USAGE, "%zu stop strings are missing", o->n_stop);
    for (size_t i = 0; i < o->n_stop; i++)
        if (!o->stop[i] || !*o->stop[i]) FAIL(USAGE, "stop string %zu is empty", i + 1);
    return pha__sample_check(&o->sample);
}

pha_status pha_generate(pha_session *session, const char *prompt, size_t size, const pha_generate_options *options,
                        pha_generate_result *result)
{
    static const pha_generate_options defaults;
    pha_generate_result unused;
    generation g = {.session = session, .o = options ? options : &defaults, .result = result ? result : &unused};
    *g.result = (pha_generate_result){0};
    TRY(check(session, prompt, size, g.o));
    g.tokenizer = session->engine->model->tokenizer;
    g.V = pha__tokenizer_size(g.tokenizer);
    pha_status status = generate(&g, prompt, size);
    pha__free(g.work);
    pha__free(g.recent);
    pha__str_free(&g.pending);
    return status;
}
