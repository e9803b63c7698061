/* format.c -- the table of formats */
#include "base/format.h"

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

/* Element k of a row within a panel is at [k * PHA__PANEL + row % PHA__PANEL]. */
static float *panel_row(const void *matrix, int64_t width, int64_t row)
{
    return (float *)matrix + row / PHA__PANEL * PHA__PANEL * width + row % PHA__PANEL;
}

static void pack_panel(void *matrix, int64_t rows, int64_t width, int64_t row, int64_t n, const float *from, int64_t ld)
{
    for (int64_t end = row + n, some; row < end; row += some, from += some * ld) {
        int64_t left = PHA__PANEL - row % PHA__PANEL;
        some = end - row < left ? end - row : left;
        float *to = panel_row(matrix, width, row);
        int64_t more = row + some == rows ? left - some : 0; /* the panel is filled up with zeros */
        for (int64_t k = 0; k < width; k++, to += PHA__PANEL) {
            for (int64_t i = 0; i < some; i++) to[i] = from[i * ld + k];
            for (int64_t i = some; i < some + more; i++) to[i] = 0;
        }
    }
}

static void unpack_panel(const void *matrix, int64_t width, int64_t row, int64_t column, int64_t n, float *to)
{
    const float *from = panel_row(matrix, width, row) + column * PHA__PANEL;
    for (int64_t k = 0; k < n; k++) to[k] = from[k * PHA__PANEL];
}

static const pha__format built_in[PHA__BUILT_IN] = {
    [PHA__F32] = {"f32", 32, 1, 0, 1, pack_f32, unpack_f32},
    [PHA__BF16] = {"bf16", 16, 1, 0, 1, pack_bf16, unpack_bf16},
    [PHA__F32_PANEL] = {"f32 panels", 32, 1, 0, PHA__PANEL, pack_panel, unpack_panel},
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
