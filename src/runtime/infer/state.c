/* state.c -- moving what is used of a session's state */
#include "runtime/infer/state.h"

#include <inttypes.h>

pha_status pha__state_measure(pha__state *s, const pha__program *p)
{
    *s = (pha__state){.bytes = p->state};
    s->part = pha__alloc((size_t)p->n_nodes + 1, sizeof *s->part);
    if (!s->part) return PHA_NO_MEMORY;
    for (int i = 0; i < p->n_nodes; i++) {
        const pha__node *n = p->nodes[i];
        if (n->merged || !n->op->state) continue;
        pha__shape shape;
        pha__shape_of(p, n, &shape);
        pha__state_part *part = &s->part[s->n++];
        *part = (pha__state_part){n, n->state_offset, n->op->state(&shape, p->options.max_context),
                                  n->op->lookback ? n->op->lookback(&shape) : 0};
        s->fixed += part->layout.fixed;
    }
    return PHA_OK;
}

void pha__state_free(pha__state *s)
{
    pha__free(s->part);
    *s = (pha__state){0};
}

bool pha__state_rolls(const pha__state *s)
{
    for (int i = 0; i < s->n; i++)
        if (s->part[i].lookback > s->part[i].layout.capacity) return false;
    return true;
}

bool pha__state_reaches(const pha__state *s, int64_t highest, int64_t position)
{
    for (int i = 0; i < s->n; i++) {
        const pha__state_part *p = &s->part[i];
        bool whole = highest <= p->layout.capacity; /* nothing has been overwritten */
        if (p->lookback && !whole && highest - position > p->layout.capacity - p->lookback) return false;
    }
    return true;
}

/* ---- walking --------------------------------------------------------------------------------------------- */

/* Moves `size` bytes between place `at` of the state and place `dense` of a copy without gaps. */
typedef struct move {
    pha__device *device;
    char *to;
    const char *from;
    enum { COPY, DOWNLOAD, UPLOAD, MARK, RETURN } how;
} move;

static pha_status move_bytes(const move *m, size_t at, size_t dense, size_t size)
{
    const pha__backend *b = m->device->backend;
    switch (m->how) {
    case COPY:     return b->copy(m->device, m->to + at, m->from + at, size);
    case DOWNLOAD: return b->download(m->device, m->to + dense, m->from + at, size);
    case UPLOAD:   return b->upload(m->device, m->to + at, m->from + dense, size);
    case MARK:     return b->copy(m->device, m->to + dense, m->from + at, size);
    default:       return b->copy(m->device, m->to + at, m->from + dense, size);
    }
}

static size_t lane_used(const pha__state_layout *l, int64_t position)
{
    return l->token * (size_t)(position < l->capacity ? position : l->capacity);
}

static pha_status walk(const pha__state *s, const move *m, int64_t position)
{
    size_t dense = 0;
    for (int i = 0; i < s->n; i++) {
        const pha__state_layout *l = &s->part[i].layout;
        size_t at = s->part[i].offset, used = lane_used(l, position);
        TRY(move_bytes(m, at, dense, l->fixed));
        at += l->fixed, dense += l->fixed;
        for (int k = 0; k < l->lanes && used; k++) {
            TRY(move_bytes(m, at, dense, used));
            at += l->token * (size_t)l->capacity, dense += used;
        }
    }
    return PHA_OK;
}

size_t pha__state_used(const pha__state *s, int64_t position)
{
    size_t sum = s->fixed;
    for (int i = 0; i < s->n; i++)
        sum += (size_t)s->part[i].layout.lanes * lane_used(&s->part[i].layout, position);
    return sum;
}

pha_status pha__state_clear(const pha__state *s, pha__device *d, char *state)
{
    for (int i = 0; i < s->n; i++) TRY(pha__fill(d, state + s->part[i].offset, 0, s->part[i].layout.fixed));
    return PHA_OK;
}

pha_status pha__state_copy(const pha__state *s, pha__device *d, char *to, const char *from, int64_t position)
{
    return walk(s, &(move){d, to, from, COPY}, position);
}

pha_status pha__state_download(const pha__state *s, pha__device *d, char *to, const char *state, int64_t position)
{
    return walk(s, &(move){d, to, state, DOWNLOAD}, position);
}

pha_status pha__state_upload(const pha__state *s, pha__device *d, char *state, const char *from, int64_t position)
{
    return walk(s, &(move){d, state, from, UPLOAD}, position);
}

pha_status pha__state_mark(const pha__state *s, pha__device *d, char *mark, const char *state)
{
    return walk(s, &(move){d, mark, state, MARK}, 0);
}

pha_status pha__state_return(const pha__state *s, pha__device *d, char *state, const char *mark)
{
    return walk(s, &(move){d, state, mark, RETURN}, 0);
}

pha_status pha__state_check(const pha__state *s, const char *dense, int64_t position, const char *path)
{
    size_t at = 0;
    for (int i = 0; i < s->n; i++) {
        const pha__state_part *part = &s->part[i];
        int64_t count = part->node->op->position ? part->node->op->position(dense + at) : position;
        if (count != position)
            FAIL(BAD_INPUT, "%s: %s has read %" PRId64 " tokens, the session %" PRId64, path, part->node->path, count,
                 position);
        at += part->layout.fixed + (size_t)part->layout.lanes * lane_used(&part->layout, position);
    }
    return PHA_OK;
}
