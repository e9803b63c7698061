// scan.cu -- a channel of a sequence a thread, walked through T; the parameters' gradients, a channel a thread
//
// A card has work for some 25,000 threads. Where the channels of all sequences are fewer and T is long, T is cut into
// segments: first what a segment makes of a state (h becomes p h + e), then the states before the segments in order,
// then each segment from its own. That reads its inputs twice. Which form is used follows from B, T and S alone.
#include "backend/cuda/each.cuh"
#include "ops/scan/scan.h"

namespace {

enum { Z, U, THETA, BIAS, C, F };
enum { SEGMENT = 256, ENOUGH = 25600 }; // rows; channels for which one thread each is enough

int64_t segments(const pha__args *a) {
    bool whole = a->T < 2 * SEGMENT || (int64_t)a->B * a->out.width >= ENOUGH || pha__cuda_plain("scan");
    return whole ? 1 : (a->T + SEGMENT - 1) / SEGMENT;
}

// Where h is kept for backward; no data: nowhere.
PHA__DEV pha__view kept(const pha__args &a) {
    if (!a.in[F].width) return a.out;
    pha__view v = a.out;
    v.data = a.saved ? a.saved + (int64_t)a.B * a.out.width : NULL;
    v.ld = a.out.width;
    return v;
}

PHA__DEV double decay(const pha__args &a, int64_t i) { return exp(-exp((double)get(a.in[THETA], 0, i))); }

struct chain { // thread k: channel i of segment s of `n` of sequence b, rows [first, end)
    int64_t i, s, b, first, end;
    float rate, bias, factor;
    PHA__CALL chain(const pha__args &a, int64_t n, int64_t k)
        : i(k % a.out.width), s(k / a.out.width % n), b(k / a.out.width / n) {
        first = b * a.T + s * SEGMENT;
        end = s + 1 < n ? first + SEGMENT : (b + 1) * a.T;
        rate = (float)decay(a, i), bias = get_or(a.in[BIAS], 0, i, 0), factor = get_or(a.in[C], 0, i, 1);
    }
    PHA__CALL float *state(const pha__args &a) const {
        return a.state ? (float *)pha__slot(&a, (int)b) + i : NULL;
    }
};

struct meaning { // of all segments: p and e; then, in the place of p, the state before the segment
    float *p, *e;
};

// ---- forward --------------------------------------------------------------------------------------------------------

struct forward {
    pha__args a;
    int64_t n;
    const float *before; // NULL: one segment, from the session's state
    PHA__CALL void operator()(int64_t k) const {
        chain x(a, n, k);
        float *state = x.state(a), h = before ? before[k] : state ? *state : 0;
        pha__view keep = kept(a);
        if (a.saved && x.s == 0) a.saved[x.b * a.out.width + x.i] = h;
        for (int64_t row = x.first; row < x.end; row++) {
            float g = sigmoid(get(a.in[Z], row, x.i) + x.bias);
            h = g * (x.rate * h + x.factor * get(a.in[U], row, x.i));
            if (keep.data) put(keep, row, x.i, h);
            if (!a.in[F].width) continue;
            float f = get(a.in[F], row, x.i);
            put(a.out, row, x.i, f * sigmoid(f) * h);
        }
        if (state && x.s + 1 == n) *state = h;
    }
};

struct forward_meaning {
    pha__args a;
    int64_t n;
    meaning m;
    PHA__CALL void operator()(int64_t k) const {
        chain x(a, n, k);
        float p = 1, e = 0;
        for (int64_t row = x.first; row < x.end; row++) {
            float g = sigmoid(get(a.in[Z], row, x.i) + x.bias);
            e = g * (x.rate * e + x.factor * get(a.in[U], row, x.i));
            p *= g * x.rate;
        }
        m.p[k] = p, m.e[k] = e;
    }
};

struct forward_states {
    pha__args a;
    int64_t n;
    meaning m;
    PHA__CALL void operator()(int64_t j) const {
        int64_t S = a.out.width, b = j / S, at = b * n * S + j % S;
        float h = a.state ? ((const float *)pha__slot(&a, (int)b))[j % S] : 0;
        for (int64_t s = 0; s < n; s++, at += S) {
            float p = m.p[at];
            m.p[at] = h;
            h = p * h + m.e[at];
        }
    }
};

// ---- backward -------------------------------------------------------------------------------------------------------

// The gradient of h by itself.
PHA__DEV float d_state(const pha__args &a, int64_t row, int64_t i) {
    float d = get(a.d_out, row, i), f = get_or(a.in[F], row, i, 0);
    return a.in[F].width ? d * f * sigmoid(f) : d;
}

// e^-(z + bias), of which the gate is 1 / (1 + e).
PHA__DEV float shut(const pha__args &a, int64_t row, const chain &x) {
    return expf(fminf(-(get(a.in[Z], row, x.i) + x.bias), 87.0f));
}

struct backward {
    pha__args a;
    int64_t n;
    const float *behind; // what comes from behind a segment; NULL: there is one
    double *sums;        // of a and of bias, by thread
    PHA__CALL void operator()(int64_t k) const {
        chain x(a, n, k);
        pha__view keep = kept(a);
        float carry = behind ? behind[k] : 0;
        double d_rate = 0, d_bias = 0;
        for (int64_t row = x.end - 1; row >= x.first; row--) {
            float h = get(keep, row, x.i);
            float before = row > x.b * a.T ? get(keep, row - 1, x.i) : a.saved[x.b * a.out.width + x.i];
            if (a.in[F].width) {
                float f = get(a.in[F], row, x.i), s = sigmoid(f);
                put_grad(a, F, row, x.i, get(a.d_out, row, x.i) * h * s * (1 + f * (1 - s)));
            }
            float e = shut(a, row, x), g = 1 / (1 + e), q = d_state(a, row, x.i) + carry, gq = g * q;
            float dz = q * h * (e * g);
            put_grad(a, Z, row, x.i, dz);
            put_grad(a, U, row, x.i, x.factor * gq);
            d_rate += (double)gq * before;
            d_bias += dz;
            carry = x.rate * gq;
        }
        sums[k] = d_rate;
        sums[n * a.B * a.out.width + k] = d_bias;
    }
};

struct backward_meaning {
    pha__args a;
    int64_t n;
    meaning m;
    PHA__CALL void operator()(int64_t k) const {
        chain x(a, n, k);
        float p = 1, e = 0;
        for (int64_t row = x.end - 1; row >= x.first; row--) {
            float passes = x.rate / (1 + shut(a, row, x));
            e = passes * (d_state(a, row, x.i) + e);
            p *= passes;
        }
        m.p[k] = p, m.e[k] = e;
    }
};

struct backward_carries {
    pha__args a;
    int64_t n;
    meaning m;
    PHA__CALL void operator()(int64_t j) const {
        int64_t S = a.out.width, at = ((j / S + 1) * n - 1) * S + j % S;
        float carry = 0;
        for (int64_t s = n; s > 0; s--, at -= S) {
            float p = m.p[at];
            m.p[at] = carry;
            carry = p * carry + m.e[at];
        }
    }
};

struct parameters {
    pha__args a;
    int64_t n; // sums of a channel
    const double *sums;
    PHA__CALL void operator()(int64_t i) const {
        int64_t S = a.out.width;
        double r = 0, t = 0, rate = exp((double)get(a.in[THETA], 0, i));
        for (int64_t k = 0; k < n; k++) r += sums[k * S + i], t += sums[(n + k) * S + i];
        put_grad(a, THETA, 0, i, rate < 700 ? r * -rate * exp(-rate) : 0); // beyond, a is 0
        put_grad(a, BIAS, 0, i, t);
    }
};

// ---- launches -------------------------------------------------------------------------------------------------------

// Fewer sequences or tokens than these may be cut where these are not.
size_t work(const pha__args *a, pha__pass pass) {
    size_t channels = (size_t)a->B * (size_t)a->out.width, few = channels < ENOUGH ? channels : (size_t)ENOUGH;
    size_t cut = a->T < 2 * SEGMENT ? 0 : few * ((size_t)(a->T + SEGMENT - 1) / SEGMENT);
    size_t sums = pass == PHA__FORWARD ? 0 : channels > cut ? channels : cut;
    return 2 * sums * sizeof(double) + 2 * cut * sizeof(float);
}

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    int64_t n = segments(a), chains = (int64_t)a->B * a->out.width, all = n * chains;
    double *sums = (double *)a->work;
    float *room = pass == PHA__BACKWARD ? (float *)(sums + 2 * all) : (float *)a->work;
    meaning m = {room, room + all};
    if (pass == PHA__FORWARD) {
        if (n > 1) pha__each(c, all, forward_meaning{*a, n, m});
        if (n > 1) pha__each(c, chains, forward_states{*a, n, m});
        return pha__each(c, all, forward{*a, n, n > 1 ? m.p : NULL});
    }
    if (n > 1) pha__each(c, all, backward_meaning{*a, n, m});
    if (n > 1) pha__each(c, chains, backward_carries{*a, n, m});
    pha__each(c, all, backward{*a, n, n > 1 ? m.p : NULL, sums});
    if (a->d_in[THETA].data || a->d_in[BIAS].data)
        pha__each(c, a->out.width, parameters{*a, n * a->B, sums});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_scan = {NULL, work, run};
