/* format_panel.c -- matrices in panels: plain numbers, and blocks of integers with a scale */
#include "base/format_panel.h"

#include <math.h>

#define INLINE static inline __attribute__((always_inline))

/* Rows behind `row`, if it is the end of the matrix, that fill up its panel. */
INLINE int64_t behind(int64_t rows, int64_t row)
{
    return row == rows ? (PHA__PANEL - row % PHA__PANEL) % PHA__PANEL : 0;
}

/* ---- plain numbers: element k of a row is at [k * PHA__PANEL + row % PHA__PANEL] of its panel -------------- */

INLINE int64_t first_of(int64_t width, int64_t row)
{
    return row / PHA__PANEL * PHA__PANEL * width + row % PHA__PANEL;
}

INLINE uint16_t to_16(pha__dtype id, float x) { return id == PHA__BF16_PANEL ? f32_to_bf16(x) : pha__f32_to_f16(x); }
INLINE float of_16(pha__dtype id, uint16_t h) { return id == PHA__BF16_PANEL ? bf16_to_f32(h) : f16_to_f32(h); }

/* Element k of `some` rows side by side, then `more` zeros. */
INLINE void put_line(pha__dtype id, void *matrix, int64_t at, const float *from, int64_t ld, int64_t some, int64_t more)
{
    float *f = (float *)matrix + at;
    uint16_t *h = (uint16_t *)matrix + at;
    for (int64_t i = 0; i < some; i++)
        if (id == PHA__F32_PANEL) f[i] = from[i * ld];
        else h[i] = to_16(id, from[i * ld]);
    for (int64_t i = some; i < some + more; i++)
        if (id == PHA__F32_PANEL) f[i] = 0;
        else h[i] = 0;
}

INLINE void pack_plain(pha__dtype id, void *matrix, int64_t rows, int64_t width, int64_t row, int64_t n,
                       const float *from, int64_t ld)
{
    for (int64_t end = row + n, some; row < end; row += some, from += some * ld) {
        int64_t left = PHA__PANEL - row % PHA__PANEL, at = first_of(width, row);
        some = end - row < left ? end - row : left;
        for (int64_t k = 0; k < width; k++)
            put_line(id, matrix, at + k * PHA__PANEL, from + k, ld, some, behind(rows, row + some));
    }
}

INLINE void unpack_plain(pha__dtype id, const void *matrix, int64_t width, int64_t row, int64_t column, int64_t n,
                         float *to)
{
    int64_t at = first_of(width, row) + column * PHA__PANEL;
    for (int64_t k = 0; k < n; k++, at += PHA__PANEL)
        to[k] = id == PHA__F32_PANEL ? ((const float *)matrix)[at] : of_16(id, ((const uint16_t *)matrix)[at]);
}

/* ---- blocks ------------------------------------------------------------------------------------------------ */

typedef struct coding {
    int bytes;      /* of the blocks of a panel */
    int low, high;  /* the integers */
    float largest;  /* the integer of what is largest in size; -8 whatever its sign: 4 bits reach to 7 only */
} coding;

static const coding q8 = {PHA__Q8_BYTES, -127, 127, 127}, q4 = {PHA__Q4_BYTES, -8, 7, -8};

INLINE int64_t panel_bytes(const coding *c, int64_t width) { return (width + PHA__BLOCK - 1) / PHA__BLOCK * c->bytes; }

/* The scale of n numbers. One that is not finite makes it NaN: the loss of a number does not go unseen. */
static float scale_of(const coding *c, const float *x, int64_t n)
{
    float top = 0;
    for (int64_t k = 0; k < n; k++) {
        if (!isfinite(x[k])) return NAN;
        if (fabsf(x[k]) > fabsf(top)) top = x[k];
    }
    return bf16_to_f32(f32_to_bf16(c->largest > 0 ? fabsf(top) / c->largest : top / c->largest));
}

