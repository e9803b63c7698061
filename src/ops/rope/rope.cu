// rope.cu -- a head of a row a warp; the gradients of tau and of the gain are sums over the rows
#include "backend/cuda/rows.cuh"
#include "ops/rope/rope.h"

namespace {

enum { X, TABLE, TAU, GAIN };

#define LN_100 4.60517019f

struct head { // one of a row, and where its pairs lie
    const pha__args &a;
    const pha__rope_attr &t;
    int64_t row, i;
    PHA__CALL int64_t at(int j) const { return i * t.head_width + j; }
    PHA__CALL int first(int j) const { return t.interleaved ? 2 * j : j; }
    PHA__CALL int second(int j) const { return t.interleaved ? 2 * j + 1 : j + t.head_width / 2; }
    PHA__CALL float scale() const {
        return a.in[TAU].data ? expf(fminf(get(a.in[TAU], 0, i), LN_100)) : 1;
    }
    PHA__CALL float *inverse() const { return a.saved + row * t.n_head + i; }
    PHA__CALL float *unit() const { // rms only
        return a.saved + (int64_t)a.B * a.T * t.n_head + (row * t.n_head + i) * t.head_width;
    }
    // The gradient of the normalised (and scaled by the gain) head, members of pair j.
    PHA__CALL void turned_back(int j, double *p, double *q) const {
        double x = get(a.d_out, row, at(first(j))), y = get(a.d_out, row, at(second(j))), s = scale();
        double co = get(a.in[TABLE], row, j), si = get(a.in[TABLE], row, t.head_width / 2 + j);
        *p = s * (x * co + y * si), *q = s * (y * co - x * si);
    }
    // The normalised head, from what is kept.
    PHA__CALL void kept(int j, double *p, double *q) const {
        if (t.norm == PHA__NORM_RMS) {
            *p = unit()[first(j)], *q = unit()[second(j)];
            return;
        }
        double x = get(a.out, row, at(first(j))), y = get(a.out, row, at(second(j))), s = 1 / (double)scale();
        double co = get(a.in[TABLE], row, j), si = get(a.in[TABLE], row, t.head_width / 2 + j);
        *p = s * (x * co + y * si), *q = s * (y * co - x * si);
    }
};

struct forward {
    pha__args a;
    pha__rope_attr t;
    template <typename L> PHA__CALL void operator()(int64_t k, L l) const {
        head h = {a, t, k / t.n_head, k % t.n_head};
        double sum = 0, inverse = 1, scale = h.scale();
        for (int j = l.first; j < t.head_width; j += l.step) {
            double x = get(a.in[X], h.row, h.at(j));
            sum += x * x;
        }
        sum = l.sum(sum);
        if (t.norm == PHA__NORM_RMS) sum /= t.head_width;
        if (t.norm != PHA__NORM_NONE) {
            inverse = 1 / sqrt(sum + (double)t.eps);
            if (a.saved && l.first == 0) *h.inverse() = (float)inverse;
        }
        for (int j = l.first; j < t.head_width / 2; j += l.step) {
            int m = h.first(j), n = h.second(j);
            double p = get(a.in[X], h.row, h.at(m)) * inverse, q = get(a.in[X], h.row, h.at(n)) * inverse;
            if (t.norm == PHA__NORM_RMS) {
                if (a.saved) h.unit()[m] = (float)p, h.unit()[n] = (float)q;
                p *= get(a.in[GAIN], 0, m), q *= get(a.in[GAIN], 0, n);
            }
            double co = get(a.in[TABLE], h.row, j), si = get(a.in[TABLE], h.row, t.head_width / 2 + j);
            put(a.out, h.row, h.at(m), (float)(scale * (p * co - q * si)));
            put(a.out, h.row, h.at(n), (float)(scale * (p * si + q * co)));
        }
    }
};

struct backward {
    pha__args a;
    pha__rope_attr t;
    double *d_taus; // of the heads of the rows
    template <typename L> PHA__CALL void operator()(int64_t k, L l) const {
        head h = {a, t, k / t.n_head, k % t.n_head};
        double d_tau = 0, dot = 0, p, q, u, v;
        bool rms = t.norm == PHA__NORM_RMS;
        for (int j = l.first; j < t.head_width; j += l.step)
            d_tau += (double)get(a.d_out, h.row, h.at(j)) * get(a.out, h.row, h.at(j));
        d_tau = l.sum(d_tau);
        if (l.first == 0) d_taus[k] = d_tau;
        if (!a.d_in[X].data) return;
        for (int j = l.first; j < t.head_width / 2 && t.norm != PHA__NORM_NONE; j += l.step) {
            h.turned_back(j, &p, &q);
            h.kept(j, &u, &v);
            dot += p * u * get_or(a.in[GAIN], 0, h.first(j), 1) + q * v * get_or(a.in[GAIN], 0, h.second(j), 1);
        }
        dot = l.sum(dot);
        if (rms) dot /= t.head_width;
        double inverse = t.norm == PHA__NORM_NONE ? 1 : *h.inverse();
        // (g - u <g, u>) / n is exact also with eps in the root
        for (int j = l.first; j < t.head_width / 2; j += l.step) {
            int m = h.first(j), n = h.second(j);
            h.turned_back(j, &p, &q);
            u = v = 0;
            if (t.norm != PHA__NORM_NONE) h.kept(j, &u, &v);
            if (rms) p *= get(a.in[GAIN], 0, m), q *= get(a.in[GAIN], 0, n);
            put_grad(a, X, h.row, h.at(m), inverse * (p - u * dot));
            put_grad(a, X, h.row, h.at(n), inverse * (q - v * dot));
        }
    }
};

struct by_tau {
    pha__args a;
    pha__rope_attr t;
    const double *d_taus;
    PHA__CALL double part(int64_t row, int64_t i) const { return d_taus[row * t.n_head + i]; }
    PHA__CALL void total(int64_t i, double sum) const {
        put_grad(a, TAU, 0, i, get(a.in[TAU], 0, i) > LN_100 ? 0 : sum); // clamped
    }
};

struct by_gain { // of the first members of the pairs, then of the second ones
    pha__args a;
    pha__rope_attr t;
    PHA__CALL double part(int64_t row, int64_t i) const {
        double sum = 0, p, q;
        int j = (int)(i % (t.head_width / 2));
        for (int k = 0; k < t.n_head; k++) {
            head h = {a, t, row, k};
            h.turned_back(j, &p, &q);
            sum += i == j ? p * h.unit()[h.first(j)] : q * h.unit()[h.second(j)];
        }
        return sum;
    }
    PHA__CALL void total(int64_t i, double sum) const {
        head h = {a, t, 0, 0};
        int j = (int)(i % (t.head_width / 2));
        put_grad(a, GAIN, 0, i == j ? h.first(j) : h.second(j), sum);
    }
};

int64_t most_sums(const pha__args *a) {
    const pha__rope_attr *t = (const pha__rope_attr *)a->attr;
    return t->n_head > t->head_width ? t->n_head : t->head_width;
}

size_t work(const pha__args *a, pha__pass pass) {
    size_t heads = (size_t)(n_rows(a) * ((const pha__rope_attr *)a->attr)->n_head);
    return pass == PHA__BACKWARD ? pha__sums_bytes(n_rows(a), most_sums(a)) + heads * sizeof(double) : 0;
}

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    const pha__rope_attr *t = (const pha__rope_attr *)a->attr;
    int64_t rows = n_rows(a), heads = rows * t->n_head;
    if (pass == PHA__FORWARD) return pha__rows(c, "rope", heads, forward{*a, *t});
    double *d_taus = (double *)((char *)a->work + pha__sums_bytes(rows, most_sums(a)));
    pha__rows(c, "rope", heads, backward{*a, *t, d_taus});
    if (a->in[TAU].data && a->d_in[TAU].data) pha__sums(c, rows, t->n_head, a->work, by_tau{*a, *t, d_taus});
    if (a->in[GAIN].data && a->d_in[GAIN].data) pha__sums(c, rows, t->head_width, a->work, by_gain{*a, *t});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_rope = {NULL, work, run};
