// elu1.cu -- eight elements a thread, or one; the gradient from the output: below 1 it is its own slope
#include "backend/cuda/eights.cuh"
#include "ops/elu1/elu1.h"

namespace {

struct forward {
    pha__args a;
    template <typename W> PHA__CALL void operator()(W, int64_t row, int64_t i) const {
        float x[W::n];
        W::load(x, a.in[0], row, i);
        PHA__UNROLL
        for (int j = 0; j < W::n; j++) x[j] = x[j] > 0 ? x[j] + 1 : expf(x[j]);
        W::store(a.out, row, i, x);
    }
};

struct backward {
    pha__args a;
    template <typename W> PHA__CALL void operator()(W w, int64_t row, int64_t i) const {
        float y[W::n], d[W::n];
        W::load(y, a.out, row, i), W::load(d, a.d_out, row, i);
        PHA__UNROLL
        for (int j = 0; j < W::n; j++) d[j] *= y[j] < 1 ? y[j] : 1;
        store_grad(w, a, 0, row, i, d);
    }
};

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    if (pass == PHA__FORWARD) pha__elements(c, "elu1", a, forward{*a});
    else if (a->d_in[0].data) pha__elements(c, "elu1", a, backward{*a});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_elu1 = {NULL, NULL, run};
