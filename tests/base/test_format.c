/* Formats: a matrix packed whole or in pieces is the same bytes, unpacks from any column, and fills its last panel */
#include "base/format.h"

#include <math.h>

#include "support/check.h"

enum { GUARD = 64, MOST = 40 };

/* Quarters, so that every format but those in blocks holds them exactly. */
static float element(int64_t row, int64_t column) { return (float)((row * 37 + column * 11) % 61) / 4 - 7; }

static bool in_blocks(pha__dtype id) { return pha__format_of(id)->block == PHA__BLOCK; }

/* What a format holds of it: in blocks the nearest multiple of a scale, which is the largest number of the block over
 * 127, or the one that is largest in size over -8, as a bf16. */
static float held(pha__dtype id, int64_t row, int64_t column, int64_t width)
{
    int64_t begin = column / PHA__BLOCK * PHA__BLOCK, end = begin + PHA__BLOCK < width ? begin + PHA__BLOCK : width;
    bool eight = pha__format_of(id)->bits == 8;
    float x = element(row, column), top = 0;
    if (!in_blocks(id)) return x;
    for (int64_t k = begin; k < end; k++)
        if (fabsf(element(row, k)) > fabsf(top)) top = element(row, k);
    float scale = bf16_to_f32(f32_to_bf16(eight ? fabsf(top) / 127 : top / -8));
    long q = scale != 0 ? lrintf(x / scale) : 0, most = eight ? 127 : 7, least = eight ? -127 : -8;
    return scale * (float)(q > most ? most : q < least ? least : q);
}

/* The matrix in a format, packed in pieces of `piece` rows, the last one first, in guarded memory over garbage. */
static unsigned char *packed(pha__dtype id, int64_t rows, int64_t width, int64_t piece)
{
    size_t size = pha__format_bytes(id, rows, width);
    unsigned char *memory = malloc(size + GUARD);
    float *from = malloc((size_t)(MOST * (width + 3)) * sizeof *from); /* rows with a gap */
    memset(memory, (int)piece, size); /* other garbage each time */
    memset(memory + size, 0x5a, GUARD);
    for (int64_t row = (rows - 1) / piece * piece; row >= 0; row -= piece) {
        int64_t n = rows - row < piece ? rows - row : piece;
        for (int64_t i = 0; i < n; i++)
            for (int64_t k = 0; k < width; k++) from[i * (width + 3) + k] = element(row + i, k);
        pha__format_pack(id, memory, rows, width, row, n, from, width + 3);
    }
    for (int i = 0; i < GUARD; i++) assert_int_equal(memory[size + (size_t)i], 0x5a);
    free(from);
    return memory;
}

static void check_unpack(pha__dtype id, const void *matrix, int64_t rows, int64_t width)
{
    float *to = malloc((size_t)(width + 1) * sizeof *to);
    for (int64_t row = 0; row < rows; row++)
        for (int64_t column = 0; column < width; column += 1 + column / 2) {
            int64_t n = width - column;
            to[n] = 99;
            pha__format_unpack(id, matrix, width, row, column, n, to);
            for (int64_t k = 0; k < n; k++) assert_true(to[k] == held(id, row, column + k, width));
            assert_true(to[n] == 99);
        }
    free(to);
}

static void check_format(pha__dtype id)
{
    static const int64_t shapes[][2] = {{1, 1},  {1, 20},  {15, 3},  {16, 8}, {17, 8},
                                        {33, 60}, {40, 19}, {18, 32}, {5, 33}, {17, 97}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        int64_t rows = shapes[s][0], width = shapes[s][1];
        unsigned char *whole = packed(id, rows, width, MOST);
        check_unpack(id, whole, rows, width);
        for (int64_t piece = 1; piece <= 32; piece += 5) {
            unsigned char *pieces = packed(id, rows, width, piece);
            assert_memory_equal(pieces, whole, pha__format_bytes(id, rows, width));
            free(pieces);
        }
        free(whole);
    }
}

static void formats(void **state)
{
    (void)state;
    for (int id = 0; id < PHA__BUILT_IN; id++) check_format((pha__dtype)id);
}

/* Halves with their values, and what is between two of them: ties go to the even one. */
static void halves(void **state)
{
    (void)state;
    static const struct { uint16_t half; float value; } same[] = {
        {0x3c00, 1}, {0xc000, -2}, {0x7bff, 65504}, {0x0400, 0x1p-14f}, {0x0001, 0x1p-24f}, {0x03ff, 0x3ffp-24f},
        {0x8001, -0x1p-24f}, {0x7c00, INFINITY}, {0x0000, 0}, {0x3555, 0x1.554p-2f}};
    static const struct { float value; uint16_t half; } round[] = {
        {65519.996f, 0x7bff}, {65520, 0x7c00}, {1 + 0x1p-11f, 0x3c00}, {1 + 0x3p-11f, 0x3c02}, {0x1p-25f, 0},
        {0x1.8p-24f, 2}, {1e9f, 0x7c00}, {-1e9f, 0xfc00}, {0x1.ffcp-15f, 0x0400}};
    uint16_t h;
    float f;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        pha__format_unpack(PHA__F16, &same[i].half, 1, 0, 0, 1, &f);
        assert_true(f == same[i].value);
        pha__format_pack(PHA__F16, &h, 1, 1, 0, 1, &f, 1);
        assert_int_equal(h, same[i].half);
    }
    for (size_t i = 0; i < sizeof round / sizeof *round; i++) {
        pha__format_pack(PHA__F16, &h, 1, 1, 0, 1, &round[i].value, 1);
        assert_int_equal(h, round[i].half);
    }
    for (uint32_t k = 0; k < 0x10000; k++) { /* each half comes back */
        uint16_t from = (uint16_t)k;
        pha__format_unpack(PHA__F16, &from, 1, 0, 0, 1, &f);
        pha__format_pack(PHA__F16, &h, 1, 1, 0, 1, &f, 1);
        if (isnan(f)) assert_true((k & 0x7c00) == 0x7c00 && (h & 0x7fff) > 0x7c00);
        else assert_int_equal(h, from);
    }
}

