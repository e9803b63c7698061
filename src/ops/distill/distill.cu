// distill.cu -- a query of a head a thread, in double: its sums over the keys go to work, and its nll and entropy, of
// which a row's thread takes the means; gradients of f by query, of g by key, summed in work
#include "backend/cuda/each.cuh"
#include "ops/distill/distill.h"

namespace {

enum { Q, K, F, G };

struct query { // sums over the keys
    double top, sum, R, nll, entropy;
};

struct common {
    pha__args a;
    pha__distill_attr t;
    double *grads; // (B T H, M), behind the queries
    PHA__CALL query *queries() const { return (query *)a.work; }
    PHA__CALL double logit(int64_t row, int64_t other, int64_t h) const {
        double x = 0;
        for (int64_t i = h * t.head_width; i < (h + 1) * t.head_width; i++)
            x += (double)get(a.in[Q], row, i) * get(a.in[K], other, i);
        return t.scale * x;
    }
    PHA__CALL double pair(int64_t row, int64_t other, int64_t h) const {
        double x = 0;
        for (int64_t i = h * t.n_feature; i < (h + 1) * t.n_feature; i++)
            x += (double)get(a.in[F], row, i) * get(a.in[G], other, i);
        return x;
    }
    // The gradient of b of a query and a key.
    PHA__CALL double slope(int64_t row, int64_t other, int64_t h) const {
        const query &q = queries()[row * t.n_head + h];
        double A = exp(logit(row, other, h) - q.top) / q.sum;
        return (double)a.run->loss_scale * t.weight / t.n_head * (1 / q.R - A / pair(row, other, h));
    }
};

struct look : common {
    PHA__CALL void operator()(int64_t k) const {
        int64_t row = k / t.n_head, h = k % t.n_head, first = row / a.T * a.T;
        query q = {-INFINITY, 0, 0, 0, 0};
        for (int64_t s = first; s <= row; s++) q.top = fmax(q.top, logit(row, s, h));
        double logs = 0, logits = 0; // weighed by A times sum
        for (int64_t s = first; s <= row; s++) {
            double x = logit(row, s, h) - q.top, e = exp(x), b = pair(row, s, h);
            q.sum += e, q.R += b, logits += e * x;
            if (e > 0) logs += e * log(b);
        }
        q.nll = log(q.R) - logs / q.sum;
        q.entropy = log(q.sum) - logits / q.sum;
        queries()[k] = q;
    }
};

struct means : common {
    PHA__CALL void operator()(int64_t row) const {
        double nll = 0, entropy = 0;
        for (int64_t h = 0; h < t.n_head; h++) {
            nll += queries()[row * t.n_head + h].nll / t.n_head;
            entropy += queries()[row * t.n_head + h].entropy / t.n_head;
        }
        put(a.out, row, PHA__DISTILL_NLL, (float)nll);
        put(a.out, row, PHA__DISTILL_ENTROPY, (float)entropy);
    }
};

struct gradient : common {
    // Adds the slopes of queries [first, last] and key, or of a query and keys, to row k of grads, and writes it.
    PHA__CALL void sum(int64_t k, int64_t first, int64_t last, bool of_keys) const {
        int64_t row = k / t.n_head, h = k % t.n_head;
        double *d = grads + k * t.n_feature;
        for (int64_t i = 0; i < t.n_feature; i++) d[i] = 0;
        for (int64_t s = first; s <= last; s++) {
            double x = of_keys ? slope(s, row, h) : slope(row, s, h);
            for (int64_t i = 0; i < t.n_feature; i++) d[i] += x * get(a.in[of_keys ? F : G], s, h * t.n_feature + i);
        }
        for (int64_t i = 0; i < t.n_feature; i++) put_grad(a, of_keys ? G : F, row, h * t.n_feature + i, d[i]);
    }
};

struct by_query : gradient {
    PHA__CALL void operator()(int64_t k) const { sum(k, k / t.n_head / a.T * a.T, k / t.n_head, false); }
};

struct by_key : gradient {
    PHA__CALL void operator()(int64_t k) const { sum(k, k / t.n_head, k / t.n_head / a.T * a.T + a.T - 1, true); }
};

size_t work(const pha__args *a, pha__pass pass) {
    const pha__distill_attr *t = (const pha__distill_attr *)a->attr;
    size_t heads = (size_t)(n_rows(a) * t->n_head), grads = pass == PHA__BACKWARD ? heads * (size_t)t->n_feature : 0;
    return heads * sizeof(query) + grads * sizeof(double);
}

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    const pha__distill_attr *t = (const pha__distill_attr *)a->attr;
    int64_t heads = n_rows(a) * t->n_head;
    common q = {*a, *t, (double *)((query *)a->work + heads)};
    pha__each(c, heads, look{q});
    pha__each(c, n_rows(a), means{q});
    if (pass == PHA__FORWARD) return;
    if (a->d_in[F].data) pha__each(c, heads, by_query{{q}});
    if (a->d_in[G].data) pha__each(c, heads, by_key{{q}});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_distill = {NULL, work, run};
