// ssm.cu -- without gradients, or with a state: a channel of a sequence a thread, which steps its modes from token to
// token. Else x is convolved with K as the sum stands: K a stretch of a channel a thread, outputs and gradients an
// element a thread; the gradients of the modes from those of K, a mode of a channel a thread.
#include "backend/cuda/each.cuh"
#include "ops/ssm/ssm.h"

namespace {

enum { STRETCH = 64 }; // places of K

struct complex {
    double re, im;
};
PHA__DEV complex operator+(complex a, complex b) { return {a.re + b.re, a.im + b.im}; }
PHA__DEV complex operator-(complex a, complex b) { return {a.re - b.re, a.im - b.im}; }
PHA__DEV complex operator*(complex a, complex b) { return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}; }
PHA__DEV complex operator*(double a, complex b) { return {a * b.re, a * b.im}; }
PHA__DEV complex operator/(complex a, complex b) {
    double s = 1 / (b.re * b.re + b.im * b.im);
    return {(a.re * b.re + a.im * b.im) * s, (a.im * b.re - a.re * b.im) * s};
}
PHA__DEV complex exp_of(complex z) {
    double size = exp(z.re);
    return {size * cos(z.im), size * sin(z.im)};
}
// e^z - 1, which for small z is not the difference of two numbers near 1.
PHA__DEV complex expm1_of(complex z) {
    double s = sin(z.im / 2), e = expm1(z.re);
    return {e * cos(z.im) - 2 * s * s, (e + 1) * sin(z.im)};
}
// (z e^z - e^z + 1) / z^2 = sum_k (k + 1) / (k + 2)! z^k, which is near 1/2 where the numerator cancels.
PHA__DEV complex slope_of(complex z, complex e) {
    if (z.re * z.re + z.im * z.im >= 1e-3) return (z * e + z - e) / (z * z);
    complex sum = {7 / 40320.0, 0};
    const double term[] = {6 / 5040.0, 5 / 720.0, 4 / 120.0, 3 / 24.0, 2 / 6.0, 0.5};
    for (double x : term) sum = sum * z + complex{x, 0};
    return sum;
}
PHA__DEV double between(double x, double limit) { return x > limit ? limit : x < -limit ? -limit : x; } // NaN stays

struct mode {
    complex lambda, z, e, C, B, w; // z = lambda D, e = e^z - 1, w = kappa C B e / lambda
    double dt;
};

struct common {
    pha__args a;
    pha__ssm_attr t;
    PHA__CALL int64_t P() const { return a.out.width; }
    PHA__CALL int64_t N() const { return a.in[PHA__SSM_C_RE].width; }
    PHA__CALL bool shared() const { return a.in[PHA__SSM_RATE].rows == 1; } // modes of all channels
    PHA__CALL double of(int input, int64_t p, int64_t n, double absent) const {
        return a.in[input].data ? get(a.in[input], a.in[input].rows == 1 ? 0 : p, n) : absent;
    }
    // Logarithms beyond +-100 count as that, and phases beyond a million: then nothing overflows.
    PHA__CALL mode at(int64_t p, int64_t n) const {
        mode m;
        const pha__view &dt = a.in[PHA__SSM_LOG_DT];
        m.dt = dt.data ? exp(between(get(dt, 0, p), 100)) : 1;
        double im = of(PHA__SSM_IM, p, n, 0);
        m.lambda = {-exp(between(of(PHA__SSM_RATE, p, n, 0), 100)), t.log_im ? exp(between(im, 100)) : im};
        m.z = {m.lambda.re * m.dt, between(m.lambda.im * m.dt, 1e6)};
        m.e = expm1_of(m.z);
        m.C = {of(PHA__SSM_C_RE, p, n, 0), of(PHA__SSM_C_IM, p, n, 0)};
        m.B = {of(PHA__SSM_B_RE, p, n, 1), of(PHA__SSM_B_IM, p, n, 0)};
        m.w = (double)t.kappa * (m.e / m.lambda * m.C * m.B);
        return m;
    }
};

// ---- step by step ---------------------------------------------------------------------------------------------------

struct factors { // e^z - 1, with which slow modes keep their accuracy in fp32, and w
    float m_re, m_im, w_re, w_im;
};

struct stepped : common {
    PHA__CALL int64_t modes() const { return (N() + PHA__SSM_MODES - 1) / PHA__SSM_MODES * PHA__SSM_MODES; }
    PHA__CALL factors *factors_of(int64_t p) const { return (factors *)a.work + p * N(); }
    // Real part of the first mode of channel p; modes lie 2 CHANNELS apart, the imaginary part CHANNELS on.
    PHA__CALL float *state_of(int64_t b, int64_t p) const {
        int64_t groups = (P() + PHA__SSM_CHANNELS - 1) / PHA__SSM_CHANNELS, group = modes() * 2 * PHA__SSM_CHANNELS;
        float *s = a.state ? (float *)pha__slot(&a, (int)b) : (float *)factors_of(P()) + b * groups * group;
        return s + p / PHA__SSM_CHANNELS * group + p % PHA__SSM_CHANNELS;
    }
};

