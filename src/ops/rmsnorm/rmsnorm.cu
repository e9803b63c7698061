// rmsnorm.cu -- a row a warp; the gain's gradient, sums by column, from 1 / rms of each row in work
#include "backend/cuda/rows.cuh"
#include "ops/rmsnorm/rmsnorm.h"

namespace {

struct common {
    pha__args a;
    double eps;
    double *inverse; // of the rows
    template <typename L> PHA__CALL double inverse_of(int64_t row, L l) const {
        double sum = 0;
        for (int64_t i = l.first; i < a.out.width; i += l.step) {
            double x = get(a.in[0], row, i);
            sum += x * x;
        }
        return 1 / sqrt(l.sum(sum) / a.out.width + eps);
    }
};

struct forward : common {
    template <typename L> PHA__CALL void operator()(int64_t row, L l) const {
        double r = inverse_of(row, l);
        for (int64_t i = l.first; i < a.out.width; i += l.step)
            put(a.out, row, i, (float)(r * get(a.in[0], row, i)) * get_or(a.in[1], 0, i, 1));
    }
};

struct backward : common {
    template <typename L> PHA__CALL void operator()(int64_t row, L l) const {
        int64_t n = a.out.width;
        double r = inverse_of(row, l), mean = 0;
        if (l.first == 0) inverse[row] = r;
        for (int64_t i = l.first; i < n; i += l.step)
            mean += (double)get(a.d_out, row, i) * get_or(a.in[1], 0, i, 1) * r * get(a.in[0], row, i) / (double)n;
        mean = l.sum(mean);
        for (int64_t i = l.first; i < n; i += l.step)
            put_grad(a, 0, row, i,
                     r * ((double)get(a.d_out, row, i) * get_or(a.in[1], 0, i, 1) - r * get(a.in[0], row, i) * mean));
    }
};

struct gain : common {
    PHA__CALL double part(int64_t row, int64_t i) const {
        return get(a.d_out, row, i) * inverse[row] * get(a.in[0], row, i);
    }
    PHA__CALL void total(int64_t i, double sum) const { put_grad(a, 1, 0, i, sum); }
};

size_t work(const pha__args *a, pha__pass pass) {
    int64_t rows = n_rows(a);
    return pass == PHA__BACKWARD ? pha__sums_bytes(rows, a->out.width) + (size_t)rows * sizeof(double) : 0;
}

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    int64_t rows = n_rows(a);
    double *inverse = (double *)((char *)a->work + pha__sums_bytes(rows, a->out.width));
    common q = {*a, ((const pha__rmsnorm_attr *)a->attr)->eps, inverse};
    if (pass == PHA__FORWARD) return pha__rows(c, "rmsnorm", rows, forward{q});
    pha__rows(c, "rmsnorm", rows, backward{q});
    if (a->d_in[1].data) pha__sums(c, rows, a->out.width, a->work, gain{q});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_rmsnorm = {NULL, work, run};
