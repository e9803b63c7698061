/* Any bytes as a token shard: an error, or a stream that can be read to its end without leaving the file */
#include <string.h>

#include "base/hash.h"
#include "input.h"
#include "io/loader.h"

static const char *folder, *path;

static void try_shard(const uint8_t *data, size_t size)
{
    fuzz_write(path, data, size);
    pha__tokens *t;
    if (pha__tokens_open(&t, folder, "t", size % 2) != PHA_OK) {
        if (t || !*pha_errmsg()) abort();
        return;
    }
    uint64_t n = pha__tokens_count(t);
    int32_t ids[64], targets[64], length, scored;
    for (uint64_t i = 0; i < n; i += 64)
        if (pha__tokens_read(t, i, (size_t)(n - i < 64 ? n - i : 64), ids) == PHA_OK &&
            (ids[0] < 0 || ids[0] >= pha__tokens_vocab(t)))
            abort();
    pha__cursor c;
    if (pha__cursor_open(&c, t, 64, 16) == PHA_OK) {
        for (uint64_t w = 0; w < pha__cursor_windows(&c); w++)
            if (pha__cursor_get(&c, w, ids, targets, &length, &scored) == PHA_OK && scored < 1) abort();
    }
    pha__tokens_close(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!folder) folder = fuzz_path(""), path = fuzz_path("t-00000.tok");
    try_shard(data, size);
    if (size >= PHA__SHARD_HEADER && size < 1 << 20) { /* once more with a header whose own checksum is right */
        uint8_t *copy = malloc(size);
        if (!copy) return 0;
        memcpy(copy, data, size);
        uint64_t hash = pha__hash(copy, 56, 0);
        for (int i = 0; i < 8; i++) copy[56 + i] = (uint8_t)(hash >> 8 * i);
        try_shard(copy, size);
        free(copy);
    }
    return 0;
}
