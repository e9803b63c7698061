/* silu_mul_cpu.c -- a task is a block of rows
 *
 *   db = d SiLU(a),   da = d b s (1 + a (1 - s)),   s = sigmoid(a)        (algorithms.md 7)
 */
#include "backend/cpu/rows.h"
#include "ops/silu_mul/silu_mul.h"

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    (void)pass;
    return phase == 0 ? pha__row_blocks(a) : 0;
}

static size_t scratch(const pha__args *a, pha__pass pass)
{
    (void)pass;
    return (size_t)(5 * a->out.width) * sizeof(float);
}

static void forward(const pha__args *args, int phase, int64_t begin, int64_t end, void *memory)
{
    (void)phase;
    int64_t n = args->out.width;
    float *xa = memory, *xb = xa + n, *xo = xb + n;
    for (int64_t row = begin * PHA__ROW_BLOCK; row < pha__row_block_end(args, end - 1); row++) {
        const float *a = pha__row_in(&args->in[0], row, 0, n, xa), *b = pha__row_in(&args->in[1], row, 0, n, xb);
        float *o = pha__row_out(&args->out, row, 0, xo);
        for (int64_t i = 0; i < n; i += VF) {
            pha__store(o + i, vf_silu(pha__load(a + i, n - i)) * pha__load(b + i, n - i), n - i);
        }
        pha__row_done(&args->out, row, 0, n, o);
    }
}

static void backward(const pha__args *args, int phase, int64_t begin, int64_t end, void *memory)
{
    (void)phase;
    int64_t n = args->out.width;
    float *xa = memory, *xb = xa + n, *xd = xb + n, *ga = xd + n, *gb = ga + n;
    vf one = vf_set1(1.0f);
    for (int64_t row = begin * PHA__ROW_BLOCK; row < pha__row_block_end(args, end - 1); row++) {
        const float *a = pha__row_in(&args->in[0], row, 0, n, xa), *b = pha__row_in(&args->in[1], row, 0, n, xb);
        const float *d = pha__row_in(&args->d_out, row, 0, n, xd);
        for (int64_t i = 0; i < n; i += VF) {
            vf x = pha__load(a + i, n - i), s = vf_sigmoid(x), g = pha__load(d + i, n - i);
            pha__store(ga + i, g * pha__load(b + i, n - i) * s * vf_fma(x, one - s, one), n - i);
            pha__store(gb + i, g * x * s, n - i);
        }
        if (args->d_in[0].data) pha__row_grad(&args->d_in[0], row, 0, n, ga, args->add & PHA__IN(0));
        if (args->d_in[1].data) pha__row_grad(&args->d_in[1], row, 0, n, gb, args->add & PHA__IN(1));
    }
}

PHA__KERNEL(silu_mul) = {.tasks = tasks, .forward = forward, .backward = backward, .scratch = scratch};
