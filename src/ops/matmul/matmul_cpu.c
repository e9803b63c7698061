/* matmul_cpu.c -- forward Y = X W^T; backward dX = dY W and dW = dY^T X, the tasks of both in one phase */
#include "backend/cpu/gemm.h"
#include "ops/matmul/matmul.h"

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
                       .add = a->add & PHA__IN(1)};
}

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    if (phase > 0) return 0;
    pha__gemm y = product_y(a), dx = product_dx(a), dw = product_dw(a);
    if (pass == PHA__FORWARD) return pha__gemm_tasks(&y);
    return (dx.c ? pha__gemm_tasks(&dx) : 0) + (dw.c ? pha__gemm_tasks(&dw) : 0);
}

static void forward(const pha__args *a, int phase, int64_t begin, int64_t end, void *scratch)
{
    (void)phase;
    pha__gemm y = product_y(a);
    pha__gemm_run(&y, begin, end, scratch);
}

/* Tasks [begin, end) of two products one after the other; one that is not wanted has no tasks. */
static void backward(const pha__args *a, int phase, int64_t begin, int64_t end, void *scratch)
{
    (void)phase;
    pha__gemm dx = product_dx(a), dw = product_dw(a);
    int64_t n = dx.c ? pha__gemm_tasks(&dx) : 0;
    if (begin < n) pha__gemm_run(&dx, begin, end < n ? end : n, scratch);
    if (end > n) pha__gemm_run(&dw, begin > n ? begin - n : 0, end - n, scratch);
}

static size_t scratch_size(const pha__args *a, pha__pass pass)
{
    int64_t m = n_rows(a), n = a->in[1].rows, k = a->in[1].width;
    size_t y = pha__gemm_scratch(m, n, k), dx = pha__gemm_scratch(m, k, n), dw = pha__gemm_scratch(n, k, m);
    if (pass == PHA__FORWARD) return y;
    return dx > dw ? dx : dw;
}

PHA__KERNEL(matmul) = {
    .tasks = tasks,
    .forward = forward,
    .backward = backward,
    .scratch = scratch_size,
};
