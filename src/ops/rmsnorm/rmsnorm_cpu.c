/* rmsnorm_cpu.c -- a task is a block or a stretch of rows; backward makes the root mean square again
 * (backend/cpu/norm.h)
 *
 * The sum over tokens: one partial per stretch of rows in `work`, added in index order by phase 1.
 */
#include "backend/cpu/norm.h"
#include "ops/rmsnorm/rmsnorm.h"

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    if (phase == 0) return pass == PHA__BACKWARD ? pha__stretches(a) : pha__row_blocks(a);
    return phase == 1 && pass == PHA__BACKWARD && a->d_in[1].data ? pha__norm_sum_tasks(a->out.width) : 0;
}

static size_t work(const pha__args *a, pha__pass pass)
{
    return pass == PHA__BACKWARD ? (size_t)(pha__stretches(a) * a->out.width) * sizeof(float) : 0;
}

static size_t scratch(const pha__args *a, pha__pass pass)
{
    (void)pass;
    return (size_t)(4 * a->out.width) * sizeof(float);
}

/* The gain as floats, NULL if it is absent. */
static const float *gain_of(const pha__args *a, float *buffer)
{
    return a->in[1].data ? pha__row_in(&a->in[1], 0, 0, a->out.width, buffer) : NULL;
}

static void forward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    (void)phase;
    const pha__rmsnorm_attr *attr = a->attr;
    int64_t n = a->out.width;
    float *bx = memory, *bo = bx + n;
    const float *gain = gain_of(a, bo + n);
    for (int64_t row = begin * PHA__ROW_BLOCK; row < pha__row_block_end(a, end - 1); row++) {
        float *o = pha__row_out(&a->out, row, 0, bo);
        pha__norm_row(o, pha__row_in(&a->in[0], row, 0, n, bx), gain, n, attr->eps);
        pha__row_done(&a->out, row, 0, n, o);
    }
}

static void backward_row(const pha__args *a, int64_t row, const float *gain, float *partial, float *memory)
{
    const pha__rmsnorm_attr *attr = a->attr;
    int64_t n = a->out.width;
    float *bx = memory, *bd = bx + n, *g = a->d_in[0].data ? bd + n : NULL;
    const float *x = pha__row_in(&a->in[0], row, 0, n, bx), *d = pha__row_in(&a->d_out, row, 0, n, bd);
    pha__norm_row_backward(g, partial, d, x, gain, n, attr->eps);
    if (g) pha__row_grad(&a->d_in[0], row, 0, n, g, a->add & PHA__IN(0));
}

static void backward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    if (phase == 1) {
        pha__norm_sum(a, 1, begin, end);
        return;
    }
    int64_t n = a->out.width;
    const float *gain = gain_of(a, (float *)memory + 3 * n);
    for (int64_t block = begin; block < end; block++) {
        float *partial = (float *)a->work + block * n;
        memset(partial, 0, (size_t)n * sizeof *partial);
        for (int64_t row = pha__stretch_begin(a, block); row < pha__stretch_end(a, block); row++)
            backward_row(a, row, gain, partial, memory);
    }
}

PHA__KERNEL(rmsnorm) = {.tasks = tasks, .forward = forward, .backward = backward, .work = work, .scratch = scratch};
