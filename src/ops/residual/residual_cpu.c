/* residual_cpu.c -- a task is a block or a stretch of rows
 *
 * With a norm the sum lives in one row of floats; backward makes it again and takes its gradient through the norm
 * first (backend/cpu/norm.h). The gain's sum over tokens: one partial per stretch in `work`, added in order by phase 1.
 */
#include "backend/cpu/dropout.h"
#include "backend/cpu/norm.h"
#include "ops/residual/residual.h"

enum { A, B, NORM }; /* inputs */

static bool normed(const pha__args *a) { return a->in[NORM].width > 0; }

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    if (phase == 0) return pass == PHA__BACKWARD ? pha__stretches(a) : pha__row_blocks(a);
    return phase == 1 && pass == PHA__BACKWARD && a->d_in[NORM].data ? pha__norm_sum_tasks(a->out.width) : 0;
}

static size_t work(const pha__args *a, pha__pass pass)
{
    bool sums = pass == PHA__BACKWARD && normed(a);
    return sums ? (size_t)(pha__stretches(a) * a->out.width) * sizeof(float) : 0;
}

typedef struct rows {
    const float *gain;            /* NULL: no norm */
    float *a, *b, *d, *sum, *out; /* a: zeros if it is absent */
    float *mask;
    bool drop;
} rows;

static size_t scratch(const pha__args *a, pha__pass pass)
{
    (void)pass;
    return (size_t)(6 * a->out.width + pha__dropout_room(a->out.width)) * sizeof(float);
}

static void take(rows *r, const pha__args *a, float *memory)
{
    const pha__residual_attr *attr = a->attr;
    int64_t n = a->out.width;
    *r = (rows){.a = memory, .b = memory + n, .d = memory + 2 * n, .sum = memory + 3 * n, .out = memory + 4 * n};
    if (!a->in[A].data) memset(r->a, 0, (size_t)n * sizeof *r->a);
    if (normed(a)) r->gain = pha__row_in(&a->in[NORM], 0, 0, n, memory + 5 * n);
    r->mask = memory + 6 * n;
    r->drop = pha__dropout_on(a->run, attr->dropout);
}

static void make_mask(const pha__args *a, int64_t row, const rows *r)
{
    const pha__residual_attr *attr = a->attr;
    if (r->drop) pha__dropout_row(r->mask, a->run, attr->dropout, attr->site, row, a->out.width);
}

/* out = alpha a + beta mask b */
static void sum_row(const pha__args *a, int64_t row, const rows *r, float *out)
{
    const pha__residual_attr *attr = a->attr;
    int64_t n = a->out.width;
    const float *p = a->in[A].data ? pha__row_in(&a->in[A], row, 0, n, r->a) : r->a;
    const float *q = pha__row_in(&a->in[B], row, 0, n, r->b);
    vf alpha = vf_set1(attr->alpha), beta = vf_set1(attr->beta);
    for (int64_t i = 0; i < n; i += VF) {
        vf y = beta * pha__load(q + i, n - i);
        if (r->drop) y *= pha__load(r->mask + i, n - i);
        pha__store(out + i, vf_fma(alpha, pha__load(p + i, n - i), y), n - i);
    }
}

static void forward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    (void)phase;
    const pha__residual_attr *attr = a->attr;
    int64_t n = a->out.width;
    rows r;
    take(&r, a, memory);
    for (int64_t row = begin * PHA__ROW_BLOCK; row < pha__row_block_end(a, end - 1); row++) {
        float *out = pha__row_out(&a->out, row, 0, r.out);
        make_mask(a, row, &r);
        sum_row(a, row, &r, out);
        if (r.gain) pha__norm_row(out, out, r.gain, n, attr->norm_eps);
        pha__row_done(&a->out, row, 0, n, out);
    }
}

/* From d, the gradient of the sum. */
static void backward_sum(const pha__args *a, int64_t row, const rows *r, const float *d)
{
    const pha__residual_attr *attr = a->attr;
    int64_t n = a->out.width;
    vf alpha = vf_set1(attr->alpha), beta = vf_set1(attr->beta);
    if (a->d_in[A].data) {
        for (int64_t i = 0; i < n; i += VF) pha__store(r->out + i, alpha * pha__load(d + i, n - i), n - i);
        pha__row_grad(&a->d_in[A], row, 0, n, r->out, a->add & PHA__IN(A));
    }
    if (!a->d_in[B].data) return;
    for (int64_t i = 0; i < n; i += VF) {
        vf g = beta * pha__load(d + i, n - i);
        pha__store(r->out + i, r->drop ? g * pha__load(r->mask + i, n - i) : g, n - i);
    }
    pha__row_grad(&a->d_in[B], row, 0, n, r->out, a->add & PHA__IN(B));
}

static void backward_block(const pha__args *a, int64_t block, const rows *r)
{
    const pha__residual_attr *attr = a->attr;
    int64_t n = a->out.width;
    float *dgain = (float *)a->work + block * n;
    if (r->gain) memset(dgain, 0, (size_t)n * sizeof *dgain);
    for (int64_t row = pha__stretch_begin(a, block); row < pha__stretch_end(a, block); row++) {
        const float *d = pha__row_in(&a->d_out, row, 0, n, r->d);
        make_mask(a, row, r);
        if (r->gain) {
            sum_row(a, row, r, r->sum);
            pha__norm_row_backward(r->sum, dgain, d, r->sum, r->gain, n, attr->norm_eps);
            d = r->sum;
        }
        backward_sum(a, row, r, d);
    }
}

static void backward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    if (phase == 1) {
        pha__norm_sum(a, NORM, begin, end);
        return;
    }
    rows r;
    take(&r, a, memory);
    for (int64_t block = begin; block < end; block++) backward_block(a, block, &r);
}

PHA__KERNEL(residual) = {.tasks = tasks, .forward = forward, .backward = backward, .work = work, .scratch = scratch};
