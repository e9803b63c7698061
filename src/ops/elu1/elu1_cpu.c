/* elu1_cpu.c -- a task is a block of rows; the slope is read off the output: 1 where it is above 1, else the output */
#include "backend/cpu/rows.h"
#include "ops/elu1/elu1.h"

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    bool wanted = pass == PHA__FORWARD || a->d_in[0].data;
    return phase == 0 && wanted ? pha__row_blocks(a) : 0;
}

static size_t scratch(const pha__args *a, pha__pass pass)
{
    (void)pass;
    return (size_t)(3 * a->out.width) * sizeof(float);
}

static void forward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    (void)phase;
    int64_t n = a->out.width;
    float *bx = memory, *bo = bx + n;
    vf one = vf_set1(1.0f);
    for (int64_t row = begin * PHA__ROW_BLOCK; row < pha__row_block_end(a, end - 1); row++) {
        const float *x = pha__row_in(&a->in[0], row, 0, n, bx);
        float *o = pha__row_out(&a->out, row, 0, bo);
        for (int64_t i = 0; i < n; i += VF) {
            vf v = pha__load(x + i, n - i);
            pha__store(o + i, vf_select(v > vf_zero(), v + one, vf_exp(v)), n - i);
        }
        pha__row_done(&a->out, row, 0, n, o);
    }
}

static void backward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    (void)phase;
    int64_t n = a->out.width;
    float *bo = memory, *bd = bo + n, *g = bd + n;
    vf one = vf_set1(1.0f);
    for (int64_t row = begin * PHA__ROW_BLOCK; row < pha__row_block_end(a, end - 1); row++) {
        const float *o = pha__row_in(&a->out, row, 0, n, bo), *d = pha__row_in(&a->d_out, row, 0, n, bd);
        for (int64_t i = 0; i < n; i += VF)
            pha__store(g + i, pha__load(d + i, n - i) * vf_min(one, pha__load(o + i, n - i)), n - i);
        pha__row_grad(&a->d_in[0], row, 0, n, g, a->add & PHA__IN(0));
    }
}

PHA__KERNEL(elu1) = {.tasks = tasks, .forward = forward, .backward = backward, .scratch = scratch};
