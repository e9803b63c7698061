// gelu.cu -- an element a thread; (1 + tanh u) / 2 is the logistic function s of w = 2 u
#include "backend/cuda/each.cuh"
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
    PHA__CALL void operator()(int64_t k) const {
        int64_t row = k / a.out.width, i = k % a.out.width;
        double x = get(a.in[0], row, i);
        put(a.out, row, i, (float)(x * gate_of(x).s));
    }
};

struct backward {
    pha__args a;
    PHA__CALL void operator()(int64_t k) const {
        int64_t row = k / a.out.width, i = k % a.out.width;
        double x = get(a.in[0], row, i);
        gate g = gate_of(x);
        put_grad(a, 0, row, i, get(a.d_out, row, i) * g.s * (1 + x * (1 - g.s) * g.slope));
    }
};

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    int64_t n = n_rows(a) * a->out.width;
    if (pass == PHA__FORWARD) pha__each(c, n, forward{*a});
    else if (a->d_in[0].data) pha__each(c, n, backward{*a});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_gelu = {NULL, NULL, run};
