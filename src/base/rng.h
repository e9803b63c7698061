/* rng.h -- counter-based random numbers: Philox 4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3",
 * SC 2011)
 *
 * There is no generator state: a number is a function of (seed, stream, place). So resuming, recomputing a layer and
 * splitting a batch reproduce the same numbers.
 */
#ifndef PHA__RNG_H
#define PHA__RNG_H

#include "base/dtype.h"

typedef enum pha__stream { /* word 3 of the counter */
    PHA__STREAM_INIT = 1,
    PHA__STREAM_SHUFFLE,
    PHA__STREAM_DROPOUT,
    PHA__STREAM_TASK,
    PHA__STREAM_DOCUMENT,
    PHA__STREAM_SAMPLE,
} pha__stream;

PHA__BOTH static inline void pha__philox(uint64_t seed, const uint32_t counter[4], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c0 = n0, c1 = (uint32_t)p1, c2 = n2, c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

/* [0, 1), 24 bits */
PHA__BOTH static inline float pha__uniform(uint32_t x) { return (float)(x >> 8) * 0x1p-24f; }

/* 64-bit hash of a tensor's path (FNV-1a followed by a finaliser): words 1 and 2 of the counter of initial values. */
uint64_t pha__hash_path(const char *path);

/* out[i] = std * N(0,1) for i < n from (seed, path) alone; Box-Muller in double. */
void pha__fill_normal(float *out, int64_t n, double std, uint64_t seed, const char *path);

/* A permutation of [0, n) as a pure function of (seed, epoch, position): no table, constant memory (a Feistel network
 * with cycle walking). */
uint64_t pha__permute(uint64_t position, uint64_t n, uint64_t seed, uint32_t epoch);

#endif
