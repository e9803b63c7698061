// mix.cu -- a row a warp; what the columns' sums need of a row it leaves in work
#include "backend/cuda/rows.cuh"
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
    row_facts *facts; // of the rows

    PHA__CALL float mask(int64_t row, int64_t i) const {
        return dropout(a.run, t.dropout, t.site, row, i, a.out.width);
    }
    PHA__CALL double gain(int k, int64_t i) const { return get_or(a.in[GAIN + k], 0, i, 1); }
    PHA__CALL double branch(const row_facts &f, int64_t row, int k, int64_t i) const { // normalised
        return f.inverse[k] * get(a.in[BRANCH + k], row, i);
    }
    template <typename L> PHA__CALL void weights(int64_t row, row_facts *f, L l) const {
        double s[N];
        f->sum = 0;
        for (int k = 0; k < t.n; k++) {
            double dynamic = 0;
            for (int64_t i = l.first; a.in[M].data && i < a.in[M].width; i += l.step)
                dynamic += (double)get(a.in[M], k, i) * get(a.in[INPUT], row, i);
            f->c[k] = get_or(a.in[P], 0, k, 0) + (a.in[M].data ? l.sum(dynamic) : 0);
            s[k] = a.in[P].data ? fmax(f->c[k], 0.0) + log1p(exp(-fabs(f->c[k]))) : 1;
            f->sum += s[k];
        }
        for (int k = 0; k < t.n; k++) f->w[k] = s[k] / f->sum;
    }
    template <typename L> PHA__CALL double inverse_rms(const pha__view &v, int64_t row, L l) const {
        double s = 0;
        for (int64_t i = l.first; i < a.out.width; i += l.step) s += (double)get(v, row, i) * get(v, row, i);
        return 1 / sqrt(l.sum(s) / a.out.width + (double)t.eps);
    }
    template <typename L> PHA__CALL void look(int64_t row, row_facts *f, L l) const {
        weights(row, f, l);
        for (int k = 0; k < t.n; k++) f->inverse[k] = inverse_rms(a.in[BRANCH + k], row, l);
        f->norm = 1, f->mean = 0;
        if (!a.in[NORM].data) return;
        double s = 0;
        for (int64_t i = l.first; i < a.out.width; i += l.step) s += (double)sum(*f, row, i) * sum(*f, row, i);
        f->norm = 1 / sqrt(l.sum(s) / a.out.width + (double)t.norm_eps);
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
    template <typename L> PHA__CALL void operator()(int64_t row, L l) const {
        row_facts f;
        look(row, &f, l);
        for (int64_t i = l.first; i < a.out.width; i += l.step) {
            float x = sum(f, row, i);
            put(a.out, row, i, a.in[NORM].data ? (float)(f.norm * x) * get(a.in[NORM], 0, i) : x);
        }
    }
};

struct backward : common {
    template <typename L> PHA__CALL void operator()(int64_t row, L l) const {
        int64_t D = a.out.width;
        row_facts f;
        look(row, &f, l);
        double e[N] = {0}, mean = 0;
        for (int64_t i = l.first; i < D && a.in[NORM].data; i += l.step)
            mean += (double)get(a.d_out, row, i) * get(a.in[NORM], 0, i) * f.norm * sum(f, row, i) / D;
        f.mean = a.in[NORM].data ? l.sum(mean) : 0;
        for (int64_t i = l.first; i < D; i += l.step) {
            double y = g(f, row, i);
            for (int k = 0; k < t.n; k++) e[k] += y * gain(k, i) * branch(f, row, k, i);
        }
        mean = 0;
        for (int k = 0; k < t.n; k++) mean += f.w[k] * (e[k] = l.sum(e[k]));
        for (int k = 0; k < t.n; k++) f.dc[k] = (e[k] - mean) / f.sum / (1 + exp(-f.c[k]));
        if (l.first == 0) facts[row] = f;
        for (int64_t i = l.first; i < D; i += l.step) put_grad(a, BASE, row, i, t.alpha * d_sum(f, row, i));
        for (int k = 0; k < t.n; k++)
            for (int64_t i = l.first; i < D && a.d_in[BRANCH + k].data; i += l.step)
                put_grad(a, BRANCH + k, row, i,
                         f.inverse[k] * f.w[k] * (g(f, row, i) * gain(k, i) - branch(f, row, k, i) * e[k] / D));
        for (int64_t i = l.first; a.in[M].data && i < a.in[M].width; i += l.step) {
            double du = 0;
            for (int k = 0; k < t.n; k++) du += f.dc[k] * get(a.in[M], k, i);
            put_grad(a, INPUT, row, i, du);
        }
    }
};

// Sums over the rows. Inputs of backward and of these do not overlap: what a row's warp wrote is not read here.
// Columns of the gain of branch k are k D to (k + 1) D - 1, those of the norm's gain come last.
struct gains : common {
    PHA__CALL double part(int64_t row, int64_t at) const {
        const row_facts &f = facts[row];
        int64_t k = at / a.out.width, i = at % a.out.width;
        if (k == t.n) return a.in[NORM].data ? get(a.d_out, row, i) * f.norm * sum(f, row, i) : 0;
        return a.d_in[GAIN + k].data ? f.w[k] * g(f, row, i) * branch(f, row, (int)k, i) : 0;
    }
    PHA__CALL void total(int64_t at, double s) const {
        int k = (int)(at / a.out.width);
        put_grad(a, k == t.n ? NORM : GAIN + k, 0, at % a.out.width, s);
    }
};

struct by_p : common {
    PHA__CALL double part(int64_t row, int64_t k) const { return facts[row].dc[k]; }
    PHA__CALL void total(int64_t k, double s) const { put_grad(a, P, 0, k, s); }
};

struct by_m : common {
    PHA__CALL double part(int64_t row, int64_t at) const {
        return facts[row].dc[at / a.in[M].width] * get(a.in[INPUT], row, at % a.in[M].width);
    }
    PHA__CALL void total(int64_t at, double s) const { put_grad(a, M, at / a.in[M].width, at % a.in[M].width, s); }
};

int64_t most_sums(const pha__args *a) {
    return (((const pha__mix_attr *)a->attr)->n + 1) * (int64_t)a->out.width; // M is (n, D)
}

size_t work(const pha__args *a, pha__pass pass) {
    if (pass == PHA__FORWARD) return 0;
    return pha__sums_bytes(n_rows(a), most_sums(a)) + (size_t)n_rows(a) * sizeof(row_facts);
}

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    int64_t rows = n_rows(a);
    row_facts *facts = (row_facts *)((char *)a->work + pha__sums_bytes(rows, most_sums(a)));
    common q = {*a, *(const pha__mix_attr *)a->attr, facts};
    if (pass == PHA__FORWARD) return pha__rows(c, "mix", rows, forward{q});
    pha__rows(c, "mix", rows, backward{q});
    bool any = a->d_in[NORM].data;
    for (int k = 0; k < q.t.n; k++) any |= a->d_in[GAIN + k].data != NULL;
    if (any) pha__sums(c, rows, most_sums(a), a->work, gains{q});
    if (a->d_in[P].data) pha__sums(c, rows, q.t.n, a->work, by_p{q});
    if (a->d_in[M].data) pha__sums(c, rows, (int64_t)q.t.n * a->in[M].width, a->work, by_m{q});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_mix = {NULL, work, run};
