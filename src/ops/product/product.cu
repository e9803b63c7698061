// product.cu -- an element a thread
#include "backend/cuda/each.cuh"
#include "ops/product/product.h"

namespace {

struct forward {
    pha__args a;
    PHA__CALL void operator()(int64_t k) const {
        int64_t row = k / a.out.width, i = k % a.out.width;
        put(a.out, row, i, get(a.in[0], row, i) * get(a.in[1], row, i));
    }
};

struct backward {
    pha__args a;
    PHA__CALL void operator()(int64_t k) const {
        int64_t row = k / a.out.width, i = k % a.out.width;
        float x = get(a.in[0], row, i), y = get(a.in[1], row, i), d = get(a.d_out, row, i);
        put_grad(a, 0, row, i, d * y);
        put_grad(a, 1, row, i, d * x);
    }
};

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    int64_t n = n_rows(a) * a->out.width;
    if (pass == PHA__FORWARD) pha__each(c, n, forward{*a});
    else pha__each(c, n, backward{*a});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_product = {NULL, NULL, run};
