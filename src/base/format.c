/* format.c -- the table of formats */
#include "base/format_panel.h"

#include <assert.h>

static void pack_f32(void *matrix, int64_t rows, int64_t width, int64_t row, int64_t n, const float *from, int64_t ld)
{
    (void)rows;
    for (int64_t i = 0; i < n; i++)
        memcpy((float *)matrix + (row + i) * width, from + i * ld, (size_t)width * sizeof *from);
}

static void unpack_f32(const void *matrix, int64_t width, int64_t row, int64_t column, int64_t n, float *to)
{
    memcpy(to, (const float *)matrix + row * width + column, (size_t)n * sizeof *to);
}

static void pack_bf16(void *matrix, int64_t rows, int64_t width, int64_t row, int64_t n, const float *from, int64_t ld)
{
    (void)rows;
    uint16_t *to = (uint16_t *)matrix + row * width;
    for (int64_t i = 0; i < n; i++, to += width, from += ld)
        for (int64_t k = 0; k < width; k++) to[k] = f32_to_bf16(from[k]);
}

static void unpack_bf16(const void *matrix, int64_t width, int64_t row, int64_t column, int64_t n, float *to)
{
    const uint16_t *from = (const uint16_t *)matrix + row * width + column;
    for (int64_t k = 0; k < n; k++) to[k] = bf16_to_f32(from[k]);
}

/* To nearest, ties to even; too large becomes infinite, NaN stays NaN. */
uint16_t pha__f32_to_f16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    uint32_t size = bits & 0x7fffffff;
    if (size > 0x7f800000) return sign | 0x7e00;
    if (size >= 0x477ff000) return sign | 0x7c00; /* from 65520 on */
    if (size < 0x38800000) {                      /* below 2^-14: a multiple of 2^-24 */
        float grid;
        memcpy(&grid, &size, sizeof grid);
        volatile float sum = grid + 0.5f; /* 0.5 has its last bit at 2^-24 */
        return (uint16_t)(sign | (uint16_t)((sum - 0.5f) * 0x1p24f));
    }
    size -= 112u << 23;
    return (uint16_t)(sign | (size + 0xfff + (size >> 13 & 1)) >> 13);
}

static void pack_f16(void *matrix, int64_t rows, int64_t width, int64_t row, int64_t n, const float *from, int64_t ld)
{
    (void)rows;
    uint16_t *to = (uint16_t *)matrix + row * width;
    for (int64_t i = 0; i < n; i++, to += width, from += ld)
        for (int64_t k = 0; k < width; k++) to[k] = pha__f32_to_f16(from[k]);
}

static void unpack_f16(const void *matrix, int64_t width, int64_t row, int64_t column, int64_t n, float *to)
{
    const uint16_t *from = (const uint16_t *)matrix + row * width + column;
    for (int64_t k = 0; k < n; k++) to[k] = f16_to_f32(from[k]);
}

static void pack_f64(void *matrix, int64_t rows, int64_t width, int64_t row, int64_t n, const float *from, int64_t ld)
{
    (void)rows;
    double *to = (double *)matrix + row * width;
    for (int64_t i = 0; i < n; i++, to += width, from += ld)
        for (int64_t k = 0; k < width; k++) to[k] = from[k];
}

static void unpack_f64(const void *matrix, int64_t width, int64_t row, int64_t column, int64_t n, float *to)
{
    const double *from = (const double *)matrix + row * width + column;
    for (int64_t k = 0; k < n; k++) to[k] = (float)from[k];
}

