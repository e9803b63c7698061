/* matmul_cpu.c -- forward Y = X W^T + b; backward dX = dY W, dW = dY^T X and db, the tasks of all in one phase
 *
 * The bias goes to the product, which adds it when it writes Y. A task of db owns some columns and sums their rows by
 * stretches, in order. dW is a sum over sequences.
 */
#include "backend/cpu/gemm.h"
#include "backend/cpu/rows.h"
#include "ops/matmul/matmul.h"

enum { BIAS = 2, COLUMNS = 256 }; /* the first bias; columns per task of its gradient */

static int64_t n_rows(const pha__args *a)
{
    return (int64_t)a->B * a->T;
}

static pha__gemm product_y(const pha__args *a) /* (rows, N) = (rows, K) (K, N) */
{
    const pha__view *x = &a->in[0], *w = &a->in[1], *y = &a->out;
    return (pha__gemm){.m = n_rows(a), .n = w->rows, .k = w->width, .a = x->data, .a_row = x->ld, .a_col = 1,
                       .a_type = x->dtype, .b = w->data, .b_row = 1, .b_col = w->ld, .b_type = w->dtype,
                       .c = y->data, .c_row = y->ld, .c_type = y->dtype};
}

static pha__gemm product_dx(const pha__args *a) /* (rows, K) = (rows, N) (N, K) */
{
    const pha__view *dy = &a->d_out, *w = &a->in[1], *dx = &a->d_in[0];
    return (pha__gemm){.m = n_rows(a), .n = w->width, .k = w->rows, .a = dy->data, .a_row = dy->ld, .a_col = 1,
                       .a_type = dy->dtype, .b = w->data, .b_row = w->ld, .b_col = 1, .b_type = w->dtype,
                       .c = dx->data, .c_row = dx->ld, .c_type = dx->dtype, .add = a->add & PHA__IN(0)};
}

static pha__gemm product_dw(const pha__args *a) /* (N, K) = (N, rows) (rows, K) */
{
    const pha__view *dy = &a->d_out, *x = &a->in[0], *dw = &a->d_in[1];
    return (pha__gemm){.m = a->in[1].rows, .n = a->in[1].width, .k = n_rows(a), .a = dy->data, .a_row = 1,
                       .a_col = dy->ld, .a_type = dy->dtype, .b = x->data, .b_row = x->ld, .b_col = 1,
                       .b_type = x->dtype, .c = dw->data, .c_row = dw->ld, .c_type = dw->dtype,
                       .add = a->add & PHA__IN(1), .sequence = a->T};
}

static int64_t bias_tasks(const pha__args *a, int i)
{
    return a->d_in[i].data ? (a->d_in[i].width + COLUMNS - 1) / COLUMNS : 0;
}

/* The biases side by side; NULL: none. */
static const float *bias_of(const pha__args *a, float *buffer)
{
    int64_t at = 0;
    if (a->n_in <= BIAS || !a->in[BIAS].data) return NULL;
    if (a->n_in == BIAS + 1) return pha__row_in(&a->in[BIAS], 0, 0, a->in[BIAS].width, buffer);
    for (int i = BIAS; i < a->n_in; at += a->in[i++].width) {
        const float *b = pha__row_in(&a->in[i], 0, 0, a->in[i].width, buffer + at);
        if (b != buffer + at) memcpy(buffer + at, b, (size_t)a->in[i].width * sizeof *b);
    }
    return buffer;
}

/* Columns [c, c + n) of the gradient of bias i; it stands at column `at` of dY. */
static void bias_gradient(const pha__args *a, int i, int64_t at, int64_t c, int64_t n)
{
    float sum[COLUMNS], part[COLUMNS], room[COLUMNS];
    pha__sum_begin(sum, &a->d_in[i], 0, c, n, a->add & PHA__IN(i));
    for (int64_t k = 0; k < pha__stretches(a); k++) {
        memset(part, 0, sizeof part);
        for (int64_t row = pha__stretch_begin(a, k); row < pha__stretch_end(a, k); row++)
            pha__add_scaled(part, 1.0f, pha__row_in(&a->d_out, row, at + c, n, room), n);
        pha__add_scaled(sum, 1.0f, part, n);
    }
    pha__row_grad(&a->d_in[i], 0, c, n, sum, false);
}

/* Tasks [begin, end) of the gradients of all biases. */
static void bias_backward(const pha__args *a, int64_t begin, int64_t end)
{
    int64_t first = 0, at = 0;
    for (int i = BIAS; i < a->n_in; first += bias_tasks(a, i), at += a->in[i++].width)
        for (int64_t k = 0; k < bias_tasks(a, i); k++) {
            int64_t c = k * COLUMNS, left = a->d_in[i].width - c;
            if (first + k >= begin && first + k < end) bias_gradient(a, i, at, c, left < COLUMNS ? left : COLUMNS);
        }
}

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    if (phase > 0) return 0;
    pha__gemm y = product_y(a), dx = product_dx(a), dw = product_dw(a);
    if (pass == PHA__FORWARD) return pha__gemm_tasks(&y);
    int64_t n = (dx.c ? pha__gemm_tasks(&dx) : 0) + (dw.c ? pha__gemm_tasks(&dw) : 0);
    for (int i = BIAS; i < a->n_in; i++) n += bias_tasks(a, i);
    return n;
}

/* Floats in front of the product's scratch, so that it stays on a line. */
static int64_t bias_room(const pha__args *a) { return a->n_in > BIAS ? (a->in[1].rows + 15) / 16 * 16 : 0; }

static void forward(const pha__args *a, int phase, int64_t begin, int64_t end, void *scratch)
{
    (void)phase;
    pha__gemm y = product_y(a);
    y.bias = bias_of(a, scratch);
    pha__gemm_run(&y, begin, end, (float *)scratch + bias_room(a));
}

/* Tasks [begin, end) of two products and the biases one after the other; what is not wanted has no tasks. */
static void backward(const pha__args *a, int phase, int64_t begin, int64_t end, void *scratch)
{
    (void)phase;
    pha__gemm dx = product_dx(a), dw = product_dw(a);
    int64_t n = dx.c ? pha__gemm_tasks(&dx) : 0, m = n + (dw.c ? pha__gemm_tasks(&dw) : 0);
    if (begin < n) pha__gemm_run(&dx, begin, end < n ? end : n, scratch);
    if (end > n && begin < m) pha__gemm_run(&dw, begin > n ? begin - n : 0, (end < m ? end : m) - n, scratch);
    if (end > m) bias_backward(a, begin > m ? begin - m : 0, end - m);
}

static size_t scratch_size(const pha__args *a, pha__pass pass)
{
    int64_t m = n_rows(a), n = a->in[1].rows, k = a->in[1].width;
    size_t y = pha__gemm_scratch(m, n, k), dx = pha__gemm_scratch(m, k, n), dw = pha__gemm_scratch(n, k, m);
    if (pass == PHA__FORWARD) return y + (size_t)bias_room(a) * sizeof(float);
    return dx > dw ? dx : dw;
}

PHA__KERNEL(matmul) = {
    .tasks = tasks,
    .forward = forward,
    .backward = backward,
    .scratch = scratch_size,
};
