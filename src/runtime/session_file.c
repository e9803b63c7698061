/* session_file.c -- a session's state in a file
 *
 * Header (96 bytes, little-endian), then the state, the logits of the last token (V floats) and the last ids, oldest
 * first. The checksum covers the header before it and everything behind the header.
 */
#include <inttypes.h>
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "runtime/session.h"

enum { HEADER = 96, CHECKED = 88, VERSION = 1 };
static const char magic[8] = "phastate";
static const int64_t MOST_POSITION = (int64_t)1 << 48;

typedef struct header {
    uint32_t version, ready;
    uint64_t fingerprint, state_bytes;
    int64_t position, max_context;
    uint64_t vocab, recent; /* floats and ids behind the state */
} header;

static void put(unsigned char *p, uint64_t x)
{
    for (int i = 0; i < 8; i++) p[i] = (unsigned char)(x >> (8 * i));
}

static uint64_t get(const unsigned char *p)
{
    uint64_t x = 0;
    for (int i = 7; i >= 0; i--) x = x << 8 | p[i];
    return x;
}

/* magic, version and flag, fingerprint, state bytes, position, max_context, vocabulary, ids, 24 zero bytes, checksum */
static void put_header(unsigned char out[HEADER], const header *h)
{
    memset(out, 0, HEADER);
    memcpy(out, magic, sizeof magic);
    put(out + 8, (uint64_t)h->ready << 32 | h->version);
    put(out + 16, h->fingerprint);
    put(out + 24, h->state_bytes);
    put(out + 32, (uint64_t)h->position);
    put(out + 40, (uint64_t)h->max_context);
    put(out + 48, h->vocab);
    put(out + 56, h->recent);
}

static void get_header(header *h, const unsigned char *p)
{
    *h = (header){(uint32_t)get(p + 8), (uint32_t)(get(p + 8) >> 32), get(p + 16), get(p + 24), (int64_t)get(p + 32),
                  (int64_t)get(p + 40), get(p + 48), get(p + 56)};
}

pha_status pha_session_save(const pha_session *s, const char *path)
{
    unsigned char head[HEADER];
    int32_t recent[PHA__RECENT];
    size_t n = pha__session_recent(s, recent, PHA__RECENT), V = (size_t)s->model->weights.config.vocab_size;
    put_header(head, &(header){VERSION, s->ready, s->fingerprint, s->state_bytes, s->position, s->max_context, V, n});
    pha__hasher *hasher = pha__hasher_open();
    if (!hasher) return PHA_NO_MEMORY;
    pha__hasher_add(hasher, head, CHECKED);
    pha__hasher_add(hasher, s->state, s->state_bytes);
    pha__hasher_add(hasher, s->logits, V * sizeof *s->logits);
    pha__hasher_add(hasher, recent, n * sizeof *recent);
    put(head + CHECKED, pha__hasher_value(hasher));
    pha__hasher_close(hasher);

    pha__writer *w;
    TRY(pha__writer_open(&w, path)); /* an error of a write is repeated by all that follow */
    pha__writer_write(w, head, HEADER);
    pha__writer_write(w, s->state, s->state_bytes);
    pha__writer_write(w, s->logits, V * sizeof *s->logits);
    pha__writer_write(w, recent, n * sizeof *recent);
    return pha__writer_commit(w);
}

static pha_status check_header(const header *h, const pha_session *s, const pha__map *map)
{
    uint64_t V = (uint64_t)s->model->weights.config.vocab_size, recent = (uint64_t)h->position;
    if (h->version != VERSION || h->ready > 1)
        FAIL(BAD_INPUT, "%s: a session file of version %u, this program reads %d", map->path, h->version, VERSION);
    if (h->fingerprint != s->fingerprint || h->vocab != V)
        FAIL(BAD_INPUT, "%s: the session of another model; open that model", map->path);
    if (h->max_context != s->max_context || h->state_bytes != s->state_bytes)
        FAIL(BAD_INPUT, "%s: a session with max_context %" PRId64 ", but this one has %" PRId64 "; open it with that",
             map->path, h->max_context, s->max_context);
    if (h->position < 0 || h->position > MOST_POSITION || (!s->rolling && h->position > s->max_context))
        FAIL(BAD_INPUT, "%s: position %" PRId64 " is impossible", map->path, h->position);
    if (recent > PHA__RECENT) recent = PHA__RECENT;
    if (h->recent != recent || map->size != HEADER + s->state_bytes + (V + recent) * 4)
        FAIL(BAD_INPUT, "%s: truncated, or longer than its header says", map->path);
    return PHA_OK;
}

/* Ops that count tokens address memory by that count, so it must be the position. */
static pha_status check_counts(const pha_session *s, const unsigned char *state, const header *h, const char *path)
{
    const pha__program *p = s->program[PHA__SESSION_STEP];
    for (int i = 0; i < p->n_nodes; i++) {
        const pha__node *n = p->nodes[i];
        if (n->merged || !n->op->position) continue;
        int64_t count = n->op->position(state + n->state_offset);
        if (count != h->position)
            FAIL(BAD_INPUT, "%s: %s has read %" PRId64 " tokens, the session %" PRId64, path, n->path, count,
                 h->position);
    }
    return PHA_OK;
}

static pha_status check_ids(const unsigned char *ids, const header *h, const char *path)
{
    for (uint64_t i = 0; i < h->recent; i++) {
        int32_t id;
        memcpy(&id, ids + 4 * i, 4);
        if (id < 0 || (uint64_t)id >= h->vocab) FAIL(BAD_INPUT, "%s: %d is not the id of a token", path, id);
    }
    return PHA_OK;
}

static pha_status check_sum(const pha__map *map)
{
    pha__hasher *hasher = pha__hasher_open();
    if (!hasher) return PHA_NO_MEMORY;
    pha__hasher_add(hasher, map->data, CHECKED);
    pha__hasher_add(hasher, map->data + HEADER, map->size - HEADER);
    uint64_t sum = pha__hasher_value(hasher);
    pha__hasher_close(hasher);
    if (sum != get(map->data + CHECKED)) FAIL(BAD_INPUT, "%s: the checksum is wrong: the file is damaged", map->path);
    return PHA_OK;
}

/* Everything is checked before the session is touched. */
static pha_status load(pha_session *s, const pha__map *map)
{
    header h;
    if (map->size < HEADER || memcmp(map->data, magic, sizeof magic))
        FAIL(BAD_INPUT, "%s: not the state of a session", map->path);
    get_header(&h, map->data);
    TRY(check_header(&h, s, map));
    TRY(check_sum(map));
    const unsigned char *state = map->data + HEADER, *logits = state + h.state_bytes, *ids = logits + h.vocab * 4;
    TRY(check_counts(s, state, &h, map->path));
    TRY(check_ids(ids, &h, map->path));
    memcpy(s->state, state, s->state_bytes);
    memcpy(s->logits, logits, (size_t)h.vocab * sizeof *s->logits);
    for (uint64_t i = 0; i < h.recent; i++)
        memcpy(&s->recent[((uint64_t)h.position - h.recent + i) % PHA__RECENT], ids + 4 * i, 4);
    s->position = h.position;
    s->ready = h.ready && h.position > 0;
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
