// linear_attention.cu -- the recurrence, a column of S a thread, walked through T; the denominators, a head of a
// sequence a thread. Backward the same for the other three sums: dq and dk by rows of S, dk and dv from the last token
// to the first. S is in the session's state, or in work.
#include "backend/cuda/each.cuh"
#include "ops/linear_attention/linear_attention.h"

namespace {

enum { Q, K, V };

struct common {
    pha__args a;
    pha__linear_attention_attr t;
    float *inverse; // 1 / (q . n + eps) (B, T, H)
    void *sums;     // S of every head of every sequence
    PHA__CALL int64_t M() const { return t.n_feature; }
    PHA__CALL int64_t dh() const { return t.head_width; }
    PHA__CALL float q(int64_t row, int64_t h, int64_t m) const { return get(a.in[Q], row, h * M() + m); }
    PHA__CALL float k(int64_t row, int64_t h, int64_t m) const { return get(a.in[K], row, h * M() + m); }
    PHA__CALL float v(int64_t row, int64_t h, int64_t j) const { return get(a.in[V], row, h * dh() + j); }
    PHA__CALL float r(int64_t row, int64_t h) const { return inverse[row * t.n_head + h]; }
};

struct forward : common {
    // S (M, dh) of head h of sequence b, and n (M).
    PHA__CALL float *S(int64_t b, int64_t h) const {
        float *at = a.state ? (float *)pha__slot(&a, (int)b) : (float *)sums + b * t.n_head * M() * (dh() + 1);
        return at + h * M() * dh();
    }
    PHA__CALL float *n(int64_t b, int64_t h) const { return S(b, t.n_head) + h * M(); }
};

struct start : forward { // from nothing
    PHA__CALL void operator()(int64_t i) const { ((float *)sums)[i] = 0; }
};

struct denominators : forward {
    PHA__CALL void operator()(int64_t at) const {
        int64_t b = at / t.n_head, h = at % t.n_head;
        float *sum = n(b, h);
        for (int64_t row = b * a.T; row < (b + 1) * a.T; row++) {
            double dot = t.eps;
            for (int64_t m = 0; m < M(); m++) {
                sum[m] += k(row, h, m);
                dot += (double)q(row, h, m) * sum[m];
            }
            inverse[row * t.n_head + h] = (float)(1 / dot);
        }
    }
};

struct columns : forward {
    PHA__CALL void operator()(int64_t at) const {
        int64_t j = at % dh(), h = at / dh() % t.n_head, b = at / dh() / t.n_head;
        float *s = S(b, h) + j;
        float *exact = a.saved && a.out.dtype != PHA__F32 ? a.saved + (int64_t)a.B * a.T * t.n_head : NULL;
        for (int64_t row = b * a.T; row < (b + 1) * a.T; row++) {
            double dot = 0;
            for (int64_t m = 0; m < M(); m++) {
                s[m * dh()] = fmaf(k(row, h, m), v(row, h, j), s[m * dh()]);
                dot += (double)q(row, h, m) * s[m * dh()];
            }
            float o = (float)(dot * r(row, h));
            put(a.out, row, h * dh() + j, o);
            if (exact) exact[row * a.out.width + h * dh() + j] = o;
        }
    }
};

struct backward : common {
    float *e; // (B, T, H), behind the sums
    PHA__CALL float d(int64_t row, int64_t h, int64_t j) const { return get(a.d_out, row, h * dh() + j); }
    PHA__CALL double *row_of(int64_t at) const { return (double *)sums + at * (dh() + 1); }
};

struct errors : backward { // e_t = -<do_t, o_t>
    PHA__CALL void operator()(int64_t at) const {
        int64_t row = at / t.n_head, h = at % t.n_head;
        const float *exact = a.saved + (int64_t)a.B * a.T * t.n_head;
        double sum = 0;
        for (int64_t j = 0; j < dh(); j++) {
            int64_t i = h * dh() + j;
            sum -= (double)d(row, h, j) * (a.out.dtype == PHA__F32 ? get(a.out, row, i) : exact[row * a.out.width + i]);
        }
        e[at] = (float)sum;
    }
};

struct by_query : backward {
    PHA__CALL void operator()(int64_t at) const { // row m of [S, n]
        int64_t m = at % M(), h = at / M() % t.n_head, b = at / M() / t.n_head;
        double *s = row_of(at);
        for (int64_t j = 0; j <= dh(); j++) s[j] = 0;
        for (int64_t row = b * a.T; row < (b + 1) * a.T; row++) {
            double x = k(row, h, m), sum = 0;
            s[dh()] += x;
            for (int64_t j = 0; j < dh(); j++) {
                s[j] += x * v(row, h, j);
                sum += s[j] * d(row, h, j);
            }
            put_grad(a, Q, row, h * M() + m, r(row, h) * (sum + e[row * t.n_head + h] * s[dh()]));
        }
    }
};

struct by_key : backward {
    PHA__CALL void operator()(int64_t at) const { // row m of sum r q [do, e]
        int64_t m = at % M(), h = at / M() % t.n_head, b = at / M() / t.n_head;
        double *s = row_of(at);
        for (int64_t j = 0; j <= dh(); j++) s[j] = 0;
        for (int64_t row = (b + 1) * a.T - 1; row >= b * a.T; row--) {
            double x = (double)r(row, h) * q(row, h, m);
            double sum = s[dh()] += x * e[row * t.n_head + h];
            for (int64_t j = 0; j < dh(); j++) {
                s[j] += x * d(row, h, j);
                sum += s[j] * v(row, h, j);
            }
            put_grad(a, K, row, h * M() + m, sum);
        }
    }
};

struct by_value : backward {
    PHA__CALL void operator()(int64_t at) const { // column j of sum r q do
        int64_t j = at % dh(), h = at / dh() % t.n_head, b = at / dh() / t.n_head;
        double *s = (double *)sums + at * M();
        for (int64_t m = 0; m < M(); m++) s[m] = 0;
        for (int64_t row = (b + 1) * a.T - 1; row >= b * a.T; row--) {
            double x = (double)r(row, h) * d(row, h, j), sum = 0;
            for (int64_t m = 0; m < M(); m++) {
                s[m] += x * q(row, h, m);
                sum += s[m] * k(row, h, m);
            }
            put_grad(a, V, row, h * dh() + j, sum);
        }
    }
};

int64_t size_of_sums(const pha__args *a) { // numbers
    const pha__linear_attention_attr *t = (const pha__linear_attention_attr *)a->attr;
    return (int64_t)a->B * t->n_head * t->n_feature * (t->head_width + 1);
}

size_t work(const pha__args *a, pha__pass pass) {
    int64_t heads = n_rows(a) * ((const pha__linear_attention_attr *)a->attr)->n_head;
    return (size_t)size_of_sums(a) * (pass == PHA__FORWARD ? sizeof(float) : sizeof(double)) +
           (size_t)heads * sizeof(float);
}

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    const pha__linear_attention_attr *t = (const pha__linear_attention_attr *)a->attr;
    int64_t heads = (int64_t)a->B * t->n_head, size = size_of_sums(a);
    if (pass == PHA__FORWARD) {
        forward f = {{*a, *t, a->saved ? a->saved : (float *)a->work + size, a->work}};
        if (!a->state) pha__each(c, size, start{f});
        pha__each(c, heads, denominators{f});
        return pha__each(c, heads * t->head_width, columns{f});
    }
    backward b = {{*a, *t, a->saved, a->work}, (float *)((double *)a->work + size)};
    pha__each(c, n_rows(a) * t->n_head, errors{b});
    if (a->d_in[Q].data) pha__each(c, heads * t->n_feature, by_query{b});
    if (a->d_in[K].data) pha__each(c, heads * t->n_feature, by_key{b});
    if (a->d_in[V].data) pha__each(c, heads * t->head_width, by_value{b});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_linear_attention = {NULL, work, run};
