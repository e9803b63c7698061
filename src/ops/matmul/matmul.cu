// matmul.cu -- three products of cuBLASLt; without it an element of the result a thread
#include "backend/cuda/each.cuh"
#include "backend/cuda/products.h"
#include "ops/matmul/matmul.h"

namespace {

enum { X, W, BIAS };

struct forward {
    pha__args a;
    PHA__CALL double bias(int64_t n) const {
        for (int b = BIAS; b < a.n_in && a.in[b].data; n -= a.in[b++].width)
            if (n < a.in[b].width) return get(a.in[b], 0, n);
        return 0;
    }
    PHA__CALL void operator()(int64_t k) const {
        int64_t row = k / a.out.width, n = k % a.out.width;
        double sum = bias(n);
        for (int64_t i = 0; i < a.in[W].width; i++) sum += (double)get(a.in[X], row, i) * get(a.in[W], n, i);
        put(a.out, row, n, (float)sum);
    }
};

struct add_bias : forward { // to a product that is there
    PHA__CALL void operator()(int64_t k) const {
        int64_t row = k / a.out.width, n = k % a.out.width;
        put(a.out, row, n, (float)bias(n), true);
    }
};

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
        if (!product(c, a, pass, 0)) pha__each(c, n, forward{*a});
        else if (a->n_in > BIAS && a->in[BIAS].data) pha__each(c, n, add_bias{{*a}});
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
