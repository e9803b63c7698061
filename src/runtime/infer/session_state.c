/* session_state.c -- header and checks of the file of a session's state */
#include "runtime/infer/session_state.h"

#include <inttypes.h>
#include <string.h>

#include "base/hash.h"

enum { VERSION = 2 };
static const char magic[8] = "phastate";
static const int64_t MOST_POSITION = (int64_t)1 << 48;

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

/* magic, version and flag, fingerprint, state bytes, position, max_context, vocabulary, ids, bytes stored, 16 zero
 * bytes, checksum */
void pha__state_header_put(unsigned char out[PHA__STATE_HEADER], const pha__state_header *h)
{
    memset(out, 0, PHA__STATE_HEADER);
    memcpy(out, magic, sizeof magic);
    put(out + 8, (uint64_t)h->ready << 32 | VERSION);
    put(out + 16, h->fingerprint);
    put(out + 24, h->state_bytes);
    put(out + 32, (uint64_t)h->position);
    put(out + 40, (uint64_t)h->max_context);
    put(out + 48, h->vocab);
    put(out + 56, h->recent);
    put(out + 64, h->stored);
}

void pha__state_sum_put(unsigned char out[PHA__STATE_HEADER], uint64_t sum) { put(out + PHA__STATE_CHECKED, sum); }

static void get_header(pha__state_header *h, uint32_t *version, const unsigned char *p)
{
    *version = (uint32_t)get(p + 8);
    *h = (pha__state_header){(uint32_t)(get(p + 8) >> 32), get(p + 16), get(p + 24), (int64_t)get(p + 32),
                             (int64_t)get(p + 40), get(p + 48), get(p + 56), get(p + 64)};
}

static pha_status check_sum(const pha__map *map)
{
    pha__hasher *hasher = pha__hasher_open();
    if (!hasher) return PHA_NO_MEMORY;
    pha__hasher_add(hasher, map->data, PHA__STATE_CHECKED);
    pha__hasher_add(hasher, map->data + PHA__STATE_HEADER, map->size - PHA__STATE_HEADER);
    uint64_t sum = pha__hasher_value(hasher);
    pha__hasher_close(hasher);
    if (sum != get(map->data + PHA__STATE_CHECKED))
        FAIL(BAD_INPUT, "%s: the checksum is wrong: the file is damaged", map->path);
    return PHA_OK;
}

static pha_status check_header(const pha__state_header *h, uint32_t version, const pha__state_header *mine,
                               bool rolling, const pha__map *map)
{
    uint64_t recent = (uint64_t)h->position;
    if (version != VERSION || h->ready > 1)
        FAIL(BAD_INPUT, "%s: a session file of version %u, this program reads %d", map->path, version, VERSION);
    bool another = h->fingerprint != mine->fingerprint || h->vocab != mine->vocab;
    if (another) TRY(check_sum(map)); /* or it is damaged there */
    if (another)
        FAIL(BAD_INPUT, "%s: the session of another model; open that model", map->path);
    if (h->max_context == mine->max_context && h->state_bytes != mine->state_bytes)
        FAIL(BAD_INPUT, "%s: a state of %" PRIu64 " bytes, but a session of this max_context has %" PRIu64
             "; is its cache of another precision?", map->path, h->state_bytes, mine->state_bytes);
    if (h->max_context != mine->max_context)
        FAIL(BAD_INPUT, "%s: a session with max_context %" PRId64 ", but this one has %" PRId64 "; open it with that",
             map->path, h->max_context, mine->max_context);
    if (h->position < 0 || h->position > MOST_POSITION || (!rolling && h->position > mine->max_context))
        FAIL(BAD_INPUT, "%s: position %" PRId64 " is impossible", map->path, h->position);
    if (recent > PHA__RECENT) recent = PHA__RECENT;
    if (h->recent > recent || h->stored > mine->state_bytes ||
        map->size != PHA__STATE_HEADER + h->stored + (mine->vocab + h->recent) * 4)
        FAIL(BAD_INPUT, "%s: truncated, or longer than its header says", map->path);
    return PHA_OK;
}

static pha_status check_ids(const unsigned char *ids, const pha__state_header *h, const char *path)
{
    for (uint64_t i = 0; i < h->recent; i++) {
        int32_t id;
        memcpy(&id, ids + 4 * i, 4);
        if (id < 0 || (uint64_t)id >= h->vocab) FAIL(BAD_INPUT, "%s: %d is not the id of a token", path, id);
    }
    return PHA_OK;
}

pha_status pha__state_parse(pha__state_parts *out, const pha__map *map, const pha__state_header *mine, bool rolling)
{
    uint32_t version;
    pha__state_header *h = &out->header;
    if (map->size < PHA__STATE_HEADER || memcmp(map->data, magic, sizeof magic))
        FAIL(BAD_INPUT, "%s: not the state of a session", map->path);
    get_header(h, &version, map->data);
    TRY(check_header(h, version, mine, rolling, map));
    TRY(check_sum(map));
    out->state = map->data + PHA__STATE_HEADER;
    out->logits = out->state + h->stored;
    out->ids = out->logits + h->vocab * 4;
    return check_ids(out->ids, h, map->path);
}
