/* layernorm_cpu.c -- a task is a block or a stretch of rows; backward makes mean and variance again
 *
 *   t = d * gain:    dx = (t - mean t - v mean(t * v)) / std,    dgain = sum over tokens of d * v,    dbias = sum of d
 *
 * The variance is the mean of (x - mean)^2, in a second walk over the row: the difference of two sums would lose what a
 * large mean hides. The sums over tokens: one partial per stretch of rows in `work`, added in index order by phase 1.
 */
#include "backend/cpu/rows.h"
#include "ops/layernorm/layernorm.h"

enum { X, GAIN, BIAS, COLUMNS = 256 }; /* inputs; columns per task of the sum over tokens */

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    if (phase == 0) return pass == PHA__BACKWARD ? pha__stretches(a) : pha__row_blocks(a);
    bool sums = pass == PHA__BACKWARD && (a->d_in[GAIN].data || a->d_in[BIAS].data);
    return phase == 1 && sums ? (a->out.width + COLUMNS - 1) / COLUMNS : 0;
}

static size_t work(const pha__args *a, pha__pass pass)
{
    return pass == PHA__BACKWARD ? (size_t)(pha__stretches(a) * 2 * a->out.width) * sizeof(float) : 0;
}

static size_t scratch(const pha__args *a, pha__pass pass)
{
    (void)pass;
    return (size_t)(4 * a->out.width) * sizeof(float);
}

/* Of a row: its mean, and 1 / sqrt(var + eps). */
typedef struct moments {
    vf mean, inverse;
} moments;

static moments moments_of(const float *x, int64_t n, float eps)
{
    vf sum = vf_zero(), squares = vf_zero();
    for (int64_t i = 0; i < n; i += VF) sum += pha__load(x + i, n - i);
    float mean = vf_sum(sum) / (float)n;
    int64_t i = 0;
    for (; i + VF <= n; i += VF) {
        vf d = vf_load(x + i) - vf_set1(mean);
        squares = vf_fma(d, d, squares);
    }
    float rest = 0;
    for (; i < n; i++) rest += (x[i] - mean) * (x[i] - mean);
    return (moments){vf_set1(mean), vf_set1(1.0f / sqrtf((vf_sum(squares) + rest) / (float)n + eps))};
}

static void forward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    (void)phase;
    const pha__layernorm_attr *attr = a->attr;
    int64_t n = a->out.width;
    float *bx = memory, *bo = bx + n;
    const float *gain = pha__row_in(&a->in[GAIN], 0, 0, n, bo + n);
    const float *bias = pha__row_in(&a->in[BIAS], 0, 0, n, bo + 2 * n);
    for (int64_t row = begin * PHA__ROW_BLOCK; row < pha__row_block_end(a, end - 1); row++) {
        const float *x = pha__row_in(&a->in[X], row, 0, n, bx);
        float *o = pha__row_out(&a->out, row, 0, bo);
        moments m = moments_of(x, n, attr->eps);
        for (int64_t i = 0; i < n; i += VF) {
            vf v = m.inverse * (pha__load(x + i, n - i) - m.mean);
            pha__store(o + i, vf_fma(v, pha__load(gain + i, n - i), pha__load(bias + i, n - i)), n - i);
        }
        pha__row_done(&a->out, row, 0, n, o);
    }
}

/* Adds to dgain and dbias; dx NULL: not wanted. */
static void backward_row(float *dx, float *dgain, float *dbias, const float *d, const float *x, const float *gain,
                         int64_t n, float eps)
{
    moments m = moments_of(x, n, eps);
    vf sum = vf_zero(), dot = vf_zero();
    for (int64_t i = 0; i < n; i += VF) { /* lanes beyond the row: d is 0 */
        vf di = pha__load(d + i, n - i), dv = di * m.inverse * (pha__load(x + i, n - i) - m.mean);
        vf g = pha__load(gain + i, n - i);
        sum = vf_fma(di, g, sum), dot = vf_fma(dv, g, dot);
        pha__store(dgain + i, pha__load(dgain + i, n - i) + dv, n - i);
        pha__store(dbias + i, pha__load(dbias + i, n - i) + di, n - i);
    }
    if (!dx) return;
    vf mean_t = vf_set1(vf_sum(sum) / (float)n), mean_tv = vf_set1(vf_sum(dot) / (float)n);
    for (int64_t i = 0; i < n; i += VF) {
        vf v = m.inverse * (pha__load(x + i, n - i) - m.mean);
        vf t = pha__load(d + i, n - i) * pha__load(gain + i, n - i);
        pha__store(dx + i, m.inverse * (t - mean_t - v * mean_tv), n - i);
    }
}

static void backward_block(const pha__args *a, int64_t block, float *memory)
{
    const pha__layernorm_attr *attr = a->attr;
    int64_t n = a->out.width;
    float *bx = memory, *bd = bx + n, *g = a->d_in[X].data ? bd + n : NULL;
    const float *gain = pha__row_in(&a->in[GAIN], 0, 0, n, bd + 2 * n);
    float *dgain = (float *)a->work + block * 2 * n, *dbias = dgain + n;
    memset(dgain, 0, (size_t)(2 * n) * sizeof *dgain);
    for (int64_t row = pha__stretch_begin(a, block); row < pha__stretch_end(a, block); row++) {
        const float *x = pha__row_in(&a->in[X], row, 0, n, bx), *d = pha__row_in(&a->d_out, row, 0, n, bd);
        backward_row(g, dgain, dbias, d, x, gain, n, attr->eps);
        if (g) pha__row_grad(&a->d_in[X], row, 0, n, g, a->add & PHA__IN(X));
    }
}

/* Columns [c, c + m) of the gradient of gain or bias. */
static void sum_parameter(const pha__args *a, int input, int64_t c, int64_t m)
{
    float sum[COLUMNS];
    int64_t n = a->out.width;
    if (!a->d_in[input].data) return;
    pha__fold_blocks(&a->d_in[input], 0, c, m, a->add & PHA__IN(input),
                     (const float *)a->work + (input == BIAS ? n : 0) + c, pha__stretches(a), 2 * n, sum);
}

static void backward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    int64_t n = a->out.width;
    for (int64_t i = begin; i < end; i++) {
        int64_t c = i * COLUMNS, m = n - c < COLUMNS ? n - c : COLUMNS;
        if (phase == 0) backward_block(a, i, memory);
        else sum_parameter(a, GAIN, c, m), sum_parameter(a, BIAS, c, m);
    }
}

PHA__KERNEL(layernorm) = {.tasks = tasks, .forward = forward, .backward = backward, .work = work, .scratch = scratch};
