// muon.cu -- an element a thread, also of the products; the squares of u, a row a thread, which every element adds
#include "backend/cuda/each.cuh"
#include "ops/muon/muon.h"

namespace {

struct common {
    pha__args a;
    pha__muon_attr t;
    int64_t rows, width, m, n; // X is (m, n), m <= n
    bool turned;               // X is u transposed
    float *x, *other;          // (m, n)
    float *gram, *square;      // (m, m)
    double *sums;              // of the squares of a row of u

    PHA__CALL const float *g() const { return (const float *)a.in[1].data; }
    PHA__CALL float *momentum() const { return (float *)a.in[2].data; }
    PHA__CALL float u(int64_t k) const { return a.run->update.scale * g()[k] + t.momentum * momentum()[k]; }
};

struct by_row : common {
    PHA__CALL void operator()(int64_t r) const {
        double sum = 0;
        for (int64_t k = r * width; k < (r + 1) * width; k++) {
            momentum()[k] = t.momentum * momentum()[k] + a.run->update.scale * g()[k];
            sum += (double)u(k) * u(k);
        }
        sums[r] = sum;
    }
};

struct norm : common { // behind the rows' sums
    PHA__CALL void operator()(int64_t) const {
        double sum = 0;
        for (int64_t r = 0; r < rows; r++) sum += sums[r];
        sums[rows] = 1 / fmax(sqrt(sum), 1e-30); // of zeros X is zero
    }
};

struct normalise : common {
    PHA__CALL void operator()(int64_t k) const {
        x[turned ? k % width * n + k / width : k] = (float)sums[rows] * u(k);
    }
};

struct make_gram : common { // A = X X^T
    PHA__CALL void operator()(int64_t k) const {
        double sum = 0;
        for (int64_t i = 0; i < n; i++) sum += (double)x[k / m * n + i] * x[k % m * n + i];
        gram[k] = (float)sum;
    }
};

struct polynomial : common { // a I + b A + c A A
    PHA__CALL void operator()(int64_t k) const {
        double sum = 0;
        for (int64_t i = 0; i < m; i++) sum += (double)gram[k / m * m + i] * gram[i * m + k % m];
        square[k] = PHA__MUON_B * gram[k] + PHA__MUON_C * (float)sum + (k / m == k % m ? PHA__MUON_A : 0);
    }
};

struct turn : common { // the polynomial times X
    PHA__CALL void operator()(int64_t k) const {
        double sum = 0;
        for (int64_t i = 0; i < m; i++) sum += (double)square[k / n * m + i] * x[i * n + k % n];
        other[k] = (float)sum;
    }
};

struct update : common {
    PHA__CALL void operator()(int64_t k) const {
        float *p = (float *)a.in[0].data + k, lr = a.run->update.lr, shrink = lr * t.decay;
        float rate = (float)(lr * PHA__MUON_SIZE * sqrt((double)n));
        *p = *p - shrink * *p - rate * x[turned ? k % width * n + k / width : k];
        if (a.out.data) ((uint16_t *)a.out.data)[k] = f32_to_bf16(*p);
    }
};

common places(const pha__args *a) {
    common s = {};
    s.a = *a, s.t = *(const pha__muon_attr *)a->attr;
    s.rows = a->in[0].rows, s.width = a->in[0].width;
    s.turned = s.rows > s.width;
    s.m = s.turned ? s.width : s.rows, s.n = s.turned ? s.rows : s.width;
    s.sums = (double *)a->work;
    s.x = (float *)(s.sums + s.rows + 1), s.other = s.x + s.m * s.n;
    s.gram = s.other + s.m * s.n, s.square = s.gram + s.m * s.m;
    return s;
}

size_t work(const pha__args *a, pha__pass pass) {
    size_t rows = (size_t)a->in[0].rows, width = (size_t)a->in[0].width, m = rows < width ? rows : width;
    return pass == PHA__FORWARD ? (rows + 1) * sizeof(double) + 2 * (rows * width + m * m) * sizeof(float) : 0;
}

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    if (pass != PHA__FORWARD) return;
    common s = places(a);
    pha__each(c, s.rows, by_row{s});
    pha__each(c, 1, norm{s});
    pha__each(c, s.rows * s.width, normalise{s});
    for (int round = 0; round < PHA__MUON_ROUNDS; round++) {
        pha__each(c, s.m * s.m, make_gram{s});
        pha__each(c, s.m * s.m, polynomial{s});
        pha__each(c, s.m * s.n, turn{s});
        std::swap(s.x, s.other);
    }
    pha__each(c, s.rows * s.width, update{s});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_muon = {NULL, work, run};
