// mix.cu -- a row a thread; what the columns' sums need of a row it leaves in work
#include "backend/cuda/each.cuh"
#include "ops/mix/mix.h"

namespace {

enum {
    BASE = PHA__MIX_BASE,
    P = PHA__MIX_P,
    M = PHA__MIX_M,
    INPUT = PHA__MIX_U,
    BRANCH = PHA__MIX_BRANCH,
    GAIN = PHA__MIX_GAIN,
    NORM = PHA__MIX_NORM,
    N = PHA__MIX_MAX
};

struct row_facts {
    double w[N], inverse[N], c[N], dc[N]; // weights, 1 / rms of the branches, pre-activations and their gradients
    double sum;                           // of softplus(c)
    double norm, mean;                    // of the norm behind: 1 / rms, mean of gradient times output
};

struct common {
    pha__args a;
    pha__mix_attr t;

    PHA__CALL float mask(int64_t row, int64_t i) const {
        return dropout(a.run, t.dropout, t.site, row, i, a.out.width);
    }
    PHA__CALL double gain(int k, int64_t i) const { return get_or(a.in[GAIN + k], 0, i, 1); }
    PHA__CALL double branch(const row_facts &f, int64_t row, int k, int64_t i) const { // normalised
        return f.inverse[k] * get(a.in[BRANCH + k], row, i);
    }
    PHA__CALL void weights(int64_t row, row_facts *f) const {
        double s[N];
        f->sum = 0;
        for (int k = 0; k < t.n; k++) {
            f->c[k] = get_or(a.in[P], 0, k, 0);
            for (int64_t i = 0; a.in[M].data && i < a.in[M].width; i++)
                f->c[k] += (double)get(a.in[M], k, i) * get(a.in[INPUT], row, i);
            s[k] = a.in[P].data ? fmax(f->c[k], 0.0) + log1p(exp(-fabs(f->c[k]))) : 1;
            f->sum += s[k];
        }
        for (int k = 0; k < t.n; k++) f->w[k] = s[k] / f->sum;
    }
    PHA__CALL void look(int64_t row, row_facts *f) const {
        weights(row, f);
        for (int k = 0; k < t.n; k++) f->inverse[k] = inverse_rms(a.in[BRANCH + k], row, a.out.width, t.eps);
        f->norm = 1, f->mean = 0;
        if (!a.in[NORM].data) return;
        double s = 0;
        for (int64_t i = 0; i < a.out.width; i++) s += (double)sum(*f, row, i) * sum(*f, row, i);
        f->norm = 1 / sqrt(s / a.out.width + (double)t.norm_eps);
    }
    // Rounded as where it is stored: fused with its norm or apart, the numbers are the same.
    PHA__CALL float sum(const row_facts &f, int64_t row, int64_t i) const {
        double y = 0;
        for (int k = 0; k < t.n; k++) y += f.w[k] * gain(k, i) * branch(f, row, k, i);
        return (float)((double)t.alpha * get(a.in[BASE], row, i) + (double)t.beta * mask(row, i) * y);
    }
    // The gradient of the sum.
    PHA__CALL float d_sum(const row_facts &f, int64_t row, int64_t i) const {
        float d = get(a.d_out, row, i);
        if (!a.in[NORM].data) return d;
        return (float)(f.norm * ((double)d * get(a.in[NORM], 0, i) - f.norm * sum(f, row, i) * f.mean));
    }
    // The gradient of y.
    PHA__CALL double g(const row_facts &f, int64_t row, int64_t i) const {
        return (double)t.beta * mask(row, i) * d_sum(f, row, i);
    }
};

struct forward : common {
    PHA__CALL void operator()(int64_t row) const {
        row_facts f;
        look(row, &f);
        for (int64_t i = 0; i < a.out.width; i++) {
            float x = sum(f, row, i);
            put(a.out, row, i, a.in[NORM].data ? (float)(f.norm * x) * get(a.in[NORM], 0, i) : x);
        }
    }
};

struct backward : common {
    PHA__CALL void operator()(int64_t row) const {
        int64_t D = a.out.width;
        row_facts f;
        look(row, &f);
        for (int64_t i = 0; i < D && a.in[NORM].data; i++)
            f.mean += (double)get(a.d_out, row, i) * get(a.in[NORM], 0, i) * f.norm * sum(f, row, i) / D;
        double e[N] = {0}, mean = 0;
        for (int64_t i = 0; i < D; i++) {
            double y = g(f, row, i);
            for (int k = 0; k < t.n; k++) e[k] += y * gain(k, i) * branch(f, row, k, i);
        }
        for (int k = 0; k < t.n; k++) mean += f.w[k] * e[k];
        for (int k = 0; k < t.n; k++) f.dc[k] = (e[k] - mean) / f.sum / (1 + exp(-f.c[k]));
        ((row_facts *)a.work)[row] = f;
        for (int64_t i = 0; i < D; i++) put_grad(a, BASE, row, i, t.alpha * d_sum(f, row, i));
        for (int k = 0; k < t.n; k++)
            for (int64_t i = 0; i < D && a.d_in[BRANCH + k].data; i++)
                put_grad(a, BRANCH + k, row, i,
                         f.inverse[k] * f.w[k] * (g(f, row, i) * gain(k, i) - branch(f, row, k, i) * e[k] / D));
        for (int64_t i = 0; a.in[M].data && i < a.in[M].width; i++) {
            double du = 0;
            for (int k = 0; k < t.n; k++) du += f.dc[k] * get(a.in[M], k, i);
            put_grad(a, INPUT, row, i, du);
        }
    }
};

// Sums over the rows. Inputs of backward and of these do not overlap: what a row's thread wrote is not read here.
struct columns : common {
    PHA__CALL void operator()(int64_t i) const {
        double d_gain[N] = {0}, d_norm = 0;
        for (int64_t row = 0; row < (int64_t)a.B * a.T; row++) {
            const row_facts &f = ((const row_facts *)a.work)[row];
            double y = g(f, row, i);
            for (int k = 0; k < t.n; k++) d_gain[k] += f.w[k] * y * branch(f, row, k, i);
            if (a.in[NORM].data) d_norm += get(a.d_out, row, i) * f.norm * sum(f, row, i);
        }
        for (int k = 0; k < t.n; k++) put_grad(a, GAIN + k, 0, i, d_gain[k]);
        put_grad(a, NORM, 0, i, d_norm);
    }
};

struct by_p : common {
    PHA__CALL void operator()(int64_t k) const {
        double s = 0;
        for (int64_t row = 0; row < (int64_t)a.B * a.T; row++) s += ((const row_facts *)a.work)[row].dc[k];
        put_grad(a, P, 0, k, s);
    }
};

struct by_m : common {
    PHA__CALL void operator()(int64_t at) const {
        int64_t k = at / a.in[M].width, i = at % a.in[M].width;
        double s = 0;
        for (int64_t row = 0; row < (int64_t)a.B * a.T; row++)
            s += ((const row_facts *)a.work)[row].dc[k] * get(a.in[INPUT], row, i);
        put_grad(a, M, k, i, s);
    }
};

size_t work(const pha__args *a, pha__pass pass) {
    return pass == PHA__BACKWARD ? (size_t)n_rows(a) * sizeof(row_facts) : 0;
}

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    common q = {*a, *(const pha__mix_attr *)a->attr};
    if (pass == PHA__FORWARD) return pha__each(c, n_rows(a), forward{q});
    pha__each(c, n_rows(a), backward{q});
    bool gains = a->d_in[NORM].data;
    for (int k = 0; k < q.t.n; k++) gains |= a->d_in[GAIN + k].data != NULL;
    if (gains) pha__each(c, a->out.width, columns{q});
    if (a->d_in[P].data) pha__each(c, q.t.n, by_p{q});
    if (a->d_in[M].data) pha__each(c, (int64_t)q.t.n * a->in[M].width, by_m{q});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_mix = {NULL, work, run};
