// conv.cu -- an element a thread; taps and the state, a channel a thread
#include "backend/cuda/each.cuh"
#include "ops/conv/conv.h"

namespace {

enum { U, TAPS };

struct common {
    pha__args a;
    PHA__CALL int64_t carried() const { return a.in[TAPS].width - 1; } // rows
    // u at token t of sequence b; before its first token from `before`, (rows, S); NULL: 0.
    PHA__CALL float input(const float *before, int64_t b, int64_t t, int64_t i) const {
        if (t >= 0) return get(a.in[U], b * a.T + t, i);
        return before ? before[(t + carried()) * a.out.width + i] : 0;
    }
    PHA__CALL float *saved(int64_t b) const { return a.saved + b * carried() * a.out.width; }
};

struct forward : common {
    PHA__CALL void operator()(int64_t k) const {
        int64_t row = k / a.out.width, i = k % a.out.width, b = row / a.T, t = row % a.T;
        const float *before = a.state ? (const float *)pha__slot(&a, (int)b) : NULL;
        double sum = 0;
        for (int64_t j = 0; j <= carried(); j++) sum += (double)get(a.in[TAPS], i, j) * input(before, b, t - j, i);
        put(a.out, row, i, (float)sum);
    }
};

struct remember : common { // channel i of sequence b: what backward and the next run find before their first token
    PHA__CALL void operator()(int64_t k) const {
        int64_t b = k / a.out.width, i = k % a.out.width, n = carried();
        float *state = a.state ? (float *)pha__slot(&a, (int)b) : NULL;
        for (int64_t r = 0; r < n && a.saved; r++)
            saved(b)[r * a.out.width + i] = state ? state[r * a.out.width + i] : 0;
        for (int64_t r = 0; r < n && state; r++) state[r * a.out.width + i] = input(state, b, a.T - n + r, i);
    }
};

struct by_input : common {
    PHA__CALL void operator()(int64_t k) const {
        int64_t row = k / a.out.width, i = k % a.out.width, t = row % a.T;
        double sum = 0;
        for (int64_t j = 0; j <= carried() && t + j < a.T; j++)
            sum += (double)get(a.in[TAPS], i, j) * get(a.d_out, row + j, i);
        put_grad(a, U, row, i, sum);
    }
};

struct by_taps : common {
    PHA__CALL void operator()(int64_t k) const {
        int64_t i = k / a.in[TAPS].width, j = k % a.in[TAPS].width;
        double sum = 0;
        for (int64_t row = 0; row < (int64_t)a.B * a.T; row++)
            sum += (double)get(a.d_out, row, i) * input(saved(row / a.T), row / a.T, row % a.T - j, i);
        put_grad(a, TAPS, i, j, sum);
    }
};

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    common q = {*a};
    int64_t n = n_rows(a) * a->out.width;
    if (pass == PHA__FORWARD) {
        pha__each(c, n, forward{q});
        if (a->saved || a->state) pha__each(c, (int64_t)a->B * a->out.width, remember{q});
        return;
    }
    if (a->d_in[U].data) pha__each(c, n, by_input{q});
    if (a->d_in[TAPS].data) pha__each(c, (int64_t)a->out.width * a->in[TAPS].width, by_taps{q});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_conv = {NULL, NULL, run};
