/* residual_cpu.c -- a task is a block of rows */
#include "backend/cpu/dropout.h"
#include "ops/residual/residual.h"

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    (void)pass;
    return phase == 0 ? pha__row_blocks(a) : 0;
}

static size_t scratch(const pha__args *a, pha__pass pass)
{
    (void)pass;
    return (size_t)(3 * a->out.width + pha__dropout_room(a->out.width)) * sizeof(float);
}

static void forward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    (void)phase;
    const pha__residual_attr *attr = a->attr;
    int64_t n = a->out.width;
    float *xa = memory, *xb = xa + n, *xo = xb + n, *mask = xo + n;
    if (!a->in[0].data) memset(xa, 0, (size_t)n * sizeof *xa);
    bool drop = pha__dropout_on(a->run, attr->dropout);
    vf alpha = vf_set1(attr->alpha), beta = vf_set1(attr->beta), one = vf_set1(1.0f);
    for (int64_t row = begin * PHA__ROW_BLOCK; row < pha__row_block_end(a, end - 1); row++) {
        const float *p = a->in[0].data ? pha__row_in(&a->in[0], row, 0, n, xa) : xa;
        const float *q = pha__row_in(&a->in[1], row, 0, n, xb);
        float *o = pha__row_out(&a->out, row, 0, xo);
        if (drop) pha__dropout_row(mask, a->run, attr->dropout, attr->site, row, n);
        for (int64_t i = 0; i < n; i += VF) {
            vf m = drop ? pha__load(mask + i, n - i) : one;
            pha__store(o + i, alpha * pha__load(p + i, n - i) + beta * m * pha__load(q + i, n - i), n - i);
        }
        pha__row_done(&a->out, row, 0, n, o);
    }
}

static void backward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    (void)phase;
    const pha__residual_attr *attr = a->attr;
    int64_t n = a->out.width;
    float *buffer = memory, *g = buffer + n, *mask = g + 2 * n;
    bool drop = pha__dropout_on(a->run, attr->dropout);
    vf alpha = vf_set1(attr->alpha), beta = vf_set1(attr->beta), one = vf_set1(1.0f);
    for (int64_t row = begin * PHA__ROW_BLOCK; row < pha__row_block_end(a, end - 1); row++) {
        const float *d = pha__row_in(&a->d_out, row, 0, n, buffer);
        if (a->d_in[0].data) {
            for (int64_t i = 0; i < n; i += VF) pha__store(g + i, alpha * pha__load(d + i, n - i), n - i);
            pha__row_grad(&a->d_in[0], row, 0, n, g, a->add & PHA__IN(0));
        }
        if (!a->d_in[1].data) continue;
        if (drop) pha__dropout_row(mask, a->run, attr->dropout, attr->site, row, n);
        for (int64_t i = 0; i < n; i += VF) {
            vf m = drop ? pha__load(mask + i, n - i) : one;
            pha__store(g + i, beta * m * pha__load(d + i, n - i), n - i);
        }
        pha__row_grad(&a->d_in[1], row, 0, n, g, a->add & PHA__IN(1));
    }
}

PHA__KERNEL(residual) = {.tasks = tasks, .forward = forward, .backward = backward, .scratch = scratch};
