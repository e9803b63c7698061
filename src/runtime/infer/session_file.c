/* session_file.c -- a session's state in a file (session_state.h) */
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "runtime/infer/session.h"

static pha__state_header header_of(const pha_session *s)
{
    const pha_engine *e = s->engine;
    return (pha__state_header){.ready = s->ready,
                               .fingerprint = e->fingerprint,
                               .state_bytes = e->state.bytes,
                               .position = s->position,
                               .max_context = e->max_context,
                               .vocab = (uint64_t)e->model->config.vocab_size,
                               .stored = pha__state_used(&e->state, s->position)};
}

static pha_status write_state(const pha_session *s, const char *state, const char *path)
{
    unsigned char head[PHA__STATE_HEADER];
    int32_t recent[PHA__RECENT];
    size_t n = pha__session_recent(s, recent, PHA__RECENT), V = (size_t)s->engine->model->config.vocab_size;
    pha__state_header h = header_of(s);
    h.recent = n;
    pha__state_header_put(head, &h);
    pha__hasher *hasher = pha__hasher_open();
    if (!hasher) return PHA_NO_MEMORY;
    pha__hasher_add(hasher, head, PHA__STATE_CHECKED);
    pha__hasher_add(hasher, state, h.stored);
    pha__hasher_add(hasher, s->logits, V * sizeof *s->logits);
    pha__hasher_add(hasher, recent, n * sizeof *recent);
    pha__state_sum_put(head, pha__hasher_value(hasher));
    pha__hasher_close(hasher);

    pha__writer *w;
    TRY(pha__writer_open(&w, path)); /* an error of a write is repeated by all that follow */
    pha__writer_write(w, head, PHA__STATE_HEADER);
    pha__writer_write(w, state, h.stored);
    pha__writer_write(w, s->logits, V * sizeof *s->logits);
    pha__writer_write(w, recent, n * sizeof *recent);
    return pha__writer_commit(w);
}

pha_status pha_session_save(const pha_session *s, const char *path)
{
    if (!s || !path) FAIL(USAGE, "saving needs a session and a file");
    const pha_engine *e = s->engine;
    char *state = pha__alloc(pha__state_used(&e->state, s->position) + 1, 1);
    if (!state) return PHA_NO_MEMORY;
    pthread_mutex_lock(&s->engine->lock);
    pha_status status = pha__state_download(&e->state, e->device, state, s->state, s->position);
    pthread_mutex_unlock(&s->engine->lock);
    if (!status) status = write_state(s, state, path);
    pha__free(state);
    return status;
}

/* The state of a file into an empty session; one that failed is empty too. */
static pha_status upload(pha_session *s, const char *state, int64_t position)
{
    const pha_engine *e = s->engine;
    pthread_mutex_lock(&s->engine->lock);
    pha_status status = pha__session_clear(s);
    if (!status) status = pha__state_upload(&e->state, e->device, s->state, state, position);
    if (status) pha__session_clear(s);
    pthread_mutex_unlock(&s->engine->lock);
    return status;
}

/* Everything is checked before the session is touched. Ops that count tokens address memory by that count. */
static pha_status load(pha_session *s, const pha__map *map)
{
    pha__state_parts parts;
    const pha__state *layout = &s->engine->state;
    pha__state_header mine = header_of(s), *h = &parts.header;
    TRY(pha__state_parse(&parts, map, &mine, s->engine->rolling));
    if (h->stored != pha__state_used(layout, h->position))
        FAIL(BAD_INPUT, "%s: a state of %zu bytes, %zu are expected", map->path, (size_t)h->stored,
             pha__state_used(layout, h->position));
    TRY(pha__state_check(layout, (const char *)parts.state, h->position, map->path));
    TRY(upload(s, (const char *)parts.state, h->position));
    memcpy(s->logits, parts.logits, (size_t)h->vocab * sizeof *s->logits);
    s->position = s->highest = h->position, s->known = h->position - (int64_t)h->recent;
    for (uint64_t i = 0; i < h->recent; i++)
        memcpy(&s->ids[(s->known + (int64_t)i) % s->n_ids], parts.ids + 4 * i, 4);
    s->ready = h->ready && h->position > 0;
    return PHA_OK;
}

pha_status pha_session_load(pha_session *s, const char *path)
{
    pha__map map;
    if (!s || !path) FAIL(USAGE, "loading needs a session and a file");
    TRY(pha__map_open(&map, path));
    pha_status status = load(s, &map);
    pha__map_close(&map);
    return status;
}
