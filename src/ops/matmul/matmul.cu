// matmul.cu -- three products of cuBLASLt; without it an element of the result a thread. Of few rows, as sessions have
// them, forward reads each weight once: two rows of weights a warp
#include "backend/cuda/eights.cuh"
#include "backend/cuda/products.h"
#include "ops/matmul/matmul.h"

namespace {

enum { X, W, BIAS };

PHA__DEV float bias_of(const pha__args &a, int64_t n) {
    for (int b = BIAS; b < a.n_in && a.in[b].data; n -= a.in[b++].width)
        if (n < a.in[b].width) return get(a.in[b], 0, n);
    return 0;
}

struct forward {
    pha__args a;
    PHA__CALL void operator()(int64_t k) const {
        int64_t row = k / a.out.width, n = k % a.out.width;
        double sum = bias_of(a, n);
        for (int64_t i = 0; i < a.in[W].width; i++) sum += (double)get(a.in[X], row, i) * get(a.in[W], n, i);
        put(a.out, row, n, (float)sum);
    }
};

struct add_bias { // to a product that is there
    pha__args a;
    PHA__CALL void operator()(int64_t k) const {
        int64_t row = k / a.out.width, n = k % a.out.width;
        put(a.out, row, n, bias_of(a, n), true);
    }
};

// ---- few rows -------------------------------------------------------------------------------------------------------

enum { FEW = 8, WARPS = 4 };

struct few {
    pha__args a;
    int rows;
    bool wide; // eight numbers may be read at once
};

// Rows n and m of the weights, by all rows of x. The sum of a number does not depend on M.
template <int M> PHA__TILE void products_of(float sum[2 * M], const few &f, int64_t n, int64_t m, int lane) {
    const pha__view &x = f.a.in[X], &w = f.a.in[W];
    if (!f.wide) {
        for (int64_t k = lane; k < w.width; k += 32) {
            float p = get(w, n, k), q = get(w, m, k);
            for (int r = 0; r < M && r < f.rows; r++) {
                float y = get(x, r, k);
                sum[r] = fmaf(p, y, sum[r]), sum[M + r] = fmaf(q, y, sum[M + r]);
            }
        }
        return;
    }
    for (int64_t k = 8 * lane; k < w.width; k += 8 * 32) {
        float p[8], q[8], y[8];
        pha__eight::load(p, w, n, k), pha__eight::load(q, w, m, k);
        PHA__UNROLL
        for (int r = 0; r < M; r++) {
            if (r >= f.rows) break;
            pha__eight::load(y, x, r, k);
            PHA__UNROLL
            for (int i = 0; i < 8; i++)
                sum[r] = fmaf(p[i], y[i], sum[r]), sum[M + r] = fmaf(q[i], y[i], sum[M + r]);
        }
    }
}

// C sums over the lanes at once: a lane gets number lane / (32 / C) of them. Every number is added in the same order.
template <int C> PHA__TILE float sum_of(float v[C], int lane) {
    int mask = 16;
    PHA__UNROLL
    for (int c = C; c > 1; c /= 2, mask /= 2) { // half of the lanes goes on with half of the numbers
        bool upper = lane & mask;
        PHA__UNROLL
        for (int i = 0; i < c / 2; i++) {
            float given = shuffle(upper ? v[i] : v[i + c / 2], mask);
            v[i] = (upper ? v[i + c / 2] : v[i]) + given;
        }
    }
    for (; mask; mask /= 2) v[0] += shuffle(v[0], mask);
    return v[0];
}

template <int M> PHA__GLOBAL(32 * WARPS) few_rows(few f) {
    int lane = thread_index() % 32, which = lane / (16 / M), r = which % M;
    int64_t n = 2 * ((int64_t)block_x() * WARPS + thread_index() / 32), N = f.a.in[W].rows;
    if (n >= N) return;
    float sum[2 * M] = {};
    products_of<M>(sum, f, n, n + 1 < N ? n + 1 : n, lane);
    float all = sum_of<2 * M>(sum, lane);
    n += which / M;
    if (lane % (16 / M) == 0 && r < f.rows && n < N) put(f.a.out, r, n, all + bias_of(f.a, n));
}

// False: more rows than a warp keeps sums of.
bool by_warps(pha__cuda *c, const pha__args *a) {
    int64_t rows = n_rows(a), blocks = (a->in[W].rows + 2 * WARPS - 1) / (2 * WARPS);
    if (rows > FEW || pha__cuda_plain("matmul")) return false;
    few f = {*a, (int)rows, pha__in_eights(&a->in[X]) && pha__in_eights(&a->in[W])};
    pha__launch(c, rows == 1 ? few_rows<1> : rows == 2 ? few_rows<2> : rows <= 4 ? few_rows<4> : few_rows<FEW>,
                {blocks, 1}, 32 * WARPS, 0, f);
    return true;
}

// ---- backward -------------------------------------------------------------------------------------------------------

struct by_input {
    pha__args a;
    PHA__CALL void operator()(int64_t k) const {
        int64_t row = k / a.in[W].width, i = k % a.in[W].width;
        double sum = 0;
        for (int64_t n = 0; n < a.in[W].rows; n++) sum += (double)get(a.d_out, row, n) * get(a.in[W], n, i);
        put_grad(a, X, row, i, sum);
    }
};

struct by_weights {
    pha__args a;
    PHA__CALL void operator()(int64_t k) const {
        int64_t n = k / a.in[W].width, i = k % a.in[W].width;
        double sum = 0;
        for (int64_t row = 0; row < (int64_t)a.B * a.T; row++)
            sum += (double)get(a.d_out, row, n) * get(a.in[X], row, i);
        put_grad(a, W, n, i, sum);
    }
};

struct by_bias { // `input` stands from column `at` of the output
    pha__args a;
    int input;
    int64_t at;
    PHA__CALL void operator()(int64_t i) const {
        double sum = 0;
        for (int64_t row = 0; row < (int64_t)a.B * a.T; row++) sum += get(a.d_out, row, at + i);
        put_grad(a, input, 0, i, sum);
    }
};

// By the library; false: it can't.
bool product(pha__cuda *c, const pha__args *a, pha__pass pass, int input) {
    int64_t rows = n_rows(a), N = a->in[W].rows, K = a->in[W].width;
    const pha__view *x = &a->in[X], *w = &a->in[W], *dy = &a->d_out;
    bool add = pass == PHA__BACKWARD && (a->add & PHA__IN(input));
    if (pha__cuda_plain("matmul")) return false;
    pha__product p = {rows, N, K, pha__operand_of(x, 0, false), pha__operand_of(w, 0, true),
                      pha__operand_of(&a->out, 0, false), false};
    if (pass == PHA__BACKWARD && input == X)
        p = {rows, K, N, pha__operand_of(dy, 0, false), pha__operand_of(w, 0, false),
             pha__operand_of(&a->d_in[X], 0, false), add};
    if (pass == PHA__BACKWARD && input == W)
        p = {N, K, rows, pha__operand_of(dy, 0, true), pha__operand_of(x, 0, false),
             pha__operand_of(&a->d_in[W], 0, false), add};
    return pha__product_run(c, &p);
}

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    if (pass == PHA__FORWARD) {
        int64_t n = n_rows(a) * a->out.width;
        if (by_warps(c, a)) return;
        if (!product(c, a, pass, 0)) pha__each(c, n, forward{*a});
        else if (a->n_in > BIAS && a->in[BIAS].data) pha__each(c, n, add_bias{*a});
        return;
    }
    if (a->d_in[X].data && !product(c, a, pass, X)) pha__each(c, n_rows(a) * a->in[W].width, by_input{*a});
    if (a->d_in[W].data && !product(c, a, pass, W))
        pha__each(c, (int64_t)a->in[W].rows * a->in[W].width, by_weights{*a});
    int64_t at = 0;
    for (int i = BIAS; i < a->n_in; at += a->in[i++].width)
        if (a->d_in[i].data) pha__each(c, a->d_in[i].width, by_bias{*a, i, at});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_matmul = {NULL, NULL, run};
