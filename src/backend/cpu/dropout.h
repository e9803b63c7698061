/* dropout.h -- the counter-based mask: 0, or 1 / (1 - rate), for each element of a row
 *
 * Nothing is stored: backward, recomputation and any split of the batch make the same mask again. Column j of row r of
 * the whole batch (r = run->row0 + row) is word j % 4 of Philox with
 *
 *   key      run->seed
 *   counter  { r * ceil(width / 4) + j / 4 (low 32 bits), run->step (low 32 bits), site, PHA__STREAM_DROPOUT }
 *
 * and is kept if its uniform number (24 bits) is >= rate. The plain form is pha__philox of base/rng.h.
 *
 * The weights of attention have a mask that does not depend on the length of a sequence: that of key s, for head h of H
 * of row r, is word s % 4 with counter { r H + h, step, site + (s / 4 << 12), PHA__STREAM_DROPOUT }.
 */
#ifndef PHA__DROPOUT_H
#define PHA__DROPOUT_H

#include "backend/cpu/rows.h"
#include "base/rng.h"

PHA__INLINE bool pha__dropout_on(const pha__run *run, float rate) { return run && run->dropout && rate > 0; }

enum { PHA__DROPOUT_LANES = 16, PHA__DROPOUT_SITES = 1 << 12 }; /* sites are below */
typedef uint32_t pha__dropout_words[4][PHA__DROPOUT_LANES];

/* The words of counters side by side, of which words 0 and 2 are given. The loops over l become vector code. */
static inline void pha__dropout_draw(pha__dropout_words c, const pha__run *run)
{
    enum { LANES = PHA__DROPOUT_LANES };
    uint32_t k0 = (uint32_t)run->seed, k1 = (uint32_t)(run->seed >> 32);
    for (int l = 0; l < LANES; l++) c[1][l] = (uint32_t)run->step, c[3][l] = PHA__STREAM_DROPOUT;
    for (int round = 0; round < 10; round++) {
        for (int l = 0; l < LANES; l++) {
            uint64_t p0 = (uint64_t)0xD2511F53u * c[0][l], p1 = (uint64_t)0xCD9E8D57u * c[2][l];
            c[0][l] = (uint32_t)(p1 >> 32) ^ c[1][l] ^ k0, c[2][l] = (uint32_t)(p0 >> 32) ^ c[3][l] ^ k1;
            c[1][l] = (uint32_t)p1, c[3][l] = (uint32_t)p0;
        }
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
}

PHA__INLINE float pha__dropout_factor(uint32_t word, float rate)
{
    return pha__uniform(word) >= rate ? 1.0f / (1.0f - rate) : 0.0f;
}

/* The mask of a row. `factor` has room for width rounded up to a multiple of 64. */
static inline void pha__dropout_row(float *factor, const pha__run *run, float rate, uint32_t site, int64_t row,
                                    int64_t width)
{
    uint32_t first = (uint32_t)((uint64_t)(run->row0 + row) * (uint64_t)((width + 3) / 4));
    for (int64_t j = 0; j < width; j += 4 * PHA__DROPOUT_LANES) {
        pha__dropout_words c;
        for (int l = 0; l < PHA__DROPOUT_LANES; l++) c[0][l] = first + (uint32_t)(j / 4) + (uint32_t)l, c[2][l] = site;
        pha__dropout_draw(c, run);
        for (int l = 0; l < PHA__DROPOUT_LANES; l++)
            for (int k = 0; k < 4; k++) factor[j + 4 * l + k] = pha__dropout_factor(c[k][l], rate);
    }
}

/* Floats of scratch for a mask. */
PHA__INLINE int64_t pha__dropout_room(int64_t width) { return (width + 63) / 64 * 64; }

#endif
