// rows.cuh -- kernels of rows: a function of a row that is called by all lanes of a warp, or by one thread alone
//
// The function takes every l.step-th column from l.first on and adds what its columns give with l.sum, which has the
// same bits in every lane. Alone (PHA_CUDA_PLAIN) it is what a plain kernel is. And sums over all rows, by column: a
// segment of rows a thread, then the segments in order.
#ifndef PHA__CUDA_ROWS_CUH
#define PHA__CUDA_ROWS_CUH

#include "backend/cuda/each.cuh"
#include "backend/cuda/tile.cuh"

struct pha__alone {
    enum { first = 0, step = 1 };
    PHA__CALL double sum(double x) const { return x; }
};

struct pha__lane {
    enum { step = 32 };
    int first;
    PHA__CALL double sum(double x) const { return warp_sum(x); }
};

template <typename F> struct pha__row_alone {
    F f;
    PHA__CALL void operator()(int64_t row) const { f(row, pha__alone()); }
};

template <typename F> struct pha__rows_job {
    int64_t n;
    F f;
};

enum { PHA__ROWS_OF_BLOCK = 4 };

template <typename F> PHA__GLOBAL(32 * PHA__ROWS_OF_BLOCK) pha__rows_kernel(pha__rows_job<F> j) {
    int64_t row = (int64_t)block_x() * PHA__ROWS_OF_BLOCK + thread_index() / 32;
    if (row < j.n) j.f(row, pha__lane{thread_index() % 32});
}

// f(row, lane) for rows 0 to n - 1; `op` is whose plain kernel may be wanted.
template <typename F> void pha__rows(pha__cuda *c, const char *op, int64_t n, const F &f) {
    if (pha__cuda_plain(op)) return pha__each(c, n, pha__row_alone<F>{f});
    pha__launch(c, pha__rows_kernel<F>, {(n + PHA__ROWS_OF_BLOCK - 1) / PHA__ROWS_OF_BLOCK, 1},
                32 * PHA__ROWS_OF_BLOCK, 0, pha__rows_job<F>{n, f});
}

// ---- sums over the rows --------------------------------------------------------------------------------------------

enum { PHA__SEGMENT = 64 }; // rows

static inline int64_t pha__segments(int64_t rows) { return (rows + PHA__SEGMENT - 1) / PHA__SEGMENT; }
// Of the workspace of `width` sums.
static inline size_t pha__sums_bytes(int64_t rows, int64_t width) {
    return (size_t)(pha__segments(rows) * width) * sizeof(double);
}

template <typename F> struct pha__segment_sums {
    F f;
    int64_t rows, width;
    double *partial;
    PHA__CALL void operator()(int64_t k) const {
        int64_t first = k / width * PHA__SEGMENT, end = first + PHA__SEGMENT < rows ? first + PHA__SEGMENT : rows;
        double sum = 0;
        for (int64_t row = first; row < end; row++) sum += f.part(row, k % width);
        partial[k] = sum;
    }
};

template <typename F> struct pha__total_sums {
    F f;
    int64_t segments, width;
    const double *partial;
    PHA__CALL void operator()(int64_t i) const {
        double sum = 0;
        for (int64_t s = 0; s < segments; s++) sum += partial[s * width + i];
        f.total(i, sum);
    }
};

// f.total(i, sum of f.part(row, i) over the rows) for i below width. partial: pha__sums_bytes of the workspace.
template <typename F> void pha__sums(pha__cuda *c, int64_t rows, int64_t width, void *partial, const F &f) {
    int64_t segments = pha__segments(rows);
    pha__each(c, segments * width, pha__segment_sums<F>{f, rows, width, (double *)partial});
    pha__each(c, width, pha__total_sums<F>{f, segments, width, (const double *)partial});
}

#endif
