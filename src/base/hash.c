/* hash.c -- XXH3 over the caller's allocator */
#define XXH_STATIC_LINKING_ONLY /* for the size of the state */
#include "base/hash.h"

#include <xxhash.h>

#include "base/mem.h"

struct pha__hasher {
    XXH3_state_t state;
};

uint64_t pha__hash(const void *data, size_t size, uint64_t seed) { return XXH3_64bits_withSeed(data, size, seed); }

pha__key pha__hash_key(const void *data, size_t size)
{
    XXH128_hash_t h = XXH3_128bits(data, size);
    return (pha__key){h.low64, h.high64};
}

pha__hasher *pha__hasher_open(void)
{
    pha__hasher *h = pha__alloc_zero(1, sizeof *h);
    if (h) XXH3_64bits_reset(&h->state);
    return h;
}

void pha__hasher_add(pha__hasher *h, const void *data, size_t size) { XXH3_64bits_update(&h->state, data, size); }
uint64_t pha__hasher_value(const pha__hasher *h) { return XXH3_64bits_digest(&h->state); }
void pha__hasher_close(pha__hasher *h) { pha__free(h); }