static const pha__format built_in[PHA__BUILT_IN] = {
    [PHA__F32] = {"f32", 32, 1, 0, 1, pack_f32, unpack_f32},
    [PHA__BF16] = {"bf16", 16, 1, 0, 1, pack_bf16, unpack_bf16},
    [PHA__F32_PANEL] = {"f32 panels", 32, 1, 0, PHA__PANEL, pha__pack_f32_panel, pha__unpack_f32_panel},
    [PHA__F16] = {"f16", 16, 1, 0, 1, pack_f16, unpack_f16},
    [PHA__F64] = {"f64", 64, 1, 0, 1, pack_f64, unpack_f64},
    [PHA__BF16_PANEL] = {"bf16 panels", 16, 1, 0, PHA__PANEL, pha__pack_bf16_panel, pha__unpack_bf16_panel},
    [PHA__F16_PANEL] = {"f16 panels", 16, 1, 0, PHA__PANEL, pha__pack_f16_panel, pha__unpack_f16_panel},
    [PHA__Q8_PANEL] = {"q8", 8, PHA__BLOCK, 2, PHA__PANEL, pha__pack_q8, pha__unpack_q8},
    [PHA__Q4_PANEL] = {"q4", 4, PHA__BLOCK, 2, PHA__PANEL, pha__pack_q4, pha__unpack_q4},
};

enum { MOST_ADDED = 8 };

static const pha__format *added[MOST_ADDED];
static int n_added;

const pha__format *pha__format_of(pha__dtype id)
{
    assert((int)id >= 0 && (int)id < PHA__BUILT_IN + n_added);
    return id < PHA__BUILT_IN ? &built_in[id] : added[id - PHA__BUILT_IN];
}

pha__dtype pha__format_add(const pha__format *format)
{
    assert(n_added < MOST_ADDED);
    added[n_added] = format;
    return (pha__dtype)(PHA__BUILT_IN + n_added++);
}

size_t pha__format_row(pha__dtype id, int64_t width)
{
    const pha__format *f = pha__format_of(id);
    size_t block = (size_t)(f->block ? f->block : width), bytes = (block * (size_t)f->bits + 7) / 8 + (size_t)f->scale;
    return block ? ((size_t)width + block - 1) / block * bytes : 0;
}

size_t pha__format_bytes(pha__dtype id, int64_t rows, int64_t width)
{
    int64_t panel = pha__format_of(id)->panel;
    return (size_t)((rows + panel - 1) / panel * panel) * pha__format_row(id, width);
}

void pha__format_pack(pha__dtype id, void *matrix, int64_t rows, int64_t width, int64_t row, int64_t n,
                      const float *from, int64_t ld)
{
    assert(row >= 0 && n >= 0 && row + n <= rows);
    pha__format_of(id)->pack(matrix, rows, width, row, n, from, ld);
}

void pha__format_unpack(pha__dtype id, const void *matrix, int64_t width, int64_t row, int64_t column, int64_t n,
                        float *to)
{
    pha__format_of(id)->unpack(matrix, width, row, column, n, to);
}

/* A panel is lines of PHA__PANEL elements of the same number for every row: of a block first the scales, then the
 * numbers, of which two of 4 bits make an element. */
static void move_row(const pha__format *f, char *to, int64_t to_row, const char *from, int64_t from_row, size_t row)
{
    size_t panel = PHA__PANEL * row, number = f->bits < 8 ? 1 : (size_t)f->bits / 8, scale = (size_t)f->scale;
    size_t block = f->block > 1 ? (size_t)f->block * (size_t)f->bits / 8 + scale : number;
    size_t t = (size_t)(to_row % PHA__PANEL), u = (size_t)(from_row % PHA__PANEL);
    to += (size_t)(to_row / PHA__PANEL) * panel, from += (size_t)(from_row / PHA__PANEL) * panel;
    for (size_t at = 0; at < row; at += block, to += PHA__PANEL * block, from += PHA__PANEL * block) {
        memcpy(to + t * scale, from + u * scale, scale);
        for (size_t i = scale; i < block; i += number)
            memcpy(to + PHA__PANEL * i + t * number, from + PHA__PANEL * i + u * number, number);
    }
}

void pha__format_move(pha__dtype id, void *to, int64_t to_row, const void *from, int64_t from_row, int64_t n,
                      int64_t width)
{
    const pha__format *f = pha__format_of(id);
    size_t row = pha__format_row(id, width);
    assert(f->panel == 1 || f->panel == PHA__PANEL);
    if (f->panel == 1) {
        memcpy((char *)to + (size_t)to_row * row, (const char *)from + (size_t)from_row * row, (size_t)n * row);
        return;
    }
    for (int64_t i = 0; i < n; i++) move_row(f, to, to_row + i, from, from_row + i, row);
}