struct make_factors : stepped {
    PHA__CALL void operator()(int64_t k) const {
        mode m = at(k / N(), k % N());
        factors_of(k / N())[k % N()] = {(float)m.e.re, (float)m.e.im, (float)m.w.re, (float)m.w.im};
    }
};

struct walk : stepped {
    PHA__CALL void operator()(int64_t k) const {
        int64_t b = k / P(), p = k % P();
        const factors *f = factors_of(p);
        float *s = state_of(b, p);
        for (int64_t n = 0; n < N() && !a.state; n++)
            s[n * 2 * PHA__SSM_CHANNELS] = s[(n * 2 + 1) * PHA__SSM_CHANNELS] = 0;
        for (int64_t row = b * a.T; row < (b + 1) * a.T; row++) {
            float x = get(a.in[PHA__SSM_X], row, p);
            double y = (double)get(a.in[PHA__SSM_D], 0, p) * x;
            for (int64_t n = 0; n < N(); n++) {
                float *re = s + n * 2 * PHA__SSM_CHANNELS, *im = re + PHA__SSM_CHANNELS, old = *re;
                *re = fmaf(-f[n].m_im, *im, fmaf(f[n].m_re, old, old + x));
                *im = fmaf(f[n].m_im, old, fmaf(f[n].m_re, *im, *im));
                y += (double)f[n].w_re * *re - (double)f[n].w_im * *im;
            }
            put(a.out, row, p, (float)y);
        }
    }
};

// ---- as a convolution -----------------------------------------------------------------------------------------------

struct convolved : common {
    PHA__CALL double *K(int64_t p) const { return (double *)a.work + p * a.T; }
    PHA__CALL double *d_K(int64_t p) const { return K(P() + p); }
    PHA__CALL double *of_modes() const { return K(2 * P()); } // (3, P, N): rate, im, step
};

struct make_K : convolved {
    PHA__CALL void operator()(int64_t k) const {
        int64_t stretches = (a.T + STRETCH - 1) / STRETCH, p = k / stretches, first = k % stretches * STRETCH;
        int64_t end = first + STRETCH < a.T ? first + STRETCH : a.T;
        for (int64_t l = first; l < end; l++) K(p)[l] = 0;
        for (int64_t n = 0; n < N(); n++) {
            mode m = at(p, n);
            complex power = m.w * exp_of((double)first * m.z), step = m.e + complex{1, 0};
            for (int64_t l = first; l < end; l++, power = power * step) K(p)[l] += power.re;
        }
    }
};

struct forward : convolved {
    PHA__CALL void operator()(int64_t k) const {
        int64_t row = k / P(), p = k % P();
        double y = (double)get(a.in[PHA__SSM_D], 0, p) * get(a.in[PHA__SSM_X], row, p);
        for (int64_t l = 0; l <= row % a.T; l++) y += K(p)[l] * get(a.in[PHA__SSM_X], row - l, p);
        put(a.out, row, p, (float)y);
    }
};

struct by_input : convolved {
    PHA__CALL void operator()(int64_t k) const {
        int64_t row = k / P(), p = k % P();
        double d = (double)get(a.in[PHA__SSM_D], 0, p) * get(a.d_out, row, p);
        for (int64_t l = 0; row % a.T + l < a.T; l++) d += K(p)[l] * get(a.d_out, row + l, p);
        put_grad(a, PHA__SSM_X, row, p, d);
    }
};

struct by_kernel : convolved {
    PHA__CALL void operator()(int64_t k) const {
        int64_t p = k / a.T, l = k % a.T;
        double sum = 0;
        for (int64_t row = l; row < (int64_t)a.B * a.T; row++)
            if (row % a.T >= l) sum += (double)get(a.in[PHA__SSM_X], row - l, p) * get(a.d_out, row, p);
        d_K(p)[l] = sum;
    }
};

struct by_skip : convolved {
    PHA__CALL void operator()(int64_t p) const {
        double sum = 0;
        for (int64_t row = 0; row < (int64_t)a.B * a.T; row++)
            sum += (double)get(a.in[PHA__SSM_X], row, p) * get(a.d_out, row, p);
        put_grad(a, PHA__SSM_D, 0, p, sum);
    }
};

