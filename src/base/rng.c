/* rng.c -- initial values and shuffling from counters */
#include "base/rng.h"

#include <math.h>

uint64_t pha__hash_path(const char *path)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (const char *p = path; *p; p++) h = (h ^ (unsigned char)*p) * 0x100000001b3u;
    h ^= h >> 33; /* so that neighbouring names differ in all bits */
    h *= 0xff51afd7ed558ccdu;
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53u;
    return h ^ h >> 33;
}

/* Two words to two normals; 1 - u lies in (0, 1]. */
static void box_muller(const uint32_t x[2], double out[2])
{
    double r = sqrt(-2.0 * log(1.0 - (double)pha__uniform(x[0])));
    double phi = 6.283185307179586476925 * (double)pha__uniform(x[1]);
    out[0] = r * cos(phi);
    out[1] = r * sin(phi);
}

void pha__fill_normal(float *out, int64_t n, double std, uint64_t seed, const char *path)
{
    uint64_t hash = pha__hash_path(path);
    for (int64_t i = 0; i < n; i += 4) {
        uint32_t counter[4] = { (uint32_t)(i / 4), (uint32_t)hash, (uint32_t)(hash >> 32), PHA__STREAM_INIT };
        uint32_t x[4];
        double z[4];
        pha__philox(seed, counter, x);
        box_muller(x, z);
        box_muller(x + 2, z + 2);
        for (int j = 0; j < 4 && i + j < n; j++) out[i + j] = (float)(std * z[j]);
    }
}

#define ROUNDS 8

/* One pass of the network over 2 * w bits. */
static uint64_t feistel(uint64_t x, int w, uint64_t seed, uint32_t epoch)
{
    uint32_t mask = w == 32 ? UINT32_MAX : (UINT32_C(1) << w) - 1;
    uint32_t left = (uint32_t)(x >> w) & mask, right = (uint32_t)x & mask;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t counter[4] = { right, epoch, round, PHA__STREAM_SHUFFLE }, f[4];
        pha__philox(seed, counter, f);
        uint32_t next = (left ^ f[0]) & mask;
        left = right;
        right = next;
    }
    return (uint64_t)left << w | right;
}

uint64_t pha__permute(uint64_t position, uint64_t n, uint64_t seed, uint32_t epoch)
{
    if (n <= 1) return 0;
    int w = (64 - __builtin_clzll(n - 1) + 1) / 2; /* n <= 4^w < 8 n */
    uint64_t x = position;
    do x = feistel(x, w, seed, epoch);
    while (x >= n);
    return x;
}