static int integer_of(const coding *c, float x, float scale)
{
    float r = scale != 0 && isfinite(scale) ? rintf(x / scale) : 1;
    return scale == 0 ? 0 : r < (float)c->low ? c->low : r > (float)c->high ? c->high : (int)r;
}

/* A row of blocks whose panel begins at `to`. */
INLINE void pack_row(const coding *c, unsigned char *to, int64_t lane, const float *x, int64_t width)
{
    for (int64_t at = 0; at < width; at += PHA__BLOCK, to += c->bytes) {
        int64_t n = width - at < PHA__BLOCK ? width - at : PHA__BLOCK;
        float scale = scale_of(c, x + at, n);
        uint16_t stored = f32_to_bf16(scale);
        memcpy(to + lane * 2, &stored, sizeof stored);
        for (int64_t k = 0; k < PHA__BLOCK; k++) {
            int q = k < n ? integer_of(c, x[at + k], scale) : 0;
            unsigned char *byte = to + PHA__SCALES + (c == &q4 ? k / 2 : k) * PHA__PANEL + lane;
            if (c == &q8) *byte = (unsigned char)(signed char)q;
            else *byte = (unsigned char)(k % 2 ? *byte | (q + 8) << 4 : q + 8);
        }
    }
}

INLINE void pack_blocks(const coding *c, void *matrix, int64_t rows, int64_t width, int64_t row, int64_t n,
                        const float *from, int64_t ld)
{
    unsigned char *to = matrix;
    int64_t bytes = panel_bytes(c, width), end = row + n;
    for (; row < end; row++, from += ld)
        pack_row(c, to + row / PHA__PANEL * bytes, row % PHA__PANEL, from, width);
    for (int64_t last = end + behind(rows, end); row < last; row++)
        for (int64_t at = 0; at < bytes; at += c->bytes) { /* 0 times whatever is there */
            unsigned char *block = to + row / PHA__PANEL * bytes + at;
            memset(block + row % PHA__PANEL * 2, 0, 2);
            for (int64_t i = PHA__SCALES + row % PHA__PANEL; i < c->bytes; i += PHA__PANEL) block[i] = 0;
        }
}

INLINE void unpack_blocks(const coding *c, const void *matrix, int64_t width, int64_t row, int64_t column, int64_t n,
                          float *to)
{
    const unsigned char *panel = (const unsigned char *)matrix + row / PHA__PANEL * panel_bytes(c, width);
    int64_t lane = row % PHA__PANEL;
    for (int64_t k = column; k < column + n; k++) {
        const unsigned char *block = panel + k / PHA__BLOCK * c->bytes;
        int64_t i = k % PHA__BLOCK;
        unsigned char byte = block[PHA__SCALES + (c == &q4 ? i / 2 : i) * PHA__PANEL + lane];
        uint16_t scale;
        memcpy(&scale, block + lane * 2, sizeof scale);
        *to++ = bf16_to_f32(scale) * (float)(c == &q8 ? (signed char)byte : (byte >> i % 2 * 4 & 15) - 8);
    }
}

/* ---- the rows of the table --------------------------------------------------------------------------------- */

#define FORMAT(name, kind, of)                                                                                   \
    void pha__pack_##name(void *matrix, int64_t rows, int64_t width, int64_t row, int64_t n, const float *from,  \
                          int64_t ld)                                                                            \
    {                                                                                                            \
        pack_##kind(of, matrix, rows, width, row, n, from, ld);                                                  \
    }                                                                                                            \
    void pha__unpack_##name(const void *matrix, int64_t width, int64_t row, int64_t column, int64_t n, float *to) \
    {                                                                                                            \
        unpack_##kind(of, matrix, width, row, column, n, to);                                                    \
    }
FORMAT(f32_panel, plain, PHA__F32_PANEL)
FORMAT(bf16_panel, plain, PHA__BF16_PANEL)
FORMAT(f16_panel, plain, PHA__F16_PANEL)
FORMAT(q8, blocks, &q8)
FORMAT(q4, blocks, &q4)
