/* embed_cpu.c -- forward: a task is a block of rows. Backward: a task owns some rows of the table and sums, in order of
 * position, the gradients of each; run->order has the positions of a token side by side
 */
#include "backend/cpu/dropout.h"
#include "ops/embed/embed.h"

enum { TABLE_ROWS = 256 }; /* per task of backward */

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    if (phase > 0) return 0;
    if (pass == PHA__FORWARD) return pha__row_blocks(a);
    return a->d_in[0].data ? (a->in[0].rows + TABLE_ROWS - 1) / TABLE_ROWS : 0;
}

static size_t scratch(const pha__args *a, pha__pass pass)
{
    (void)pass;
    return (size_t)(2 * a->out.width + pha__dropout_room(a->out.width)) * sizeof(float);
}

/* y = scale * mask * x */
static void scaled(float *y, const float *x, int64_t n, float scale, const float *mask)
{
    vf s = vf_set1(scale);
    for (int64_t i = 0; i < n; i += VF) {
        vf v = s * pha__load(x + i, n - i);
        pha__store(y + i, mask ? v * pha__load(mask + i, n - i) : v, n - i);
    }
}

static void forward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    (void)phase;
    const pha__embed_attr *attr = a->attr;
    int64_t n = a->out.width;
    float *be = memory, *bo = be + n;
    float *mask = pha__dropout_on(a->run, attr->dropout) ? bo + n : NULL;
    for (int64_t row = begin * PHA__ROW_BLOCK; row < pha__row_block_end(a, end - 1); row++) {
        const float *e = pha__row_in(&a->in[0], a->run->tokens[row], 0, n, be);
        float *o = pha__row_out(&a->out, row, 0, bo);
        if (mask) pha__dropout_row(mask, a->run, attr->dropout, attr->site, row, n);
        scaled(o, e, n, attr->scale, mask);
        pha__row_done(&a->out, row, 0, n, o);
    }
}

/* The first place in run->order whose token is v or a later one. */
static int64_t first_place(const pha__run *run, int64_t rows, int64_t v)
{
    int64_t low = 0, high = rows;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (run->tokens[run->order[middle]] < v) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* Adds the gradients at places [begin, end) of run->order. */
static void add_positions(const pha__args *a, int64_t begin, int64_t end, float *sum, float *memory)
{
    const pha__embed_attr *attr = a->attr;
    int64_t n = a->out.width;
    float *bd = memory, *mask = pha__dropout_on(a->run, attr->dropout) ? bd + n : NULL;
    for (int64_t k = begin; k < end; k++) {
        int32_t row = a->run->order[k];
        const float *d = pha__row_in(&a->d_out, row, 0, n, bd);
        if (mask) {
            pha__dropout_row(mask, a->run, attr->dropout, attr->site, row, n);
            scaled(mask, mask, n, 1.0f, d);
            d = mask;
        }
        pha__add_scaled(sum, attr->scale, d, n);
    }
}

/* Row v of the table; its positions are at those places. */
static void table_row(const pha__args *a, int64_t v, int64_t begin, int64_t end, float *memory)
{
    int64_t n = a->out.width;
    bool add = a->add & PHA__IN(0), goes_on = add && a->more; /* else what is there is not of this op */
    if (add && begin == end) return;
    pha__sum_begin(memory, &a->d_in[0], v, 0, n, goes_on);
    add_positions(a, begin, end, memory, memory + n);
    pha__row_grad(&a->d_in[0], v, 0, n, memory, add && !goes_on);
}

/* The same where another op adds to the table as well: the lane's own sum is by itself until all of it is there. */
static void table_row_apart(const pha__args *a, int64_t v, int64_t begin, int64_t end, float *memory)
{
    int64_t n = a->out.width;
    bool add = a->add & PHA__IN(0);
    float *sum = a->sums + v * n;
    int32_t *used = (int32_t *)(void *)(a->sums + a->in[0].rows * n) + v;
    if (!a->more) *used = 0;
    if (!*used && (begin < end || (a->last && !add))) memset(sum, 0, (size_t)n * sizeof *sum), *used = 1;
    add_positions(a, begin, end, sum, memory);
    if (a->last && *used) pha__row_grad(&a->d_in[0], v, 0, n, sum, add);
}

static void backward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    (void)phase;
    const pha__run *run = a->run;
    int64_t rows = (int64_t)a->B * a->T, V = a->in[0].rows;
    int64_t v = begin * TABLE_ROWS, last = end * TABLE_ROWS < V ? end * TABLE_ROWS : V;
    for (int64_t at = first_place(run, rows, v); v < last; v++) {
        int64_t next = at;
        while (next < rows && run->tokens[run->order[next]] == v) next++;
        (a->sums ? table_row_apart : table_row)(a, v, at, next, memory);
        at = next;
    }
}

PHA__KERNEL(embed) = {.tasks = tasks, .forward = forward, .backward = backward, .scratch = scratch};
