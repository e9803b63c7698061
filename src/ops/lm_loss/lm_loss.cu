// lm_loss.cu -- blocks of tokens with their logits, fp32, in work: products an element a thread, the softmax a row a
// thread
#include "backend/cuda/each.cuh"
#include "ops/lm_loss/lm_loss.h"

namespace {

enum { H, E };
const int64_t BLOCK = 1024, BLOCK_BYTES = 256 << 20;

int64_t block_of(const pha__args *a) { // tokens
    int64_t n = BLOCK_BYTES / ((int64_t)a->in[E].rows * 4), rows = n_rows(a);
    n = n < 8 ? 8 : n > BLOCK ? BLOCK : n;
    return n < rows ? n : rows;
}

struct common {
    pha__args a;
    float weight;
    int64_t first, n; // the tokens of the block
    PHA__CALL float *logits(int64_t r) const { return (float *)a.work + r * a.in[E].rows; }
};

struct product : common {
    PHA__CALL void operator()(int64_t k) const {
        int64_t r = k / a.in[E].rows, v = k % a.in[E].rows;
        double sum = 0;
        for (int64_t i = 0; i < a.in[E].width; i++) sum += (double)get(a.in[H], first + r, i) * get(a.in[E], v, i);
        logits(r)[v] = (float)sum;
    }
};

struct softmax : common {
    bool gradient;
    PHA__CALL void operator()(int64_t r) const {
        float *x = logits(r), top = x[0];
        int64_t V = a.in[E].rows, best = 0;
        int32_t c = a.run->targets ? a.run->targets[first + r] : -1;
        for (int64_t j = 1; j < V; j++)
            if (x[j] > top) top = x[j], best = j;
        double sum = 0;
        for (int64_t j = 0; j < V; j++) sum += exp((double)x[j] - top);
        put(a.out, first + r, PHA__NLL, c < 0 ? 0 : (float)(log(sum) + ((double)top - x[c])));
        put(a.out, first + r, PHA__HIT, c == best);
        double scale = c < 0 ? 0 : (double)a.run->loss_scale * weight;
        for (int64_t j = 0; j < V && gradient; j++)
            x[j] = c < 0 ? 0 : (float)(scale * (exp((double)x[j] - top) / sum - (j == c)));
    }
};

struct by_hidden : common {
    PHA__CALL void operator()(int64_t k) const {
        int64_t r = k / a.in[E].width, i = k % a.in[E].width;
        double sum = 0;
        for (int64_t v = 0; v < a.in[E].rows; v++) sum += (double)logits(r)[v] * get(a.in[E], v, i);
        put_grad(a, H, first + r, i, sum);
    }
};

struct by_table : common {
    PHA__CALL void operator()(int64_t k) const {
        int64_t v = k / a.in[E].width, i = k % a.in[E].width;
        double sum = 0;
        for (int64_t r = 0; r < n; r++) sum += (double)logits(r)[v] * get(a.in[H], first + r, i);
        put(a.d_in[E], v, i, (float)sum, first > 0 || (a.add & PHA__IN(E)));
    }
};

size_t work(const pha__args *a, pha__pass) { return (size_t)(block_of(a) * a->in[E].rows) * sizeof(float); }

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    const pha__lm_loss_attr *t = (const pha__lm_loss_attr *)a->attr;
    bool gradient = pass == PHA__BACKWARD && (a->d_in[H].data || a->d_in[E].data);
    int64_t rows = n_rows(a), size = block_of(a);
    for (int64_t first = 0; first < rows; first += size) {
        int64_t n = rows - first < size ? rows - first : size;
        common q = {*a, t ? t->weight : 1, first, n};
        pha__each(c, n * a->in[E].rows, product{q});
        pha__each(c, n, softmax{q, gradient});
        if (!gradient) continue;
        if (a->d_in[H].data) pha__each(c, n * a->in[E].width, by_hidden{q});
        if (a->d_in[E].data) pha__each(c, (int64_t)a->in[E].rows * a->in[E].width, by_table{q});
    }
}

} // namespace

extern const pha__cuda_kernel pha__cuda_lm_loss = {NULL, work, run};
