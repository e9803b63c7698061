/* Any bytes as a token file of another program: an error, or as many ids as the file has room for, each in range */
#include "input.h"
#include "io/token_bin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pha__token_bin b;
    int32_t ids[256];
    if (pha__token_bin_open(&b, fuzz_file(data, size)) != PHA_OK) {
        if (b.map.data || !*pha_errmsg()) abort();
        return 0;
    }
    if (b.count < 1 || b.count > size / 2) abort();
    for (uint64_t at = 0; at < b.count; at += 256) {
        size_t n = b.count - at < 256 ? (size_t)(b.count - at) : 256;
        if (pha__token_bin_read(&b, at, n, 50000, ids) != PHA_OK) break;
        for (size_t i = 0; i < n; i++)
            if (ids[i] < 0 || ids[i] >= 50000) abort();
    }
    pha__token_bin_close(&b);
    return 0;
}
