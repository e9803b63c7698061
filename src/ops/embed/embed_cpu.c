/* embed_cpu.c -- forward: a task is a block of rows. Backward: phase 0 sorts the positions by token (counting sort, one
 * task); in phase 1 a task owns some rows of the table and sums, in order of position, the gradients of each
 *
 * work: start[V + 1], position[B T] (int32): the positions of token v are position[start[v] .. start[v + 1]).
 */
#include "backend/cpu/dropout.h"
#include "ops/embed/embed.h"

enum { TABLE_ROWS = 256 }; /* per task of phase 1 */

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    if (pass == PHA__FORWARD) return phase == 0 ? pha__row_blocks(a) : 0;
    if (!a->d_in[0].data || phase > 1) return 0;
    return phase == 0 ? 1 : (a->in[0].rows + TABLE_ROWS - 1) / TABLE_ROWS;
}

static size_t work(const pha__args *a, pha__pass pass)
{
    if (pass == PHA__FORWARD) return 0;
    return (size_t)(a->in[0].rows + 1 + (int64_t)a->B * a->T) * sizeof(int32_t);
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

static void sort_positions(const pha__args *a)
{
    int64_t rows = (int64_t)a->B * a->T, V = a->in[0].rows;
    int32_t *start = a->work, *position = start + V + 1;
    const int32_t *tokens = a->run->tokens;
    memset(start, 0, (size_t)(V + 1) * sizeof *start);
    for (int64_t i = 0; i < rows; i++) start[tokens[i] + 1]++;
    for (int64_t v = 0; v < V; v++) start[v + 1] += start[v];
    /* start[v] moves to the end of its run while the run is filled, and the shift below brings it back */
    for (int64_t i = 0; i < rows; i++) position[start[tokens[i]]++] = (int32_t)i;
    for (int64_t v = V; v > 0; v--) start[v] = start[v - 1];
    start[0] = 0;
}

static void table_row(const pha__args *a, int64_t v, float *memory)
{
    const pha__embed_attr *attr = a->attr;
    int64_t n = a->out.width;
    const int32_t *start = a->work, *position = start + a->in[0].rows + 1;
    bool add = a->add & PHA__IN(0);
    float *sum = memory, *bd = sum + n;
    float *mask = pha__dropout_on(a->run, attr->dropout) ? bd + n : NULL;
    if (add && start[v] == start[v + 1]) return;
    memset(sum, 0, (size_t)n * sizeof *sum);
    for (int32_t k = start[v]; k < start[v + 1]; k++) {
        const float *d = pha__row_in(&a->d_out, position[k], 0, n, bd);
        if (mask) {
            pha__dropout_row(mask, a->run, attr->dropout, attr->site, position[k], n);
            scaled(mask, mask, n, 1.0f, d);
            d = mask;
        }
        pha__add_scaled(sum, attr->scale, d, n);
    }
    pha__row_grad(&a->d_in[0], v, 0, n, sum, add);
}

static void backward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    if (phase == 0) {
        sort_positions(a);
        return;
    }
    for (int64_t v = begin * TABLE_ROWS; v < end * TABLE_ROWS && v < a->in[0].rows; v++) table_row(a, v, memory);
}

PHA__KERNEL(embed) = {.tasks = tasks, .forward = forward, .backward = backward, .work = work, .scratch = scratch};
