/* Any bytes as a plain or compressed file: read in large and in small pieces it gives the same bytes and ends the same
 * way */
#include <string.h>

#include "base/hash.h"
#include "input.h"
#include "io/stream.h"

enum { LIMIT = 256 << 10, PIECE = 64 << 10, EACH = 256 }; /* a few bytes may hold gigabytes */

typedef struct result {
    pha_status status;
    uint64_t hash, size;
} result;

/* After every EACH reads the pieces are twice as large. */
static result read_all(const char *path, size_t piece, size_t file_size)
{
    static uint8_t all[LIMIT + PIECE];
    pha__stream *s;
    result r = {0};
    if ((r.status = pha__stream_open(&s, path, NULL)) != PHA_OK) return r;
    size_t got = piece, reads = 0;
    while (r.size < LIMIT && got == piece) {
        if (++reads % EACH == 0 && piece < PIECE) piece *= 2;
        if ((r.status = pha__stream_read(s, all + r.size, piece, &got)) != PHA_OK) break;
        if (got > piece || pha__stream_offset(s) > file_size) abort();
        r.size += got;
    }
    if (r.status != PHA_OK && !*pha_errmsg()) abort();
    if (r.size > LIMIT) r.size = LIMIT;
    r.hash = pha__hash(all, r.size, 0);
    pha__stream_close(s);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = fuzz_file(data, size);
    result large = read_all(path, PIECE, size), small = read_all(path, 1 + size % 64, size);
    if (large.size == LIMIT || small.size == LIMIT) return 0;
    if (large.status != small.status) abort();
    if (large.status == PHA_OK && (large.size != small.size || large.hash != small.hash)) abort();
    return 0;
}