struct by_mode : convolved {
    // Real and imaginary gradients of a complex parameter whose derivative is D.
    PHA__CALL void store(int re, int64_t p, int64_t n, complex D) const {
        put_grad(a, re, p, n, D.re);
        put_grad(a, re + 1, p, n, -D.im);
    }
    PHA__CALL void operator()(int64_t k) const {
        int64_t p = k / N(), n = k % N();
        mode m = at(p, n);
        complex m0 = {0, 0}, m1 = {0, 0}, power = {1, 0}, step = m.e + complex{1, 0}; // sums of dK e^(l z), and times l
        for (int64_t l = 0; l < a.T; l++, power = power * step) {
            if (l % STRETCH == 0) power = exp_of((double)l * m.z);
            complex d = d_K(p)[l] * power;
            m0 = m0 + d, m1 = m1 + (double)l * d;
        }
        complex in = m.e / m.lambda, CB = m.C * m.B * m0, y = m.w * m1; // w contains kappa
        store(PHA__SSM_C_RE, p, n, (double)t.kappa * (in * m0 * m.B));
        if (a.in[PHA__SSM_B_RE].data) store(PHA__SSM_B_RE, p, n, (double)t.kappa * (in * m0 * m.C));
        complex D = (double)t.kappa * m.dt * m.dt * (slope_of(m.z, m.e) * CB) + m.dt * y;
        double *sums = of_modes() + k;
        sums[0] = D.re * m.lambda.re;
        sums[P() * N()] = -D.im * (t.log_im ? m.lambda.im : 1);
        sums[2 * P() * N()] = m.dt * ((double)t.kappa * (CB * step).re + (y * m.lambda).re);
    }
};

struct by_lambda : convolved { // part 0: rate, 1: im; of all channels their sum
    PHA__CALL void operator()(int64_t k) const {
        double sum[2] = {0, 0};
        int64_t rows = shared() ? P() : 1;
        for (int part = 0; part < 2; part++)
            for (int64_t p = 0; p < rows; p++) sum[part] += of_modes()[(part * P() + p) * N() + k];
        put_grad(a, PHA__SSM_RATE, k / N(), k % N(), sum[0]);
        put_grad(a, PHA__SSM_IM, k / N(), k % N(), sum[1]);
    }
};

struct by_step : convolved {
    PHA__CALL void operator()(int64_t p) const {
        double sum = 0;
        for (int64_t n = 0; n < N(); n++) sum += of_modes()[(2 * P() + p) * N() + n];
        put_grad(a, PHA__SSM_LOG_DT, 0, p, sum);
    }
};

bool convolves(const pha__args *a) { return ((const pha__ssm_attr *)a->attr)->gradients && !a->state; }

// For either way: a program with gradients may be asked for its sizes without a state, and run with one.
size_t work(const pha__args *a, pha__pass pass) {
    size_t P = (size_t)a->out.width, N = (size_t)a->in[PHA__SSM_C_RE].width, modes = (N + 3) / 4 * 4;
    size_t steps = P * N * sizeof(factors) + (size_t)a->B * (P + 15) / 16 * 16 * modes * 2 * sizeof(float);
    size_t K = P * (size_t)a->T * sizeof(double);
    if (pass == PHA__BACKWARD) return 2 * K + 3 * P * N * sizeof(double);
    return convolves(a) && K > steps ? K : steps;
}

void run_backward(pha__cuda *c, const convolved &q) {
    const pha__view *d = q.a.d_in;
    int64_t P = q.a.out.width, N = q.a.in[PHA__SSM_C_RE].width;
    if (d[PHA__SSM_X].data) pha__each(c, n_rows(&q.a) * P, by_input{q});
    if (d[PHA__SSM_D].data) pha__each(c, P, by_skip{q});
    bool any = false;
    for (int i = PHA__SSM_C_RE; i < PHA__SSM_INPUTS; i++) any |= i != PHA__SSM_D && d[i].data;
    if (!any) return;
    pha__each(c, P * q.a.T, by_kernel{q});
    pha__each(c, P * N, by_mode{q});
    if (d[PHA__SSM_RATE].data || d[PHA__SSM_IM].data)
        pha__each(c, q.a.in[PHA__SSM_RATE].rows * N, by_lambda{q});
    if (d[PHA__SSM_LOG_DT].data) pha__each(c, P, by_step{q});
}

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    common q = {*a, *(const pha__ssm_attr *)a->attr};
    int64_t P = a->out.width;
    if (pass == PHA__FORWARD && !convolves(a)) {
        pha__each(c, P * a->in[PHA__SSM_C_RE].width, make_factors{{q}});
        return pha__each(c, a->B * P, walk{{q}});
    }
    pha__each(c, P * ((a->T + STRETCH - 1) / STRETCH), make_K{{q}});
    if (pass == PHA__FORWARD) return pha__each(c, n_rows(a) * P, forward{{q}});
    run_backward(c, {q});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_ssm = {NULL, work, run};
