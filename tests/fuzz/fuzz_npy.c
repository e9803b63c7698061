/* Any bytes as a .npy file: an error, or B * T ids that the file is large enough for */
#include "base/mem.h"
#include "input.h"
#include "io/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int32_t *ids;
    int64_t B, T;
    if (pha__npy_read_ids(&ids, &B, &T, fuzz_file(data, size)) != PHA_OK) {
        if (ids || !*pha_errmsg()) abort();
        return 0;
    }
    volatile int32_t all = 0;
    if (B < 1 || T < 1 || (uint64_t)B > size / 2 || (uint64_t)T > size / 2 / (uint64_t)B) abort();
    for (int64_t i = 0; i < B * T; i++) all ^= ids[i];
    (void)all;
    pha__free(ids);
    return 0;
}
