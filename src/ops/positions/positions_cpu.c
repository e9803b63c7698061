/* positions_cpu.c -- forward: a task is a block of rows. Backward: the tasks of dx are such blocks, those of dP own
 * some rows of the table and sum each over the sequences, in order, from what is there
 */
#include "backend/cpu/dropout.h"
#include "ops/positions/positions.h"

enum { X, TABLE, TABLE_ROWS = 64 }; /* inputs; rows of the table per task of backward */

static int64_t *position_of(const pha__args *a, int64_t b) { return pha__slot(a, (int)b); }

static int64_t table_tasks(const pha__args *a)
{
    return a->d_in[TABLE].data ? (a->in[TABLE].rows + TABLE_ROWS - 1) / TABLE_ROWS : 0;
}

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    if (pass == PHA__BACKWARD)
        return phase > 0 ? 0 : table_tasks(a) + (a->d_in[X].data ? pha__row_blocks(a) : 0);
    return phase == 0 ? pha__row_blocks(a) : phase == 1 && a->state ? a->B : 0;
}

static size_t scratch(const pha__args *a, pha__pass pass)
{
    (void)pass;
    return (size_t)(3 * a->out.width + pha__dropout_room(a->out.width)) * sizeof(float);
}

/* out = mask * (x + p) */
static void add_row(const pha__args *a, int64_t row, float *memory)
{
    const pha__positions_attr *attr = a->attr;
    int64_t n = a->out.width, t = row % a->T + (a->state ? *position_of(a, row / a->T) : 0);
    float *bx = memory, *bp = bx + n, *bo = bp + n;
    float *mask = pha__dropout_on(a->run, attr->dropout) ? bo + n : NULL;
    const float *x = pha__row_in(&a->in[X], row, 0, n, bx), *p = pha__row_in(&a->in[TABLE], t, 0, n, bp);
    float *o = pha__row_out(&a->out, row, 0, bo);
    if (mask) pha__dropout_row(mask, a->run, attr->dropout, attr->site, row, n);
    for (int64_t i = 0; i < n; i += VF) {
        vf sum = pha__load(x + i, n - i) + pha__load(p + i, n - i);
        pha__store(o + i, mask ? sum * pha__load(mask + i, n - i) : sum, n - i);
    }
    pha__row_done(&a->out, row, 0, n, o);
}

static void forward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    for (int64_t i = begin; i < end; i++) {
        if (phase == 1) { /* when all have read it */
            *position_of(a, i) += a->T;
            continue;
        }
        for (int64_t row = i * PHA__ROW_BLOCK; row < pha__row_block_end(a, i); row++) add_row(a, row, memory);
    }
}

/* The gradient of the sum of a row. */
static const float *gradient(const pha__args *a, int64_t row, float *memory)
{
    const pha__positions_attr *attr = a->attr;
    int64_t n = a->out.width;
    float *mask = memory + n;
    const float *d = pha__row_in(&a->d_out, row, 0, n, memory);
    if (!pha__dropout_on(a->run, attr->dropout)) return d;
    pha__dropout_row(mask, a->run, attr->dropout, attr->site, row, n);
    for (int64_t i = 0; i < n; i += VF)
        pha__store(mask + i, pha__load(mask + i, n - i) * pha__load(d + i, n - i), n - i);
    return mask;
}

/* Row t of the table; no token stands there if t >= T. */
static void table_row(const pha__args *a, int64_t t, float *memory)
{
    int64_t n = a->out.width;
    bool add = a->add & PHA__IN(TABLE);
    float *sum = memory;
    if (add && t >= a->T) return;
    pha__sum_begin(sum, &a->d_in[TABLE], t, 0, n, add);
    for (int b = 0; b < a->B && t < a->T; b++)
        pha__add_scaled(sum, 1.0f, gradient(a, (int64_t)b * a->T + t, memory + n), n);
    pha__row_grad(&a->d_in[TABLE], t, 0, n, sum, false);
}

static void backward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    (void)phase;
    int64_t n_table = table_tasks(a), rows = a->in[TABLE].rows;
    for (int64_t i = begin; i < end; i++) {
        for (int64_t t = i * TABLE_ROWS; i < n_table && t < (i + 1) * TABLE_ROWS && t < rows; t++)
            table_row(a, t, memory);
        if (i < n_table) continue;
        for (int64_t row = (i - n_table) * PHA__ROW_BLOCK; row < pha__row_block_end(a, i - n_table); row++)
            pha__row_grad(&a->d_in[X], row, 0, a->out.width, gradient(a, row, memory), a->add & PHA__IN(X));
    }
}

PHA__KERNEL(positions) = {.tasks = tasks, .forward = forward, .backward = backward, .scratch = scratch};
