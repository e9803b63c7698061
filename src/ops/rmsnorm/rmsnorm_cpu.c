/* rmsnorm_cpu.c -- a task is a block of rows; r is made again in backward
 *
 *   v = r x,  t = d * gain:   dx = r (t - v mean(t * v)),   dgain = sum over tokens of d * v        (algorithms.md 6)
 *
 * The sum over tokens: one partial per block of rows in `work`, added in index order by phase 1.
 */
#include <math.h>

#include "backend/cpu/rows.h"
#include "ops/rmsnorm/rmsnorm.h"

enum { COLUMNS = 256 }; /* per task of phase 1 */

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    if (phase == 0) return pha__row_blocks(a);
    if (phase == 1 && pass == PHA__BACKWARD && a->d_in[1].data) return (a->out.width + COLUMNS - 1) / COLUMNS;
    return 0;
}

static size_t work(const pha__args *a, pha__pass pass)
{
    return pass == PHA__BACKWARD ? (size_t)(pha__row_blocks(a) * a->out.width) * sizeof(float) : 0;
}

static size_t scratch(const pha__args *a, pha__pass pass)
{
    (void)pass;
    return (size_t)(4 * a->out.width + COLUMNS) * sizeof(float);
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
        const float *x = pha__row_in(&a->in[0], row, 0, n, bx);
        float *o = pha__row_out(&a->out, row, 0, bo);
        vf r = vf_set1(pha__inverse_rms(x, n, attr->eps));
        for (int64_t i = 0; i < n; i += VF) {
            vf v = r * pha__load(x + i, n - i);
            pha__store(o + i, gain ? v * pha__load(gain + i, n - i) : v, n - i);
        }
        pha__row_done(&a->out, row, 0, n, o);
    }
}

static void backward_row(const pha__args *a, int64_t row, const float *gain, float *partial, float *memory)
{
    const pha__rmsnorm_attr *attr = a->attr;
    int64_t n = a->out.width;
    float *bx = memory, *bd = bx + n, *g = bd + n;
    const float *x = pha__row_in(&a->in[0], row, 0, n, bx), *d = pha__row_in(&a->d_out, row, 0, n, bd);
    float r = pha__inverse_rms(x, n, attr->eps);
    vf sum = vf_zero(), vr = vf_set1(r), one = vf_set1(1.0f);
    for (int64_t i = 0; i < n; i += VF) {
        vf dv = pha__load(d + i, n - i) * vr * pha__load(x + i, n - i);
        sum = vf_fma(dv, gain ? pha__load(gain + i, n - i) : one, sum);
        pha__store(partial + i, pha__load(partial + i, n - i) + dv, n - i);
    }
    if (!a->d_in[0].data) return;
    vf mean = vf_set1(vf_sum(sum) / (float)n);
    for (int64_t i = 0; i < n; i += VF) {
        vf t = pha__load(d + i, n - i) * (gain ? pha__load(gain + i, n - i) : one);
        pha__store(g + i, vr * (t - vr * pha__load(x + i, n - i) * mean), n - i);
    }
    pha__row_grad(&a->d_in[0], row, 0, n, g, a->add & PHA__IN(0));
}

static void backward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    int64_t n = a->out.width;
    float *partials = a->work;
    if (phase == 0) {
        const float *gain = gain_of(a, (float *)memory + 3 * n);
        for (int64_t block = begin; block < end; block++) {
            float *partial = partials + block * n;
            memset(partial, 0, (size_t)n * sizeof *partial);
            for (int64_t row = block * PHA__ROW_BLOCK; row < pha__row_block_end(a, block); row++) {
                backward_row(a, row, gain, partial, memory);
            }
        }
        return;
    }
    for (int64_t c = begin * COLUMNS; c < end * COLUMNS && c < n; c += COLUMNS) {
        int64_t m = n - c < COLUMNS ? n - c : COLUMNS;
        pha__sum_blocks(memory, partials + c, pha__row_blocks(a), n, m);
        pha__row_grad(&a->d_in[1], 0, c, m, memory, a->add & PHA__IN(1));
    }
}

PHA__KERNEL(rmsnorm) = {.tasks = tasks, .forward = forward, .backward = backward, .work = work, .scratch = scratch};
