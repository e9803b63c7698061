// residual.cu -- a row a warp; with a norm the sum is made again wherever it is needed, and its gain's gradient is sums
// by column
#include "backend/cuda/rows.cuh"
#include "ops/residual/residual.h"

namespace {

enum { A, B, NORM };

struct common {
    pha__args a;
    pha__residual_attr t;
    double *inverse; // 1 / rms of the rows
    PHA__CALL float mask(int64_t row, int64_t i) const {
        return dropout(a.run, t.dropout, t.site, row, i, a.out.width);
    }
    PHA__CALL float sum(int64_t row, int64_t i) const {
        return t.alpha * get_or(a.in[A], row, i, 0) + t.beta * mask(row, i) * get(a.in[B], row, i);
    }
    template <typename L> PHA__CALL double inverse_of(int64_t row, L l) const {
        double s = 0;
        for (int64_t i = l.first; i < a.out.width; i += l.step) s += (double)sum(row, i) * sum(row, i);
        return 1 / sqrt(l.sum(s) / a.out.width + (double)t.norm_eps);
    }
};

struct forward : common {
    template <typename L> PHA__CALL void operator()(int64_t row, L l) const {
        double r = a.in[NORM].data ? inverse_of(row, l) : 1;
        for (int64_t i = l.first; i < a.out.width; i += l.step)
            put(a.out, row, i, a.in[NORM].data ? (float)(r * sum(row, i)) * get(a.in[NORM], 0, i) : sum(row, i));
    }
};

struct backward : common {
    template <typename L> PHA__CALL void operator()(int64_t row, L l) const {
        bool norm = a.in[NORM].data;
        double r = norm ? inverse_of(row, l) : 1, mean = 0;
        if (norm && l.first == 0) inverse[row] = r;
        for (int64_t i = l.first; i < a.out.width && norm; i += l.step)
            mean += (double)get(a.d_out, row, i) * get(a.in[NORM], 0, i) * r * sum(row, i) / a.out.width;
        mean = l.sum(mean);
        for (int64_t i = l.first; i < a.out.width; i += l.step) {
            float d = get(a.d_out, row, i);
            if (norm) d = (float)(r * ((double)d * get(a.in[NORM], 0, i) - r * sum(row, i) * mean));
            put_grad(a, A, row, i, t.alpha * d);
            put_grad(a, B, row, i, t.beta * mask(row, i) * d);
        }
    }
};

struct gain : common {
    PHA__CALL double part(int64_t row, int64_t i) const {
        return get(a.d_out, row, i) * inverse[row] * sum(row, i);
    }
    PHA__CALL void total(int64_t i, double sum) const { put_grad(a, NORM, 0, i, sum); }
};

size_t work(const pha__args *a, pha__pass pass) {
    if (pass == PHA__FORWARD || !a->in[NORM].width) return 0;
    return pha__sums_bytes(n_rows(a), a->out.width) + (size_t)n_rows(a) * sizeof(double);
}

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    int64_t rows = n_rows(a);
    double *inverse = (double *)((char *)a->work + pha__sums_bytes(rows, a->out.width));
    common q = {*a, *(const pha__residual_attr *)a->attr, inverse};
    if (pass == PHA__FORWARD) return pha__rows(c, "residual", rows, forward{q});
    pha__rows(c, "residual", rows, backward{q});
    if (a->in[NORM].data && a->d_in[NORM].data) pha__sums(c, rows, a->out.width, a->work, gain{q});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_residual = {NULL, work, run};
