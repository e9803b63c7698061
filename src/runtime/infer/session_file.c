/* session_file.c -- a session's state in a file (session_state.h) */
#include <inttypes.h>
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "runtime/infer/session.h"

static pha__state_header header_of(const pha_session *s)
{
    return (pha__state_header){.ready = s->ready,
                               .fingerprint = s->fingerprint,
                               .state_bytes = s->state_bytes,
                               .position = s->position,
                               .max_context = s->max_context,
                               .vocab = (uint64_t)s->model->config.vocab_size};
}

static pha_status write_state(const pha_session *s, const char *state, const char *path)
{
    unsigned char head[PHA__STATE_HEADER];
    int32_t recent[PHA__RECENT];
    size_t n = pha__session_recent(s, recent, PHA__RECENT), V = (size_t)s->model->config.vocab_size;
    pha__state_header h = header_of(s);
    h.recent = n;
    pha__state_header_put(head, &h);
    pha__hasher *hasher = pha__hasher_open();
    if (!hasher) return PHA_NO_MEMORY;
    pha__hasher_add(hasher, head, PHA__STATE_CHECKED);
    pha__hasher_add(hasher, state, s->state_bytes);
    pha__hasher_add(hasher, s->logits, V * sizeof *s->logits);
    pha__hasher_add(hasher, recent, n * sizeof *recent);
    pha__state_sum_put(head, pha__hasher_value(hasher));
    pha__hasher_close(hasher);

    pha__writer *w;
    TRY(pha__writer_open(&w, path)); /* an error of a write is repeated by all that follow */
    pha__writer_write(w, head, PHA__STATE_HEADER);
    pha__writer_write(w, state, s->state_bytes);
    pha__writer_write(w, s->logits, V * sizeof *s->logits);
    pha__writer_write(w, recent, n * sizeof *recent);
    return pha__writer_commit(w);
}

pha_status pha_session_save(const pha_session *s, const char *path)
{
    char *state = pha__alloc(s->state_bytes + 1, 1);
    if (!state) return PHA_NO_MEMORY;
    pha_status status = pha__download(s->device, state, s->state, s->state_bytes);
    if (!status) status = write_state(s, state, path);
    pha__free(state);
    return status;
}

/* Ops that count tokens address memory by that count, so it must be the position. */
static pha_status check_counts(const pha_session *s, const unsigned char *state, int64_t position, const char *path)
{
    const pha__program *p = s->program[PHA__SESSION_STEP];
    for (int i = 0; i < p->n_nodes; i++) {
        const pha__node *n = p->nodes[i];
        if (n->merged || !n->op->position) continue;
        int64_t count = n->op->position(state + n->state_offset);
        if (count != position)
            FAIL(BAD_INPUT, "%s: %s has read %" PRId64 " tokens, the session %" PRId64, path, n->path, count, position);
    }
    return PHA_OK;
}

/* Everything is checked before the session is touched. */
static pha_status load(pha_session *s, const pha__map *map)
{
    pha__state_parts parts;
    pha__state_header mine = header_of(s), *h = &parts.header;
    TRY(pha__state_parse(&parts, map, &mine, s->rolling));
    TRY(check_counts(s, parts.state, h->position, map->path));
    TRY(pha__upload(s->device, s->state, parts.state, s->state_bytes));
    memcpy(s->logits, parts.logits, (size_t)h->vocab * sizeof *s->logits);
    for (uint64_t i = 0; i < h->recent; i++)
        memcpy(&s->recent[((uint64_t)h->position - h->recent + i) % PHA__RECENT], parts.ids + 4 * i, 4);
    s->position = h->position;
    s->ready = h->ready && h->position > 0;
    return PHA_OK;
}

pha_status pha_session_load(pha_session *s, const char *path)
{
    pha__map map;
    TRY(pha__map_open(&map, path));
    pha_status status = load(s, &map);
    pha__map_close(&map);
    return status;
}
