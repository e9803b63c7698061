// each.cuh -- plain kernels: a function of an index, called for each index of a range, in no order
//
// A plain kernel is a struct with its arguments and a call operator. It computes one element, one row or one sequence
// by itself, in any format and alignment; sums are in double and in a fixed order. Such kernels stay beside the fast
// ones: as what these are tested against, and where speed does not matter.
#ifndef PHA__CUDA_EACH_CUH
#define PHA__CUDA_EACH_CUH

#include <math.h>

#include <numeric>

#include "backend/cuda/cuda.h"
#include "base/rng.h"

#ifdef PHA__EMULATE

#include "cuda/stream.h"
#define PHA__DEV static inline
#define PHA__CALL
// In an order in which neighbours do not follow each other: nobody may count on an order.
template <typename F> void pha__each(pha__cuda *c, int64_t n, const F &f) {
    emulated_launch(c->stream, [n, f] {
        int64_t step = n / 3 + 1;
        while (std::gcd(step, n) > 1) step++;
        for (int64_t i = 0, at = n / 2; i < n; i++, at = (at + step) % n) f(at);
    });
}

#else

#define PHA__DEV static __device__ __forceinline__
#define PHA__CALL __device__
template <typename F> __global__ void __launch_bounds__(128) pha__each_kernel(int64_t n, const F f) {
    int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    if (i < n) f(i);
}
template <typename F> void pha__each(pha__cuda *c, int64_t n, const F &f) {
    if (n <= 0 || c->error) return;
    pha__each_kernel<<<(unsigned)((n + 127) / 128), 128, 0, c->stream>>>(n, f);
    c->error = cudaPeekAtLastError();
}

#endif

// ---- elements of views ----------------------------------------------------------------------------------------------

PHA__DEV float get(const pha__view &v, int64_t row, int64_t column) {
    int64_t at = row * v.ld + column;
    return v.dtype == PHA__BF16 ? bf16_to_f32(((const uint16_t *)v.data)[at]) : ((const float *)v.data)[at];
}

// Of an input that may be absent.
PHA__DEV float get_or(const pha__view &v, int64_t row, int64_t column, float absent) {
    return v.data ? get(v, row, column) : absent;
}

PHA__DEV void put(const pha__view &v, int64_t row, int64_t column, float x, bool add = false) {
    int64_t at = row * v.ld + column;
    if (add) x += get(v, row, column);
    if (v.dtype == PHA__BF16) ((uint16_t *)v.data)[at] = f32_to_bf16(x);
    else ((float *)v.data)[at] = x;
}

// A gradient: added or stored as `add` of the arguments says, nowhere if it is not wanted.
PHA__DEV void put_grad(const pha__args &a, int input, int64_t row, int64_t column, double x) {
    if (a.d_in[input].data) put(a.d_in[input], row, column, (float)x, a.add & PHA__IN(input));
}

static inline int64_t n_rows(const pha__args *a) { return (int64_t)a->B * a->T; }

// ---- pieces of formulas ---------------------------------------------------------------------------------------------

PHA__DEV float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// The factor of one element, 0, 1 or 1 / (1 - rate), as backend/cpu/dropout.h describes it.
PHA__DEV float dropout(const pha__run *run, float rate, uint32_t site, int64_t row, int64_t column, int64_t width) {
    if (!(rate > 0) || !run || !run->dropout) return 1;
    uint64_t place = (uint64_t)(run->row0 + row) * (uint64_t)((width + 3) / 4) + (uint64_t)(column / 4);
    uint32_t counter[4] = {(uint32_t)place, (uint32_t)run->step, site, PHA__STREAM_DROPOUT}, word[4];
    pha__philox(run->seed, counter, word);
    return pha__uniform(word[column % 4]) >= rate ? 1.0f / (1.0f - rate) : 0.0f;
}

#endif
