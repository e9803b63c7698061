// scan.cu -- a channel of a sequence a thread, walked through T; the parameters' gradients, a channel a thread
#include "backend/cuda/each.cuh"
#include "ops/scan/scan.h"

namespace {

enum { Z, U, THETA, BIAS, C, F };

// Where h is kept for backward; no data: nowhere.
PHA__DEV pha__view kept(const pha__args &a) {
    if (!a.in[F].width) return a.out;
    pha__view v = a.out;
    v.data = a.saved ? a.saved + (int64_t)a.B * a.out.width : NULL;
    v.ld = a.out.width;
    return v;
}

PHA__DEV double decay(const pha__args &a, int64_t i) { return exp(-exp((double)get(a.in[THETA], 0, i))); }

struct forward {
    pha__args a;
    PHA__CALL void operator()(int64_t k) const {
        int64_t b = k / a.out.width, i = k % a.out.width;
        float *state = a.state ? (float *)pha__slot(&a, (int)b) + i : NULL, h = state ? *state : 0;
        float rate = (float)decay(a, i), bias = get_or(a.in[BIAS], 0, i, 0), factor = get_or(a.in[C], 0, i, 1);
        pha__view keep = kept(a);
        if (a.saved) a.saved[k] = h;
        for (int64_t row = b * a.T; row < (b + 1) * a.T; row++) {
            float g = sigmoid(get(a.in[Z], row, i) + bias);
            h = g * (rate * h + factor * get(a.in[U], row, i));
            if (keep.data) put(keep, row, i, h);
            if (!a.in[F].width) continue;
            float f = get(a.in[F], row, i);
            put(a.out, row, i, f * sigmoid(f) * h);
        }
        if (state) *state = h;
    }
};

struct backward {
    pha__args a;
    PHA__CALL void operator()(int64_t k) const {
        int64_t b = k / a.out.width, i = k % a.out.width, first = b * a.T;
        float rate = (float)decay(a, i), bias = get_or(a.in[BIAS], 0, i, 0), factor = get_or(a.in[C], 0, i, 1);
        pha__view keep = kept(a);
        float carry = 0;
        double d_rate = 0, d_bias = 0;
        for (int64_t row = first + a.T - 1; row >= first; row--) {
            float h = get(keep, row, i), before = row > first ? get(keep, row - 1, i) : a.saved[k];
            float d = get(a.d_out, row, i);
            if (a.in[F].width) {
                float f = get(a.in[F], row, i), s = sigmoid(f);
                put_grad(a, F, row, i, d * h * s * (1 + f * (1 - s)));
                d *= f * s;
            }
            float e = expf(fminf(-(get(a.in[Z], row, i) + bias), 87.0f)), g = 1 / (1 + e), q = d + carry, gq = g * q;
            float dz = q * h * (e * g);
            put_grad(a, Z, row, i, dz);
            put_grad(a, U, row, i, factor * gq);
            d_rate += (double)gq * before;
            d_bias += dz;
            carry = rate * gq;
        }
        double *sums = (double *)a.work;
        sums[k] = d_rate;
        sums[(int64_t)a.B * a.out.width + k] = d_bias;
    }
};

struct parameters {
    pha__args a;
    PHA__CALL void operator()(int64_t i) const {
        int64_t S = a.out.width;
        const double *d_rate = (const double *)a.work, *d_bias = d_rate + a.B * S;
        double r = 0, t = 0, rate = exp((double)get(a.in[THETA], 0, i));
        for (int64_t b = 0; b < a.B; b++) r += d_rate[b * S + i], t += d_bias[b * S + i];
        put_grad(a, THETA, 0, i, rate < 700 ? r * -rate * exp(-rate) : 0); // beyond, a is 0
        put_grad(a, BIAS, 0, i, t);
    }
};

size_t work(const pha__args *a, pha__pass pass) {
    return pass == PHA__BACKWARD ? (size_t)(2 * (int64_t)a->B * a->out.width) * sizeof(double) : 0;
}

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    int64_t n = (int64_t)a->B * a->out.width;
    if (pass == PHA__FORWARD) return pha__each(c, n, forward{*a});
    pha__each(c, n, backward{*a});
    if (a->d_in[THETA].data || a->d_in[BIAS].data) pha__each(c, a->out.width, parameters{*a});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_scan = {NULL, work, run};
