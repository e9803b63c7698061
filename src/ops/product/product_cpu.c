/* product_cpu.c -- a task is a block of rows: da = d b, db = d a */
#include "backend/cpu/rows.h"
#include "ops/product/product.h"

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    (void)pass;
    return phase == 0 ? pha__row_blocks(a) : 0;
}

static size_t scratch(const pha__args *a, pha__pass pass)
{
    (void)pass;
    return (size_t)(3 * a->out.width) * sizeof(float);
}

static void multiply(float *out, const float *a, const float *b, int64_t n)
{
    for (int64_t i = 0; i < n; i += VF) pha__store(out + i, pha__load(a + i, n - i) * pha__load(b + i, n - i), n - i);
}

static void forward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    (void)phase;
    int64_t n = a->out.width;
    float *ba = memory, *bb = ba + n, *bo = bb + n;
    for (int64_t row = begin * PHA__ROW_BLOCK; row < pha__row_block_end(a, end - 1); row++) {
        float *o = pha__row_out(&a->out, row, 0, bo);
        multiply(o, pha__row_in(&a->in[0], row, 0, n, ba), pha__row_in(&a->in[1], row, 0, n, bb), n);
        pha__row_done(&a->out, row, 0, n, o);
    }
}

/* The inputs may be one value: then its gradient comes in two parts, the second added to the first. */
static void backward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    (void)phase;
    int64_t n = a->out.width;
    float *bx = memory, *bd = bx + n, *g = bd + n;
    for (int64_t row = begin * PHA__ROW_BLOCK; row < pha__row_block_end(a, end - 1); row++) {
        const float *d = pha__row_in(&a->d_out, row, 0, n, bd);
        for (int k = 0; k < 2; k++) {
            if (!a->d_in[k].data) continue;
            multiply(g, d, pha__row_in(&a->in[1 - k], row, 0, n, bx), n);
            pha__row_grad(&a->d_in[k], row, 0, n, g, a->add & PHA__IN(k));
        }
    }
}

PHA__KERNEL(product) = {.tasks = tasks, .forward = forward, .backward = backward, .scratch = scratch};
