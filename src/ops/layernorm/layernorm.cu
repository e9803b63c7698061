// layernorm.cu -- a row a warp, which leaves its mean and 1 / std in work; gradients of gain and bias, sums by column
#include "backend/cuda/rows.cuh"
#include "ops/layernorm/layernorm.h"

namespace {

enum { X, GAIN, BIAS };

struct moments {
    double mean, inverse;
};

struct common {
    pha__args a;
    double eps;
    moments *kept; // of the rows
    // The variance in a second walk: the difference of two sums would lose what a large mean hides.
    template <typename L> PHA__CALL moments of(int64_t row, L l) const {
        int64_t n = a.out.width;
        double sum = 0, squares = 0;
        for (int64_t i = l.first; i < n; i += l.step) sum += get(a.in[X], row, i);
        double mean = l.sum(sum) / (double)n;
        for (int64_t i = l.first; i < n; i += l.step)
            squares += (get(a.in[X], row, i) - mean) * (get(a.in[X], row, i) - mean);
        return {mean, 1 / sqrt(l.sum(squares) / (double)n + eps)};
    }
    PHA__CALL double normal(const moments &m, int64_t row, int64_t i) const {
        return (get(a.in[X], row, i) - m.mean) * m.inverse;
    }
};

struct forward : common {
    template <typename L> PHA__CALL void operator()(int64_t row, L l) const {
        moments m = of(row, l);
        for (int64_t i = l.first; i < a.out.width; i += l.step)
            put(a.out, row, i, (float)(normal(m, row, i) * get(a.in[GAIN], 0, i) + get(a.in[BIAS], 0, i)));
    }
};

struct backward : common {
    template <typename L> PHA__CALL void operator()(int64_t row, L l) const {
        int64_t n = a.out.width;
        moments m = of(row, l);
        double mean = 0, dot = 0;
        if (l.first == 0) kept[row] = m;
        for (int64_t i = l.first; i < n; i += l.step) {
            double t = (double)get(a.d_out, row, i) * get(a.in[GAIN], 0, i);
            mean += t / (double)n, dot += t * normal(m, row, i) / (double)n;
        }
        mean = l.sum(mean), dot = l.sum(dot);
        for (int64_t i = l.first; i < n; i += l.step) {
            double t = (double)get(a.d_out, row, i) * get(a.in[GAIN], 0, i);
            put_grad(a, X, row, i, m.inverse * (t - mean - normal(m, row, i) * dot));
        }
    }
};

struct columns : common { // gradients of the gain, then of the bias
    PHA__CALL double part(int64_t row, int64_t k) const {
        int64_t i = k % a.out.width;
        return get(a.d_out, row, i) * (k == i ? normal(kept[row], row, i) : 1);
    }
    PHA__CALL void total(int64_t k, double sum) const {
        put_grad(a, k < a.out.width ? GAIN : BIAS, 0, k % a.out.width, sum);
    }
};

size_t work(const pha__args *a, pha__pass pass) {
    if (pass == PHA__FORWARD) return 0;
    return pha__sums_bytes(n_rows(a), 2 * a->out.width) + (size_t)n_rows(a) * sizeof(moments);
}

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    int64_t rows = n_rows(a), sums = 2 * (int64_t)a->out.width;
    moments *kept = (moments *)((char *)a->work + pha__sums_bytes(rows, sums));
    common q = {*a, ((const pha__layernorm_attr *)a->attr)->eps, kept};
    if (pass == PHA__FORWARD) return pha__rows(c, "layernorm", rows, forward{q});
    pha__rows(c, "layernorm", rows, backward{q});
    if (a->d_in[GAIN].data || a->d_in[BIAS].data) pha__sums(c, rows, sums, a->work, columns{q});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_layernorm = {NULL, work, run};
