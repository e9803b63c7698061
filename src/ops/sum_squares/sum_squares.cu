// sum_squares.cu -- for each segment, which only the host knows: a piece a warp, then one thread that adds the pieces
#include "backend/cuda/rows.cuh"
#include "ops/sum_squares/sum_squares.h"

namespace {

struct pieces {
    const float *x;
    double *partial;
    int64_t size;
    template <typename L> PHA__CALL void operator()(int64_t k, L l) const {
        double sum = 0;
        for (int64_t i = k * PHA__SUM_PIECE + l.first; i < size && i < (k + 1) * PHA__SUM_PIECE; i += l.step)
            sum += (double)x[i] * x[i];
        sum = l.sum(sum);
        if (l.first == 0) partial[k] = sum;
    }
};

struct segments {
    const double *partial;
    char *out; // of doubles, not aligned
    int64_t n;
    PHA__CALL void operator()(int64_t) const {
        double sum = 0;
        for (int64_t k = 0; k < n; k++) sum += partial[k];
        memcpy(out, &sum, sizeof sum);
    }
};

size_t work(const pha__args *a, pha__pass) {
    return (size_t)((const pha__sum_squares_attr *)a->attr)->pieces * sizeof(double);
}

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    const pha__sum_squares_attr *s = (const pha__sum_squares_attr *)a->attr;
    double *partial = (double *)a->work;
    for (int32_t i = 0; i < s->n && pass == PHA__FORWARD; i++) {
        const pha__segment *g = &s->segment[i];
        int64_t n = (g->size + PHA__SUM_PIECE - 1) / PHA__SUM_PIECE;
        pha__rows(c, "sum_squares", n, pieces{(const float *)a->in[0].data + g->begin, partial + g->piece, g->size});
        pha__each(c, 1, segments{partial + g->piece, (char *)a->saved + (size_t)i * sizeof(double), n});
    }
}

} // namespace

extern const pha__cuda_kernel pha__cuda_sum_squares = {NULL, work, run};
