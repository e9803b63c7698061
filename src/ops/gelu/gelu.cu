// gelu.cu -- eight elements a thread, or one; (1 + tanh u) / 2 is the logistic function s of w = 2 u
#include "backend/cuda/eights.cuh"
#include "ops/gelu/gelu.h"

namespace {

// s of a place and w', in double: the cube of a large x is no float.
struct gate {
    double s, slope;
};
PHA__DEV gate gate_of(double x) {
    const double c = 1.5957691216057308, cubic = 0.044715; // 2 sqrt(2/pi)
    return {1 / (1 + exp(-c * (x + cubic * x * x * x))), c * (1 + 3 * cubic * x * x)};
}

struct forward {
    pha__args a;
    template <typename W> PHA__CALL void operator()(W, int64_t row, int64_t i) const {
        float x[W::n];
        W::load(x, a.in[0], row, i);
        PHA__UNROLL
        for (int j = 0; j < W::n; j++) x[j] = (float)(x[j] * gate_of(x[j]).s);
        W::store(a.out, row, i, x);
    }
};

struct backward {
    pha__args a;
    template <typename W> PHA__CALL void operator()(W w, int64_t row, int64_t i) const {
        float x[W::n], d[W::n];
        W::load(x, a.in[0], row, i), W::load(d, a.d_out, row, i);
        PHA__UNROLL
        for (int j = 0; j < W::n; j++) {
            gate g = gate_of(x[j]);
            d[j] = (float)(d[j] * g.s * (1 + x[j] * (1 - g.s) * g.slope));
        }
        store_grad(w, a, 0, row, i, d);
    }
};

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    if (pass == PHA__FORWARD) pha__elements(c, "gelu", a, forward{*a});
    else if (a->d_in[0].data) pha__elements(c, "gelu", a, backward{*a});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_gelu = {NULL, NULL, run};
