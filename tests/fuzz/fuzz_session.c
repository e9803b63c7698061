/* Any bytes as the file of a session's state, as they are and with their checksum made right: an error, or parts that
 * lie in the file and are fit for use */
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "input.h"
#include "runtime/infer/session_state.h"

static const pha__state_header mine = {
    .fingerprint = 0x6162636465666768, .state_bytes = 8, .max_context = 10, .vocab = 3};

static void parse(const uint8_t *data, size_t size, bool rolling)
{
    pha__map map = {data, size, (char *)(uintptr_t)"input"};
    pha__state_parts p;
    if (pha__state_parse(&p, &map, &mine, rolling) != PHA_OK) {
        if (!*pha_errmsg()) abort();
        return;
    }
    if (p.header.position < 0 || (!rolling && p.header.position > mine.max_context)) abort();
    if (p.header.recent > PHA__RECENT || p.ids + 4 * p.header.recent != data + size) abort();
    if (p.header.stored > mine.state_bytes || p.logits != p.state + p.header.stored) abort();
    if (p.ids != p.logits + 4 * mine.vocab) abort();
    for (size_t i = 0; i < p.header.recent; i++) {
        int32_t id;
        memcpy(&id, p.ids + 4 * i, 4);
        if (id < 0 || id >= 3) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int rolling = 0; rolling < 2; rolling++) parse(data, size, rolling);
    if (size < PHA__STATE_HEADER) return 0;
    uint8_t *copy = malloc(size);
    pha__hasher *hasher = pha__hasher_open();
    if (!copy || !hasher) abort();
    memcpy(copy, data, size);
    pha__hasher_add(hasher, copy, PHA__STATE_CHECKED);
    pha__hasher_add(hasher, copy + PHA__STATE_HEADER, size - PHA__STATE_HEADER);
    pha__state_sum_put(copy, pha__hasher_value(hasher));
    pha__hasher_close(hasher);
    for (int rolling = 0; rolling < 2; rolling++) parse(copy, size, rolling);
    free(copy);
    return 0;
}
