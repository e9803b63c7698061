// lm_loss.cu -- blocks of tokens with their logits, fp32, in work, and behind them the gradients of these, in the
// format of the program; products by cuBLASLt or an element a thread, the softmax a row a block or
// a thread
#include "backend/cuda/each.cuh"
#include "backend/cuda/products.h"
#include "backend/cuda/tile.cuh"
#include "ops/lm_loss/lm_loss.h"

namespace {

enum { H, E };
#ifdef PHA__EMULATE
const int64_t BLOCK = 24; // tests have few tokens, and a thread costs more
enum { THREADS = 96 };
#else
const int64_t BLOCK = 4096;
enum { THREADS = 512 };
#endif
const int64_t BLOCK_BYTES = (int64_t)1 << 30;

int64_t padded(const pha__args *a) { return ((int64_t)a->in[E].rows + 7) / 8 * 8; } // numbers of a row in work

int64_t block_of(const pha__args *a) { // tokens
    int64_t n = BLOCK_BYTES / (padded(a) * 4), rows = n_rows(a);
    n = n < 8 ? 8 : n > BLOCK ? BLOCK : n;
    return n < rows ? n : rows;
}

// Gradients of logits are rounded where the operands of their products are: then the library takes them.
bool rounded(const pha__args *a) { return a->in[H].dtype == PHA__BF16 && a->in[E].dtype == PHA__BF16; }

struct common {
    pha__args a;
    float weight;
    int64_t first, n;     // the tokens of the block
    pha__view logits, d;  // logits and their gradients; d.data NULL: not wanted
};

struct product : common {
    PHA__CALL void operator()(int64_t k) const {
        int64_t r = k / a.in[E].rows, v = k % a.in[E].rows;
        double sum = 0;
        for (int64_t i = 0; i < a.in[E].width; i++) sum += (double)get(a.in[H], first + r, i) * get(a.in[E], v, i);
        put(logits, r, v, (float)sum);
    }
};

struct softmax : common {
    PHA__CALL void operator()(int64_t r) const {
        const float *x = (const float *)logits.data + r * logits.ld;
        float top = x[0];
        int64_t V = a.in[E].rows, best = 0;
        int32_t c = a.run->targets ? a.run->targets[first + r] : -1;
        for (int64_t j = 1; j < V; j++)
            if (x[j] > top) top = x[j], best = j;
        double sum = 0;
        for (int64_t j = 0; j < V; j++) sum += exp((double)x[j] - top);
        put(a.out, first + r, PHA__NLL, c < 0 ? 0 : (float)(log(sum) + ((double)top - x[c])));
        put(a.out, first + r, PHA__HIT, c == best);
        double scale = c < 0 ? 0 : (double)a.run->loss_scale * weight;
        for (int64_t j = 0; j < V && d.data; j++)
            put(d, r, j, c < 0 ? 0 : (float)(scale * (exp((double)x[j] - top) / sum - (j == c))));
    }
};

// ---- the softmax, a row a block: one walk for the largest and the sum, one for the gradients -----------------------

enum { WARPS = THREADS / 32 };

struct found { // of some logits: sum of e^(x - top); index of the largest, the lowest of several
    float top, sum;
    int index;
};

// What two parts are together; the operands are in the order of the lanes, so that both lanes get the same bits.
PHA__TILE found together(found a, found b) {
    float top = fmaxf(a.top, b.top);
    float sum = a.sum * expf(a.top - top);
    sum += b.sum * expf(b.top - top);
    int index = a.top > b.top ? a.index : b.top > a.top ? b.index : a.index < b.index ? a.index : b.index;
    return {top, sum, index};
}

PHA__TILE found of_block(found f, found *shared) {
    int lane = thread_index() % 32, warp = thread_index() / 32;
    for (int mask = 1; mask < 32; mask *= 2) {
        found other = {shuffle(f.top, mask), shuffle(f.sum, mask), shuffle(f.index, mask)};
        f = lane & mask ? together(other, f) : together(f, other);
    }
    if (lane == 0) shared[warp] = f;
    barrier();
    f = shared[0];
    for (int w = 1; w < WARPS; w++) f = together(f, shared[w]);
    return f;
}

PHA__GLOBAL(THREADS) by_block(common q) {
    PHA__SHARED(found, shared);
    int64_t r = block_x(), V = q.a.in[E].rows;
    const float *x = (const float *)q.logits.data + r * q.logits.ld;
    int32_t c = q.a.run->targets ? q.a.run->targets[q.first + r] : -1;
    found f = {-1e30f, 0, INT32_MAX};
    for (int j = thread_index(); j < V; j += THREADS) {
        if (x[j] > f.top) f.sum = f.sum * expf(f.top - x[j]) + 1, f.top = x[j], f.index = j;
        else f.sum += expf(x[j] - f.top);
    }
    f = of_block(f, shared);
    if (thread_index() == 0) {
        put(q.a.out, q.first + r, PHA__NLL, c < 0 ? 0 : logf(f.sum) + (f.top - x[c]));
        put(q.a.out, q.first + r, PHA__HIT, c == f.index);
    }
    float scale = c < 0 ? 0 : q.a.run->loss_scale * q.weight;
    for (int j = thread_index(); j < V && q.d.data; j += THREADS)
        put(q.d, r, j, c < 0 ? 0 : scale * (expf(x[j] - f.top) / f.sum - (j == c)));
}

struct by_hidden : common {
    PHA__CALL void operator()(int64_t k) const {
        int64_t r = k / a.in[E].width, i = k % a.in[E].width;
        double sum = 0;
        for (int64_t v = 0; v < a.in[E].rows; v++) sum += (double)get(d, r, v) * get(a.in[E], v, i);
        put_grad(a, H, first + r, i, sum);
    }
};

struct by_table : common {
    PHA__CALL void operator()(int64_t k) const {
        int64_t v = k / a.in[E].width, i = k % a.in[E].width;
        double sum = 0;
        for (int64_t r = 0; r < n; r++) sum += (double)get(d, r, v) * get(a.in[H], first + r, i);
        put(a.d_in[E], v, i, (float)sum, first > 0 || (a.add & PHA__IN(E)));
    }
};

// ---- a block -------------------------------------------------------------------------------------------------------

void make_logits(pha__cuda *c, const common &q) {
    int64_t V = q.a.in[E].rows, D = q.a.in[E].width;
    pha__product p = {q.n, V, D, pha__operand_of(&q.a.in[H], q.first, false), pha__operand_of(&q.a.in[E], 0, true),
                      pha__operand_of(&q.logits, 0, false), false};
    if (pha__cuda_plain("lm_loss") || !pha__product_run(c, &p)) pha__each(c, q.n * V, product{q});
}

void gradient_of_hidden(pha__cuda *c, const common &q) {
    int64_t V = q.a.in[E].rows, D = q.a.in[E].width;
    pha__product p = {q.n, D, V, pha__operand_of(&q.d, 0, false), pha__operand_of(&q.a.in[E], 0, false),
                      pha__operand_of(&q.a.d_in[H], q.first, false), (q.a.add & PHA__IN(H)) != 0};
    if (pha__cuda_plain("lm_loss") || !pha__product_run(c, &p)) pha__each(c, q.n * D, by_hidden{q});
}

void gradient_of_table(pha__cuda *c, const common &q) {
    int64_t V = q.a.in[E].rows, D = q.a.in[E].width;
    pha__product p = {V, D, q.n, pha__operand_of(&q.d, 0, true), pha__operand_of(&q.a.in[H], q.first, false),
                      pha__operand_of(&q.a.d_in[E], 0, false), q.first > 0 || (q.a.add & PHA__IN(E))};
    if (pha__cuda_plain("lm_loss") || !pha__product_run(c, &p)) pha__each(c, V * D, by_table{q});
}

size_t work(const pha__args *a, pha__pass pass) {
    size_t logits = (size_t)(block_of(a) * padded(a));
    return logits * (sizeof(float) + (pass == PHA__FORWARD ? 0 : rounded(a) ? sizeof(uint16_t) : sizeof(float)));
}

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    const pha__lm_loss_attr *t = (const pha__lm_loss_attr *)a->attr;
    bool gradient = pass == PHA__BACKWARD && (a->d_in[H].data || a->d_in[E].data);
    int64_t rows = n_rows(a), size = block_of(a);
    int32_t V = a->in[E].rows;
    for (int64_t first = 0; first < rows; first += size) {
        int64_t n = rows - first < size ? rows - first : size;
        pha__view x = {a->work, padded(a), 0, V, PHA__F32}, d = {NULL, padded(a), 0, V, PHA__F32};
        common q = {*a, t ? t->weight : 1, first, n, x, d};
        if (gradient) q.d.data = (float *)a->work + size * padded(a);
        if (rounded(a)) q.d.dtype = PHA__BF16;
        make_logits(c, q);
        if (pha__cuda_plain("lm_loss")) pha__each(c, n, softmax{q});
        else pha__launch(c, by_block, {n, 1}, THREADS, WARPS * sizeof(found), q);
        if (gradient && a->d_in[H].data) gradient_of_hidden(c, q);
        if (gradient && a->d_in[E].data) gradient_of_table(c, q);
    }
}

} // namespace

extern const pha__cuda_kernel pha__cuda_lm_loss = {NULL, work, run};
