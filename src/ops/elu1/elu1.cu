// elu1.cu -- an element a thread; the gradient from the output: below 1 it is its own slope
#include "backend/cuda/each.cuh"
#include "ops/elu1/elu1.h"

namespace {

struct forward {
    pha__args a;
    PHA__CALL void operator()(int64_t k) const {
        int64_t row = k / a.out.width, i = k % a.out.width;
        float x = get(a.in[0], row, i);
        put(a.out, row, i, x > 0 ? x + 1 : expf(x));
    }
};

struct backward {
    pha__args a;
    PHA__CALL void operator()(int64_t k) const {
        int64_t row = k / a.out.width, i = k % a.out.width;
        float y = get(a.out, row, i);
        put_grad(a, 0, row, i, get(a.d_out, row, i) * (y < 1 ? y : 1));
    }
};

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    int64_t n = n_rows(a) * a->out.width;
    if (pass == PHA__FORWARD) pha__each(c, n, forward{*a});
    else if (a->d_in[0].data) pha__each(c, n, backward{*a});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_elu1 = {NULL, NULL, run};
