/* dropout.h -- the counter-based mask: 0, or 1 / (1 - rate), for each element of a row
 *
 * Nothing is stored: backward, recomputation and any split of the batch make the same mask again. Column j of row r of
 * the whole batch (r = run->row0 + row) is word j % 4 of Philox with
 *
 *   key      run->seed
 *   counter  { r * ceil(width / 4) + j / 4 (low 32 bits), run->step (low 32 bits), site, PHA__STREAM_DROPOUT }
 *
 * and is kept if its uniform number (24 bits) is >= rate. The plain form is pha__philox of base/rng.h.
 */
#ifndef PHA__DROPOUT_H
#define PHA__DROPOUT_H

#include "backend/cpu/rows.h"
#include "base/rng.h"

PHA__INLINE bool pha__dropout_on(const pha__run *run, float rate) { return run && run->dropout && rate > 0; }

/* The mask of a row. `factor` has room for width rounded up to a multiple of 64. */
static void pha__dropout_row(float *factor, const pha__run *run, float rate, uint32_t site, int64_t row, int64_t width)
{
    enum { LANES = 16 }; /* counters done side by side; the loops over l become vector code */
    uint32_t first = (uint32_t)((uint64_t)(run->row0 + row) * (uint64_t)((width + 3) / 4));
    float keep = 1.0f / (1.0f - rate);
    for (int64_t j = 0; j < width; j += 4 * LANES) {
        uint32_t c0[LANES], c1[LANES], c2[LANES], c3[LANES];
        uint32_t k0 = (uint32_t)run->seed, k1 = (uint32_t)(run->seed >> 32);
        for (int l = 0; l < LANES; l++) {
            c0[l] = first + (uint32_t)(j / 4) + (uint32_t)l;
            c1[l] = (uint32_t)run->step, c2[l] = site, c3[l] = PHA__STREAM_DROPOUT;
        }
        for (int round = 0; round < 10; round++) {
            for (int l = 0; l < LANES; l++) {
                uint64_t p0 = (uint64_t)0xD2511F53u * c0[l], p1 = (uint64_t)0xCD9E8D57u * c2[l];
                c0[l] = (uint32_t)(p1 >> 32) ^ c1[l] ^ k0, c2[l] = (uint32_t)(p0 >> 32) ^ c3[l] ^ k1;
                c1[l] = (uint32_t)p1, c3[l] = (uint32_t)p0;
            }
            k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
        }
        for (int l = 0; l < LANES; l++) {
            float *f = factor + j + 4 * l;
            f[0] = pha__uniform(c0[l]) >= rate ? keep : 0.0f;
            f[1] = pha__uniform(c1[l]) >= rate ? keep : 0.0f;
            f[2] = pha__uniform(c2[l]) >= rate ? keep : 0.0f;
            f[3] = pha__uniform(c3[l]) >= rate ? keep : 0.0f;
        }
    }
}

/* Floats of scratch for a mask. */
PHA__INLINE int64_t pha__dropout_room(int64_t width) { return (width + 63) / 64 * 64; }

#endif
