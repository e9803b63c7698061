/* gelu_cpu.c -- a task is a block of rows
 *
 * (1 + tanh u) / 2 is the logistic function of 2 u, so
 *
 *   out = x s,    dx = d s (1 + x (1 - s) w'),    s = sigmoid(w),  w = 2 sqrt(2/pi) (x + 0.044715 x^3)
 */
#include "backend/cpu/rows.h"
#include "ops/gelu/gelu.h"

static const float C = 1.5957691216057308f, CUBIC = 0.044715f; /* 2 sqrt(2/pi) */

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

/* s and w' */
PHA__INLINE vf gate(vf x, vf *slope)
{
    vf square = x * x, one = vf_set1(1.0f);
    *slope = vf_set1(C) * vf_fma(vf_set1(3 * CUBIC), square, one);
    return vf_sigmoid(vf_set1(C) * x * vf_fma(vf_set1(CUBIC), square, one));
}

static void forward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    (void)phase;
    int64_t n = a->out.width;
    float *bx = memory, *bo = bx + n;
    for (int64_t row = begin * PHA__ROW_BLOCK; row < pha__row_block_end(a, end - 1); row++) {
        const float *x = pha__row_in(&a->in[0], row, 0, n, bx);
        float *o = pha__row_out(&a->out, row, 0, bo);
        for (int64_t i = 0; i < n; i += VF) {
            vf v = pha__load(x + i, n - i), slope;
            pha__store(o + i, v * gate(v, &slope), n - i);
        }
        pha__row_done(&a->out, row, 0, n, o);
    }
}

static void backward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    (void)phase;
    int64_t n = a->out.width;
    float *bx = memory, *bd = bx + n, *g = bd + n;
    vf one = vf_set1(1.0f), far = vf_set1(1e6f); /* beyond, x (1 - s) w' is 0 and must not be inf 0 */
    for (int64_t row = begin * PHA__ROW_BLOCK; row < pha__row_block_end(a, end - 1); row++) {
        const float *x = pha__row_in(&a->in[0], row, 0, n, bx), *d = pha__row_in(&a->d_out, row, 0, n, bd);
        for (int64_t i = 0; i < n; i += VF) {
            vf v = vf_max(-far, vf_min(far, pha__load(x + i, n - i))), slope, s = gate(v, &slope);
            pha__store(g + i, pha__load(d + i, n - i) * s * vf_fma(v * (one - s), slope, one), n - i);
        }
        pha__row_grad(&a->d_in[0], row, 0, n, g, a->add & PHA__IN(0));
    }
}

PHA__KERNEL(gelu) = {.tasks = tasks, .forward = forward, .backward = backward, .scratch = scratch};
