// layernorm.cu -- a row a thread, which leaves its mean and 1 / std in work; gradients of gain and bias a column a
// thread
#include "backend/cuda/each.cuh"
#include "ops/layernorm/layernorm.h"

namespace {

enum { X, GAIN, BIAS };

struct moments {
    double mean, inverse;
};

struct common {
    pha__args a;
    double eps;
    // The variance in a second walk: the difference of two sums would lose what a large mean hides.
    PHA__CALL moments of(int64_t row) const {
        int64_t n = a.out.width;
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < n; i++) sum += get(a.in[X], row, i);
        double mean = sum / (double)n;
        for (int64_t i = 0; i < n; i++) squares += (get(a.in[X], row, i) - mean) * (get(a.in[X], row, i) - mean);
        return {mean, 1 / sqrt(squares / (double)n + eps)};
    }
    PHA__CALL double normal(const moments &m, int64_t row, int64_t i) const {
        return (get(a.in[X], row, i) - m.mean) * m.inverse;
    }
};

struct forward : common {
    PHA__CALL void operator()(int64_t row) const {
        moments m = of(row);
        for (int64_t i = 0; i < a.out.width; i++)
            put(a.out, row, i, (float)(normal(m, row, i) * get(a.in[GAIN], 0, i) + get(a.in[BIAS], 0, i)));
    }
};

struct backward : common {
    PHA__CALL void operator()(int64_t row) const {
        int64_t n = a.out.width;
        moments m = of(row);
        double mean = 0, dot = 0;
        ((moments *)a.work)[row] = m;
        for (int64_t i = 0; i < n; i++) {
            double t = (double)get(a.d_out, row, i) * get(a.in[GAIN], 0, i);
            mean += t / (double)n, dot += t * normal(m, row, i) / (double)n;
        }
        for (int64_t i = 0; i < n; i++) {
            double t = (double)get(a.d_out, row, i) * get(a.in[GAIN], 0, i);
            put_grad(a, X, row, i, m.inverse * (t - mean - normal(m, row, i) * dot));
        }
    }
};

struct columns : common {
    PHA__CALL void operator()(int64_t i) const {
        double gain = 0, bias = 0;
        for (int64_t row = 0; row < (int64_t)a.B * a.T; row++) {
            double d = get(a.d_out, row, i);
            gain += d * normal(((const moments *)a.work)[row], row, i), bias += d;
        }
        put_grad(a, GAIN, 0, i, gain);
        put_grad(a, BIAS, 0, i, bias);
    }
};

size_t work(const pha__args *a, pha__pass pass) {
    return pass == PHA__BACKWARD ? (size_t)n_rows(a) * sizeof(moments) : 0;
}

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    common q = {*a, ((const pha__layernorm_attr *)a->attr)->eps};
    if (pass == PHA__FORWARD) return pha__each(c, n_rows(a), forward{q});
    pha__each(c, n_rows(a), backward{q});
    if (a->d_in[GAIN].data || a->d_in[BIAS].data) pha__each(c, a->out.width, columns{q});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_layernorm = {NULL, work, run};