/* For each column the numbers of 16 rows lie together; rows that are missing are zero. */
static void panels(void **state)
{
    (void)state;
    enum { ROWS = 21, WIDTH = 5 };
    assert_int_equal(pha__format_bytes(PHA__F32_PANEL, ROWS, WIDTH), 32 * WIDTH * 4);
    float *m = (float *)(void *)packed(PHA__F32_PANEL, ROWS, WIDTH, 4);
    for (int64_t row = 0; row < 32; row++)
        for (int64_t k = 0; k < WIDTH; k++)
            assert_true(m[row / 16 * 16 * WIDTH + k * 16 + row % 16] == (row < ROWS ? element(row, k) : 0));
    free(m);
}

/* Rows go from one place to another as they are, and nothing else changes. */
static void check_move(pha__dtype id)
{
    enum { ROWS = 40, WIDTH = 37, PLACES = 60 };
    unsigned char *from = packed(id, ROWS, WIDTH, MOST);
    size_t size = pha__format_bytes(id, PLACES, WIDTH);
    unsigned char *to = calloc(size, 1), *back = calloc(pha__format_bytes(id, ROWS, WIDTH), 1);
    float x[WIDTH], y[WIDTH];
    pha__format_move(id, to, 9, from, 3, 30, WIDTH);
    for (int64_t row = 0; row < 30; row++) {
        pha__format_unpack(id, from, WIDTH, row + 3, 0, WIDTH, x);
        pha__format_unpack(id, to, WIDTH, row + 9, 0, WIDTH, y);
        assert_memory_equal(x, y, sizeof x);
    }
    pha__format_move(id, back, 0, from, 0, ROWS, WIDTH);
    for (int64_t row = 0; row < ROWS; row++) {
        pha__format_unpack(id, from, WIDTH, row, 0, WIDTH, x);
        pha__format_unpack(id, back, WIDTH, row, 0, WIDTH, y);
        assert_memory_equal(x, y, sizeof x);
    }
    memset(from, 0, pha__format_bytes(id, ROWS, WIDTH));
    pha__format_move(id, to, 9, from, 3, 30, WIDTH);
    for (size_t i = 0; i < size; i++) assert_int_equal(to[i], 0); /* nothing else had been written */
    free(from);
    free(to);
    free(back);
}

static void moves(void **state)
{
    (void)state;
    for (int id = 0; id < PHA__BUILT_IN; id++) check_move((pha__dtype)id);
}

/* Numbers that are not finite, tiny ones and zeros. */
static void blocks(void **state)
{
    (void)state;
    static const pha__dtype ids[] = {PHA__Q8_PANEL, PHA__Q4_PANEL};
    for (int i = 0; i < 2; i++) {
        float x[3 * PHA__BLOCK] = {0}, y[3 * PHA__BLOCK];
        unsigned char *m = malloc(pha__format_bytes(ids[i], 1, 3 * PHA__BLOCK));
        for (int k = 0; k < PHA__BLOCK; k++) x[k] = 1e-30f * (float)k, x[2 * PHA__BLOCK + k] = 1;
        x[2 * PHA__BLOCK + 5] = i ? INFINITY : NAN;
        pha__format_pack(ids[i], m, 1, 3 * PHA__BLOCK, 0, 1, x, 0);
        pha__format_unpack(ids[i], m, 3 * PHA__BLOCK, 0, 0, 3 * PHA__BLOCK, y);
        for (int k = 0; k < PHA__BLOCK; k++) {
            assert_true(fabsf(y[k] - x[k]) <= 32e-30f / 14);
            assert_true(y[PHA__BLOCK + k] == 0);
            assert_true(isnan(y[2 * PHA__BLOCK + k]));
        }
        free(m);
    }
}

static void sizes(void **state)
{
    (void)state;
    static const pha__format half_bytes = {.name = "4 bits in blocks of 32",
                                           .bits = 4, .block = 32, .scale = 2, .panel = 4};
    static const pha__format row_scale = {.name = "8 bits, a scale for the row",
                                          .bits = 8, .block = 0, .scale = 4, .panel = 1};
    assert_int_equal(pha__format_row(PHA__F32, 7), 28);
    assert_int_equal(pha__format_row(PHA__BF16, 7), 14);
    assert_int_equal(pha__format_bytes(PHA__BF16, 3, 7), 42);
    pha__dtype id = pha__format_add(&half_bytes);
    assert_ptr_equal(pha__format_of(id), &half_bytes);
    assert_int_equal(pha__format_row(id, 608), 19 * 18);
    assert_int_equal(pha__format_row(id, 609), 20 * 18);
    assert_int_equal(pha__format_bytes(id, 5, 608), 8 * 19 * 18);
    id = pha__format_add(&row_scale);
    assert_ptr_equal(pha__format_of(id), &row_scale);
    assert_int_equal(pha__format_row(id, 608), 612);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(formats), cmocka_unit_test(halves), cmocka_unit_test(panels),
                                       cmocka_unit_test(moves), cmocka_unit_test(blocks),
                                       cmocka_unit_test(sizes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
