// shift.cu -- taps k an element a thread, in work; then as a convolution: an element a thread; the state, a channel a
// thread. Backward the sums by tap go to work too, and from there to b, c and d
#include "backend/cuda/each.cuh"
#include "ops/shift/shift.h"

namespace {

enum { U, B, C, SKIP };

struct common {
    pha__args a;
    PHA__CALL int64_t n() const { return a.in[B].width; } // taps
    PHA__CALL double *taps() const { return (double *)a.work; }
    PHA__CALL double *d_taps() const { return taps() + a.out.width * n(); }
    PHA__CALL float *saved(int64_t b) const { return a.saved + b * (n() - 1) * a.out.width; }
    // u at token t of sequence b; before its first token from `before`, (n - 1, S); NULL: 0.
    PHA__CALL float input(const float *before, int64_t b, int64_t t, int64_t i) const {
        if (t >= 0) return get(a.in[U], b * a.T + t, i);
        return before ? before[(t + n() - 1) * a.out.width + i] : 0;
    }
};

struct make_taps : common {
    PHA__CALL void operator()(int64_t k) const {
        int64_t i = k / n(), j = k % n();
        double sum = j == 0 ? get(a.in[SKIP], 0, i) : 0;
        for (int64_t m = 0; m + j < n(); m++) sum += (double)get(a.in[B], i, m) * get(a.in[C], i, m + j);
        taps()[k] = sum;
    }
};

struct forward : common {
    PHA__CALL void operator()(int64_t k) const {
        int64_t row = k / a.out.width, i = k % a.out.width, b = row / a.T, t = row % a.T;
        const float *before = a.state ? (const float *)pha__slot(&a, (int)b) : NULL;
        double sum = 0;
        for (int64_t j = 0; j < n(); j++) sum += taps()[i * n() + j] * input(before, b, t - j, i);
        put(a.out, row, i, (float)sum);
    }
};

struct remember : common { // channel i of sequence b: what backward and the next run find before their first token
    PHA__CALL void operator()(int64_t k) const {
        int64_t b = k / a.out.width, i = k % a.out.width, rows = n() - 1;
        float *state = a.state ? (float *)pha__slot(&a, (int)b) : NULL;
        for (int64_t r = 0; r < rows && a.saved; r++)
            saved(b)[r * a.out.width + i] = state ? state[r * a.out.width + i] : 0;
        for (int64_t r = 0; r < rows && state; r++) state[r * a.out.width + i] = input(state, b, a.T - rows + r, i);
    }
};

struct by_input : common {
    PHA__CALL void operator()(int64_t k) const {
        int64_t row = k / a.out.width, i = k % a.out.width, t = row % a.T;
        double sum = 0;
        for (int64_t j = 0; j < n() && t + j < a.T; j++) sum += taps()[i * n() + j] * get(a.d_out, row + j, i);
        put_grad(a, U, row, i, sum);
    }
};

struct by_taps : common {
    PHA__CALL void operator()(int64_t k) const {
        int64_t i = k / n(), j = k % n();
        double sum = 0;
        for (int64_t row = 0; row < (int64_t)a.B * a.T; row++)
            sum += (double)get(a.d_out, row, i) * input(saved(row / a.T), row / a.T, row % a.T - j, i);
        d_taps()[k] = sum;
    }
};

struct by_parameters : common {
    PHA__CALL void operator()(int64_t k) const {
        int64_t i = k / n(), m = k % n();
        double d_b = 0, d_c = 0;
        const double *d = d_taps() + i * n();
        for (int64_t j = 0; m + j < n(); j++) d_b += d[j] * get(a.in[C], i, m + j);
        for (int64_t j = 0; j <= m; j++) d_c += d[j] * get(a.in[B], i, m - j);
        put_grad(a, B, i, m, d_b);
        put_grad(a, C, i, m, d_c);
        if (m == 0) put_grad(a, SKIP, 0, i, d[0]);
    }
};

size_t work(const pha__args *a, pha__pass pass) {
    return (size_t)(a->out.width * a->in[B].width) * (pass == PHA__BACKWARD ? 2 : 1) * sizeof(double);
}

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    common q = {*a};
    int64_t n = n_rows(a) * a->out.width, taps = (int64_t)a->out.width * a->in[B].width;
    pha__each(c, taps, make_taps{q});
    if (pass == PHA__FORWARD) {
        pha__each(c, n, forward{q});
        if (a->saved || a->state) pha__each(c, (int64_t)a->B * a->out.width, remember{q});
        return;
    }
    if (a->d_in[U].data) pha__each(c, n, by_input{q});
    if (!a->d_in[B].data && !a->d_in[C].data && !a->d_in[SKIP].data) return;
    pha__each(c, taps, by_taps{q});
    pha__each(c, taps, by_parameters{q});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_shift = {NULL, work, run};
