// hedgehog.cu -- y = W x an element a thread, in work; features, and backward dy in the place of y, a head of a row a
// thread; dx and dW an element a thread
#include "backend/cuda/each.cuh"
#include "ops/hedgehog/hedgehog.h"

namespace {

enum { X, W };

struct common {
    pha__args a;
    pha__hedgehog_attr t;
    PHA__CALL double *y(int64_t k) const { return (double *)a.work + k * t.head_width; } // of head k % H of row k / H
};

struct project : common {
    PHA__CALL void operator()(int64_t k) const {
        int64_t dh = t.head_width, row = k / a.in[X].width, i = k % a.in[X].width, first = i / dh * dh;
        double sum = 0;
        for (int64_t j = 0; j < dh; j++) sum += (double)get(a.in[W], i, j) * get(a.in[X], row, first + j);
        ((double *)a.work)[k] = sum;
    }
};

struct softmax : common { // the two halves of a head
    struct half {
        double top, sum;
    };
    PHA__CALL void look(const double *y, half *h) const {
        for (int s = 0; s < 2; s++) {
            double sign = s ? -1 : 1;
            h[s].top = sign * y[0], h[s].sum = 0;
            for (int j = 1; j < t.head_width; j++) h[s].top = fmax(h[s].top, sign * y[j]);
        }
        if (t.map == PHA__MAP_EXP) h[0].top = h[1].top = fmax(h[0].top, h[1].top);
        for (int s = 0; s < 2; s++)
            for (int j = 0; j < t.head_width; j++) h[s].sum += exp((s ? -y[j] : y[j]) - h[s].top);
        if (t.map == PHA__MAP_EXP) h[0].sum = h[1].sum = 1;
    }
    PHA__CALL double feature(const double *y, const half *h, int s, int j) const {
        return exp((s ? -y[j] : y[j]) - h[s].top) / h[s].sum;
    }
};

struct forward : softmax {
    PHA__CALL void operator()(int64_t k) const {
        int64_t row = k / t.n_head, first = k % t.n_head * 2 * t.head_width;
        half h[2];
        look(y(k), h);
        for (int s = 0; s < 2; s++)
            for (int j = 0; j < t.head_width; j++)
                put(a.out, row, first + s * t.head_width + j, fmaxf((float)feature(y(k), h, s, j), t.floor));
    }
};

struct backward : softmax {
    // f df, or 0 where f was raised to the floor
    PHA__CALL double weighed(int64_t k, const half *h, int s, int j) const {
        double f = feature(y(k), h, s, j);
        int64_t at = (k % t.n_head * 2 + s) * t.head_width + j;
        return (float)f >= t.floor ? f * get(a.d_out, k / t.n_head, at) : 0;
    }
    PHA__CALL void operator()(int64_t k) const {
        half h[2];
        double sum[2] = {0, 0}, *v = y(k);
        int top = 0;
        look(v, h);
        for (int s = 0; s < 2; s++)
            for (int j = 0; j < t.head_width; j++) sum[s] += weighed(k, h, s, j);
        for (int j = 1; j < t.head_width; j++) top = fabs(v[j]) > fabs(v[top]) ? j : top;
        double largest = v[top] < 0 ? -1 : 1;
        bool whole = t.map == PHA__MAP_EXP; // all exponents have the largest |y| taken off
        for (int j = 0; j < t.head_width; j++) {
            double d = weighed(k, h, 0, j) - weighed(k, h, 1, j);
            if (!whole) d -= sum[0] * feature(v, h, 0, j) - sum[1] * feature(v, h, 1, j);
            v[j] = whole && j == top ? d - largest * (sum[0] + sum[1]) : d; // nobody reads this y again
        }
    }
};

struct by_input : common {
    PHA__CALL void operator()(int64_t k) const {
        int64_t dh = t.head_width, row = k / a.in[X].width, i = k % a.in[X].width, head = i / dh;
        const double *dy = y(row * t.n_head + head);
        double sum = 0;
        for (int64_t j = 0; j < dh; j++) sum += dy[j] * get(a.in[W], head * dh + j, i % dh);
        put_grad(a, X, row, i, sum);
    }
};

struct by_map : common {
    PHA__CALL void operator()(int64_t k) const {
        int64_t dh = t.head_width, i = k / dh, j = k % dh;
        double sum = 0;
        for (int64_t row = 0; row < (int64_t)a.B * a.T; row++)
            sum += ((const double *)a.work)[row * a.in[X].width + i] * get(a.in[X], row, i / dh * dh + j);
        put_grad(a, W, i, j, sum);
    }
};

size_t work(const pha__args *a, pha__pass) { return (size_t)(n_rows(a) * a->in[X].width) * sizeof(double); }

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    common q = {*a, *(const pha__hedgehog_attr *)a->attr};
    int64_t n = n_rows(a) * a->in[X].width, heads = n_rows(a) * q.t.n_head;
    pha__each(c, n, project{q});
    if (pass == PHA__FORWARD) return pha__each(c, heads, forward{{q}});
    pha__each(c, heads, backward{{q}});
    if (a->d_in[X].data) pha__each(c, n, by_input{q});
    if (a->d_in[W].data) pha__each(c, (int64_t)a->in[W].rows * a->in[W].width, by_map{q});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_hedgehog = {NULL, work, run};
