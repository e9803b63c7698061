/* format.h -- the table of formats in which a weight can be stored
 *
 * A format stores a matrix of `rows` rows of `width` numbers. `panel` consecutive rows lie together (1: each row by
 * itself) and the matrix is a whole number of panels: rows beyond the last are zero. Whatever asks for the size of a
 * matrix, fills one or reads it as floats goes through the functions below; kernels know f32, bf16 and the panels
 * below directly and all other formats by unpacking.
 */
#ifndef PHA__FORMAT_H
#define PHA__FORMAT_H

#include "base/dtype.h"

enum { PHA__PANEL = 16 }; /* rows of a panel: vectors of 4, 8 and 16 floats divide it */

/* Blocks: PHA__BLOCK consecutive numbers of a row are integers times one scale, a bf16. The blocks of the rows of a
 * panel lie together: the scales, then the integers, number after number. Of 4 bits two consecutive numbers of a row
 * are a byte, the first one in its lower half, each 8 too large. */
enum {
    PHA__BLOCK = 32,
    PHA__SCALES = PHA__PANEL * 2,                                /* bytes of the scales */
    PHA__Q8_BYTES = PHA__SCALES + PHA__PANEL * PHA__BLOCK,      /* of the blocks of a panel */
    PHA__Q4_BYTES = PHA__SCALES + PHA__PANEL * PHA__BLOCK / 2,
};

typedef struct pha__format {
    const char *name;
    int bits;  /* of a number */
    int block; /* consecutive numbers of a row that share a scale: 1 none, 0 the whole row */
    int scale; /* bytes that a block keeps beside its numbers */
    int panel; /* rows that lie together */
    /* Stores rows [row, row+n) of the matrix; row i of them is at from + i * ld. If the last row is among them, what is
     * missing of its panel becomes zero. */
    void (*pack)(void *matrix, int64_t rows, int64_t width, int64_t row, int64_t n, const float *from, int64_t ld);
    /* Columns [column, column+n) of a row as floats, from any column. */
    void (*unpack)(const void *matrix, int64_t width, int64_t row, int64_t column, int64_t n, float *to);
} pha__format;

const pha__format *pha__format_of(pha__dtype id);

/* One more format, from then on as good as the others; returns its id. `format` must stay. Not while other threads use
 * the table. */
pha__dtype pha__format_add(const pha__format *format);

/* Bytes of a row, and of a matrix with its last panel filled up. */
size_t pha__format_row(pha__dtype id, int64_t width);
size_t pha__format_bytes(pha__dtype id, int64_t rows, int64_t width);

/* As the functions of the table. A matrix may be packed piece by piece, in any order. */
void pha__format_pack(pha__dtype id, void *matrix, int64_t rows, int64_t width, int64_t row, int64_t n,
                      const float *from, int64_t ld);
void pha__format_unpack(pha__dtype id, const void *matrix, int64_t width, int64_t row, int64_t column, int64_t n,
                        float *to);

/* Copies rows [from_row, from_row+n) of one matrix to those from to_row on of another of the same format and width, as
 * they are. */
void pha__format_move(pha__dtype id, void *to, int64_t to_row, const void *from, int64_t from_row, int64_t n,
                      int64_t width);

uint16_t pha__f32_to_f16(float f); /* to nearest, ties to even; too large becomes infinite, NaN stays NaN */

#endif
