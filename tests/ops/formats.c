/* formats.c -- a weight in any format of the table gives the bits that its numbers give as rows of floats; but products
 * over blocks of integers have an arithmetic of their own, and are near
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "trial.h"

/* ---- a format that no kernel knows: 16 bits, and a scale per row in front of them ---- */

static char *row_at(const void *matrix, int64_t width, int64_t row)
{
    return (char *)matrix + (size_t)row * (sizeof(float) + (size_t)width * sizeof(int16_t));
}

static void pack(void *matrix, int64_t rows, int64_t width, int64_t row, int64_t n, const float *from, int64_t ld)
{
    (void)rows;
    for (int64_t i = 0; i < n; i++, from += ld) {
        char *to = row_at(matrix, width, row + i);
        float top = 1e-30f;
        for (int64_t k = 0; k < width; k++) top = fmaxf(top, fabsf(from[k]));
        float scale = top / 32767;
        memcpy(to, &scale, sizeof scale);
        for (int64_t k = 0; k < width; k++) {
            int16_t x = (int16_t)lrintf(from[k] / scale);
            memcpy(to + sizeof scale + (size_t)k * sizeof x, &x, sizeof x);
        }
    }
}

static void unpack(const void *matrix, int64_t width, int64_t row, int64_t column, int64_t n, float *to)
{
    const char *from = row_at(matrix, width, row);
    float scale;
    memcpy(&scale, from, sizeof scale);
    for (int64_t k = 0; k < n; k++) {
        int16_t x;
        memcpy(&x, from + sizeof scale + (size_t)(column + k) * sizeof x, sizeof x);
        to[k] = scale * (float)x;
    }
}

static pha__dtype scaled(void)
{
    static const pha__format format = {"16 bits, a scale per row", 16, 0, sizeof(float), 1, pack, unpack};
    static pha__dtype id;
    if (id == 0) id = pha__format_add(&format);
    return id;
}

/* ---- the check ---- */

static bool is_matrix(const pha__problem *p, int i) { return p->ref.in[i] && p->ref.rows[i] > 1; }

/* The numbers of a weight become those that the format holds. */
static void round_to(pha__problem *p, int i, pha__dtype id)
{
    int64_t rows = p->ref.rows[i], width = p->ref.width[i];
    double *x = (double *)p->ref.in[i];
    float *f = malloc((size_t)(rows * width) * sizeof *f);
    void *matrix = malloc(pha__format_bytes(id, rows, width));
    for (int64_t k = 0; k < rows * width; k++) f[k] = (float)x[k];
    pha__format_pack(id, matrix, rows, width, 0, rows, f, width);
    for (int64_t row = 0; row < rows; row++) pha__format_unpack(id, matrix, width, row, 0, width, f + row * width);
    for (int64_t k = 0; k < rows * width; k++) x[k] = f[k];
    free(matrix);
    free(f);
}

static float *forward(const pha__problem *p, const pha__kernel *kernel, const pha__dtype *weights)
{
    pha__trial t = {.problem = p, .kernel = kernel, .weights = weights};
    pha__trial_open(&t);
    pha__trial_forward(&t);
    float *out = pha__trial_out(&t);
    pha__trial_close(&t);
    return out;
}

/* numerics.md 2 */
static bool is_near(const float *x, const float *y, int64_t n, bool half)
{
    double off = 0, size = 0, worst = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = fabs((double)x[i] - y[i]);
        off += d * d, size += (double)x[i] * x[i], worst = fmax(worst, d);
    }
    return sqrt(off) <= (half ? 6e-3 : 5e-5) * sqrt(size) && worst <= (half ? 4e-2 : 5e-4) * sqrt(size / (double)n);
}

static bool is_same(const pha__problem *p, const float *x, const float *y, pha__dtype id)
{
    int64_t n = (int64_t)p->ref.B * p->ref.T * p->ref.out_width;
    pha__work_class work = p->test->op->work_class;
    bool product = work == PHA__WORK_LINEAR || work == PHA__WORK_HEAD;
    bool integers = product && (id == PHA__Q8_PANEL || id == PHA__Q4_PANEL);
    return integers ? is_near(x, y, n, p->dtype == PHA__BF16) : !memcmp(x, y, (size_t)n * sizeof *x);
}

void pha__check_formats(const pha__problem *p, const pha__kernel *kernel)
{
    const pha__dtype plain = PHA__F32;
    const pha__dtype ids[] = {PHA__F32_PANEL,  PHA__BF16,     PHA__F16,      PHA__BF16_PANEL,
                              PHA__F16_PANEL, PHA__Q8_PANEL, PHA__Q4_PANEL, scaled()};
    bool any = false;
    for (int i = 0; i < PHA__MAX_IN; i++) any |= is_matrix(p, i);
    for (size_t k = 0; any && k < sizeof ids / sizeof *ids; k++) {
        pha__now(pha__format_of(ids[k])->name);
        pha__problem q;
        pha__problem_slice(&q, p, 0, p->ref.B, 0, p->ref.T);
        for (int i = 0; i < PHA__MAX_IN; i++)
            if (is_matrix(&q, i)) round_to(&q, i, ids[k]);
        float *x = forward(&q, kernel, &plain), *y = forward(&q, kernel, &ids[k]);
        pha__check(is_same(&q, x, y, ids[k]),
                   "weights in this format give another result than the same numbers as floats");
        free(x);
        free(y);
        pha__problem_close(&q);
    }
}
