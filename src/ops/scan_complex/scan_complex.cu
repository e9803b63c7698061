// scan_complex.cu -- a pair of a sequence a thread, walked through T; the parameters' gradients, a pair a thread
#include "backend/cuda/each.cuh"
#include "ops/scan_complex/scan_complex.h"

namespace {

enum { Z, U, THETA, OMEGA, BIAS, C };

struct number {
    float re, im;
};

// a of a pair
PHA__DEV void transition(const pha__args &a, int64_t i, double *re, double *im) {
    double size = exp(-exp((double)get(a.in[THETA], 0, i))), angle = get(a.in[OMEGA], 0, i);
    *re = size * cos(angle), *im = size * sin(angle);
}

PHA__DEV number rounded(const pha__args &a, int64_t i) {
    double re, im;
    transition(a, i, &re, &im);
    return {(float)re, (float)im};
}

PHA__DEV number get_pair(const pha__view &v, int64_t row, int64_t i, int64_t N) {
    return {get(v, row, i), get(v, row, N + i)};
}

struct forward {
    pha__args a;
    PHA__CALL void operator()(int64_t k) const {
        int64_t N = a.in[Z].width, b = k / N, i = k % N;
        float *state = a.state ? (float *)pha__slot(&a, (int)b) + i : NULL;
        float *saved = a.saved ? a.saved + 2 * N * b + i : NULL;
        float bias = get_or(a.in[BIAS], 0, i, 0), factor = get_or(a.in[C], 0, i, 1);
        number rate = rounded(a, i), h = {0, 0};
        if (state) h = {state[0], state[N]};
        if (saved) saved[0] = h.re, saved[N] = h.im;
        for (int64_t row = b * a.T; row < (b + 1) * a.T; row++) {
            float g = sigmoid(get(a.in[Z], row, i) + bias);
            number u = get_pair(a.in[U], row, i, N);
            h = {g * (rate.re * h.re - rate.im * h.im + factor * u.re),
                 g * (rate.re * h.im + rate.im * h.re + factor * u.im)};
            put(a.out, row, i, h.re);
            put(a.out, row, N + i, h.im);
        }
        if (state) state[0] = h.re, state[N] = h.im;
    }
};

struct backward {
    pha__args a;
    PHA__CALL void operator()(int64_t k) const {
        int64_t N = a.in[Z].width, b = k / N, i = k % N, first = b * a.T;
        float bias = get_or(a.in[BIAS], 0, i, 0), factor = get_or(a.in[C], 0, i, 1);
        const float *saved = a.saved + 2 * N * b + i;
        number rate = rounded(a, i), carry = {0, 0};
        double da_re = 0, da_im = 0, d_bias = 0;
        for (int64_t row = first + a.T - 1; row >= first; row--) {
            number h = get_pair(a.out, row, i, N), d = get_pair(a.d_out, row, i, N), before = {saved[0], saved[N]};
            if (row > first) before = get_pair(a.out, row - 1, i, N);
            float e = expf(fminf(-(get(a.in[Z], row, i) + bias), 87.0f)), g = 1 / (1 + e);
            number q = {d.re + carry.re, d.im + carry.im}, s = {g * q.re, g * q.im};
            float dz = (q.re * h.re + q.im * h.im) * (e * g);
            put_grad(a, Z, row, i, dz);
            put_grad(a, U, row, i, factor * s.re);
            put_grad(a, U, row, N + i, factor * s.im);
            da_re += (double)before.re * s.re + (double)before.im * s.im;
            da_im += (double)before.re * s.im - (double)before.im * s.re;
            d_bias += dz;
            carry = {rate.re * s.re + rate.im * s.im, rate.re * s.im - rate.im * s.re};
        }
        double *sums = (double *)a.work;
        int64_t all = (int64_t)a.B * N;
        sums[k] = da_re, sums[all + k] = da_im, sums[2 * all + k] = d_bias;
    }
};

struct parameters {
    pha__args a;
    PHA__CALL void operator()(int64_t i) const {
        int64_t N = a.in[Z].width, all = (int64_t)a.B * N;
        const double *sums = (const double *)a.work;
        double d_re = 0, d_im = 0, d_bias = 0, re, im, rate = exp((double)get(a.in[THETA], 0, i));
        for (int64_t at = i; at < all; at += N) d_re += sums[at], d_im += sums[all + at], d_bias += sums[2 * all + at];
        transition(a, i, &re, &im);
        put_grad(a, THETA, 0, i, rate < 700 ? -rate * (re * d_re + im * d_im) : 0); // beyond, a is 0
        put_grad(a, OMEGA, 0, i, re * d_im - im * d_re);
        put_grad(a, BIAS, 0, i, d_bias);
    }
};

size_t work(const pha__args *a, pha__pass pass) {
    return pass == PHA__BACKWARD ? (size_t)(3 * (int64_t)a->B * a->in[Z].width) * sizeof(double) : 0;
}

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    int64_t n = (int64_t)a->B * a->in[Z].width;
    if (pass == PHA__FORWARD) return pha__each(c, n, forward{*a});
    pha__each(c, n, backward{*a});
    if (a->d_in[THETA].data || a->d_in[OMEGA].data || a->d_in[BIAS].data)
        pha__each(c, a->in[Z].width, parameters{*a});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_scan_complex = {NULL, work, run};
