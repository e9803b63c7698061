// product.cu -- eight elements a thread, or one
#include "backend/cuda/eights.cuh"
#include "ops/product/product.h"

namespace {

struct forward {
    pha__args a;
    template <typename W> PHA__CALL void operator()(W, int64_t row, int64_t i) const {
        float x[W::n], y[W::n];
        W::load(x, a.in[0], row, i), W::load(y, a.in[1], row, i);
        PHA__UNROLL
        for (int j = 0; j < W::n; j++) x[j] *= y[j];
        W::store(a.out, row, i, x);
    }
};

struct backward {
    pha__args a;
    template <typename W> PHA__CALL void operator()(W w, int64_t row, int64_t i) const {
        float x[W::n], y[W::n], d[W::n];
        W::load(x, a.in[0], row, i), W::load(y, a.in[1], row, i), W::load(d, a.d_out, row, i);
        PHA__UNROLL
        for (int j = 0; j < W::n; j++) x[j] *= d[j], y[j] *= d[j];
        store_grad(w, a, 0, row, i, y);
        store_grad(w, a, 1, row, i, x);
    }
};

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    if (pass == PHA__FORWARD) pha__elements(c, "product", a, forward{*a});
    else pha__elements(c, "product", a, backward{*a});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_product = {NULL, NULL, run};
