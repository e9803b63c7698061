// rmsnorm.cu -- a row a thread; the gain's gradient, a column a thread, from 1 / rms of each row in work
#include "backend/cuda/each.cuh"
#include "ops/rmsnorm/rmsnorm.h"

namespace {

struct forward {
    pha__args a;
    double eps;
    PHA__CALL void operator()(int64_t row) const {
        int64_t n = a.out.width;
        double r = inverse_rms(a.in[0], row, n, eps);
        for (int64_t i = 0; i < n; i++)
            put(a.out, row, i, (float)(r * get(a.in[0], row, i)) * get_or(a.in[1], 0, i, 1));
    }
};

struct backward {
    pha__args a;
    double eps;
    PHA__CALL void operator()(int64_t row) const {
        int64_t n = a.out.width;
        double r = inverse_rms(a.in[0], row, n, eps), mean = 0;
        ((double *)a.work)[row] = r;
        for (int64_t i = 0; i < n; i++)
            mean += (double)get(a.d_out, row, i) * get_or(a.in[1], 0, i, 1) * r * get(a.in[0], row, i) / (double)n;
        for (int64_t i = 0; i < n; i++)
            put_grad(a, 0, row, i,
                     r * ((double)get(a.d_out, row, i) * get_or(a.in[1], 0, i, 1) - r * get(a.in[0], row, i) * mean));
    }
};

struct gain {
    pha__args a;
    PHA__CALL void operator()(int64_t i) const {
        double sum = 0;
        for (int64_t row = 0; row < (int64_t)a.B * a.T; row++)
            sum += get(a.d_out, row, i) * ((const double *)a.work)[row] * get(a.in[0], row, i);
        put_grad(a, 1, 0, i, sum);
    }
};

size_t work(const pha__args *a, pha__pass pass) {
    return pass == PHA__BACKWARD ? (size_t)n_rows(a) * sizeof(double) : 0;
}

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    double eps = ((const pha__rmsnorm_attr *)a->attr)->eps;
    if (pass == PHA__FORWARD) return pha__each(c, n_rows(a), forward{*a, eps});
    pha__each(c, n_rows(a), backward{*a, eps});
    if (a->d_in[1].data) pha__each(c, a->out.width, gain{*a});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_rmsnorm = {NULL, work, run};
