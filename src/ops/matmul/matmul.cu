// matmul.cu -- an element of the result a thread
#include "backend/cuda/each.cuh"
#include "ops/matmul/matmul.h"

namespace {

enum { X, W, BIAS };

struct forward {
    pha__args a;
    PHA__CALL void operator()(int64_t k) const {
        int64_t row = k / a.out.width, n = k % a.out.width, at = n;
        double sum = 0;
        for (int64_t i = 0; i < a.in[W].width; i++) sum += (double)get(a.in[X], row, i) * get(a.in[W], n, i);
        for (int b = BIAS; b < a.n_in && a.in[b].data; at -= a.in[b++].width)
            if (at >= 0 && at < a.in[b].width) sum += get(a.in[b], 0, at);
        put(a.out, row, n, (float)sum);
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

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    if (pass == PHA__FORWARD) return pha__each(c, n_rows(a) * a->out.width, forward{*a});
    if (a->d_in[X].data) pha__each(c, n_rows(a) * a->in[W].width, by_input{*a});
    if (a->d_in[W].data) pha__each(c, (int64_t)a->in[W].rows * a->in[W].width, by_weights{*a});
    int64_t at = 0;
    for (int i = BIAS; i < a->n_in; at += a->in[i++].width)
        if (a->d_in[i].data) pha__each(c, a->d_in[i].width, by_bias{*a, i, at});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_matmul = {NULL, NULL, run};
