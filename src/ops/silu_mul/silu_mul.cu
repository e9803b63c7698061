// silu_mul.cu -- eight elements a thread, or one
#include "backend/cuda/eights.cuh"
#include "ops/silu_mul/silu_mul.h"

namespace {

struct forward {
    pha__args a;
    template <typename W> PHA__CALL void operator()(W, int64_t row, int64_t i) const {
        float x[W::n], b[W::n];
        W::load(x, a.in[0], row, i), W::load(b, a.in[1], row, i);
        PHA__UNROLL
        for (int j = 0; j < W::n; j++) x[j] = x[j] * sigmoid(x[j]) * b[j];
        W::store(a.out, row, i, x);
    }
};

struct backward {
    pha__args a;
    template <typename W> PHA__CALL void operator()(W w, int64_t row, int64_t i) const {
        float x[W::n], b[W::n], d[W::n];
        W::load(x, a.in[0], row, i), W::load(b, a.in[1], row, i), W::load(d, a.d_out, row, i);
        PHA__UNROLL
        for (int j = 0; j < W::n; j++) {
            float s = sigmoid(x[j]), da = d[j] * b[j] * s * (1 + x[j] * (1 - s));
            b[j] = d[j] * x[j] * s;
            x[j] = da;
        }
        store_grad(w, a, 0, row, i, x);
        store_grad(w, a, 1, row, i, b);
    }
};

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    if (pass == PHA__FORWARD) pha__elements(c, "silu_mul", a, forward{*a});
    else pha__elements(c, "silu_mul", a, backward{*a});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_silu_mul = {NULL, NULL, run};
