// residual.cu -- a row a thread; with a norm the sum is made again wherever it is needed
#include "backend/cuda/each.cuh"
#include "ops/residual/residual.h"

namespace {

enum { A, B, NORM };

struct common {
    pha__args a;
    pha__residual_attr t;
    PHA__CALL float mask(int64_t row, int64_t i) const {
        return dropout(a.run, t.dropout, t.site, row, i, a.out.width);
    }
    PHA__CALL float sum(int64_t row, int64_t i) const {
        return t.alpha * get_or(a.in[A], row, i, 0) + t.beta * mask(row, i) * get(a.in[B], row, i);
    }
    PHA__CALL double inverse(int64_t row) const {
        double s = 0;
        for (int64_t i = 0; i < a.out.width; i++) s += (double)sum(row, i) * sum(row, i);
        return 1 / sqrt(s / a.out.width + (double)t.norm_eps);
    }
};

struct forward : common {
    PHA__CALL void operator()(int64_t row) const {
        double r = a.in[NORM].data ? inverse(row) : 1;
        for (int64_t i = 0; i < a.out.width; i++)
            put(a.out, row, i, a.in[NORM].data ? (float)(r * sum(row, i)) * get(a.in[NORM], 0, i) : sum(row, i));
    }
};

struct backward : common {
    PHA__CALL void operator()(int64_t row) const {
        bool norm = a.in[NORM].data;
        double r = norm ? inverse(row) : 1, mean = 0;
        if (norm) ((double *)a.work)[row] = r;
        for (int64_t i = 0; i < a.out.width && norm; i++)
            mean += (double)get(a.d_out, row, i) * get(a.in[NORM], 0, i) * r * sum(row, i) / a.out.width;
        for (int64_t i = 0; i < a.out.width; i++) {
            float d = get(a.d_out, row, i);
            if (norm) d = (float)(r * ((double)d * get(a.in[NORM], 0, i) - r * sum(row, i) * mean));
            put_grad(a, A, row, i, t.alpha * d);
            put_grad(a, B, row, i, t.beta * mask(row, i) * d);
        }
    }
};

struct gain : common {
    PHA__CALL void operator()(int64_t i) const {
        double s = 0;
        for (int64_t row = 0; row < (int64_t)a.B * a.T; row++)
            s += get(a.d_out, row, i) * ((const double *)a.work)[row] * sum(row, i);
        put_grad(a, NORM, 0, i, s);
    }
};

size_t work(const pha__args *a, pha__pass pass) {
    return pass == PHA__BACKWARD && a->in[NORM].width ? (size_t)n_rows(a) * sizeof(double) : 0;
}

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    common q = {*a, *(const pha__residual_attr *)a->attr};
    if (pass == PHA__FORWARD) return pha__each(c, n_rows(a), forward{q});
    pha__each(c, n_rows(a), backward{q});
    if (a->in[NORM].data && a->d_in[NORM].data) pha__each(c, a->out.width, gain{q});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_residual = {NULL, work, run};
