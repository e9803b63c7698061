// attention.cu -- a query row a thread, keys in the order of the text; backward from lse, dk and dv a key a thread
#include <stdio.h>

#include "backend/cuda/each.cuh"
#include "ops/attention/attention_stream.cuh"
#include "ops/attention/attention_tile.cuh"

namespace {

enum { Q, K, V, WIDEST = 256 };

struct common {
    pha__args a;
    pha__attention_attr t;
    int64_t capacity, window;

    PHA__CALL int group() const { return t.n_head / t.n_kv_head; }
    PHA__CALL int64_t count(int64_t b) const { return a.state ? *(const int64_t *)pha__slot(&a, (int)b) : 0; }
    PHA__CALL float *ring(int64_t b, int w, int64_t kv) const {
        float *p = (float *)((char *)pha__slot(&a, (int)b) + PHA__ATTENTION_HEADER);
        return p + (w * t.n_kv_head + kv) * capacity * t.head_width;
    }
    // Element d of the key (w 0) or value (w 1) at s, counted from the first new token; below 0 from the ring.
    PHA__CALL float key(int64_t b, int w, int64_t kv, int64_t s, int d, int64_t seen) const {
        if (s >= 0) return get(a.in[K + w], b * a.T + s, kv * t.head_width + d);
        return ring(b, w, kv)[(seen + s) % capacity * t.head_width + d];
    }
    PHA__CALL float logit(int64_t row, int64_t head, int64_t b, int64_t s, int64_t seen) const {
        float x = 0;
        for (int d = 0; d < t.head_width; d++)
            x = fmaf(get(a.in[Q], row, head * t.head_width + d), key(b, 0, head / group(), s, d, seen), x);
        return t.scale * x;
    }
    // The factor of the weight of key s, 0, 1 or 1 / (1 - rate), as attention_heads_cpu.c has it.
    PHA__CALL float mask(int64_t row, int64_t head, int64_t s) const {
        if (!(t.dropout > 0) || !a.run || !a.run->dropout) return 1;
        uint64_t place = (uint64_t)(a.run->row0 + row) * (uint64_t)t.n_head + (uint64_t)head;
        uint32_t counter[4] = {(uint32_t)place, (uint32_t)a.run->step, t.site + (uint32_t)(s / 4) * 4096,
                               PHA__STREAM_DROPOUT}, word[4];
        pha__philox(a.run->seed, counter, word);
        return pha__uniform(word[s % 4]) >= t.dropout ? 1.0f / (1.0f - t.dropout) : 0.0f;
    }
    PHA__CALL int64_t low(int64_t token, int64_t seen) const { // the first key that it sees
        int64_t cached = seen < capacity ? seen : capacity;
        int64_t first = t.local ? token - (seen + token) % t.local : token - window + 1;
        return first > -cached ? first : -cached;
    }
};

struct forward : common {
    PHA__CALL void operator()(int64_t k) const {
        int64_t row = k / t.n_head, head = k % t.n_head, b = row / a.T, token = row % a.T, seen = count(b);
        float o[WIDEST], top = -INFINITY, sum = 0;
        for (int d = 0; d < t.head_width; d++) o[d] = 0;
        for (int64_t s = low(token, seen); s <= token; s++) {
            float x = logit(row, head, b, s, seen), keep = 1;
            if (x > top) keep = expf(top - x), top = x;
            float e = expf(x - top);
            sum = sum * keep + e;
            e *= mask(row, head, s);
            for (int d = 0; d < t.head_width; d++) o[d] = o[d] * keep + e * key(b, 1, head / group(), s, d, seen);
        }
        for (int d = 0; d < t.head_width; d++) put(a.out, row, head * t.head_width + d, o[d] / sum);
        if (a.saved) a.saved[k] = top + logf(sum);
    }
};

struct remember : common { // a number of a key or value; of more tokens than the ring holds the last ones
    PHA__BOTH int64_t kept() const { return a.T < capacity ? a.T : capacity; }
    PHA__CALL void operator()(int64_t k) const {
        int d = (int)(k % t.head_width), w = (int)(k / t.head_width % 2);
        int64_t kv = k / t.head_width / 2 % t.n_kv_head, token = k / t.head_width / 2 / t.n_kv_head;
        int64_t b = token / kept(), s = a.T - kept() + token % kept(), seen = count(b);
        ring(b, w, kv)[(seen + s) % capacity * t.head_width + d] = key(b, w, kv, s, d, seen);
    }
};

struct advance : common {
    PHA__CALL void operator()(int64_t b) const { *(int64_t *)pha__slot(&a, (int)b) += a.T; }
};

struct delta : common {
    PHA__CALL void operator()(int64_t k) const {
        double sum = 0;
        int64_t row = k / t.n_head, first = k % t.n_head * t.head_width;
        for (int d = 0; d < t.head_width; d++) sum += (double)get(a.out, row, first + d) * get(a.d_out, row, first + d);
        ((float *)a.work)[k] = (float)sum;
    }
};

struct weight { // of a key for a query row, after dropout, and the gradient of its logit
    float p, ds;
};

struct gradients : common {
    PHA__CALL weight look(int64_t row, int64_t head, int64_t s) const {
        int64_t b = row / a.T, k = row * t.n_head + head, seen = count(b);
        float dp = 0, p = expf(logit(row, head, b, s, seen) - a.saved[k]), factor = mask(row, head, s);
        for (int d = 0; d < t.head_width; d++)
            dp = fmaf(get(a.d_out, row, head * t.head_width + d), key(b, 1, head / group(), s, d, seen), dp);
        return {p * factor, p * (factor * dp - ((const float *)a.work)[k])};
    }
};

struct by_query : gradients {
    PHA__CALL void operator()(int64_t k) const {
        int64_t row = k / t.n_head, head = k % t.n_head, token = row % a.T, b = row / a.T, seen = count(b);
        float dq[WIDEST];
        for (int d = 0; d < t.head_width; d++) dq[d] = 0;
        for (int64_t s = low(token, seen); s <= token; s++) {
            float ds = look(row, head, s).ds;
            for (int d = 0; d < t.head_width; d++) dq[d] += ds * key(b, 0, head / group(), s, d, seen);
        }
        for (int d = 0; d < t.head_width; d++) put_grad(a, Q, row, head * t.head_width + d, t.scale * dq[d]);
    }
};

struct by_key : gradients {
    PHA__CALL void operator()(int64_t k) const {
        int64_t at = k / t.n_kv_head, kv = k % t.n_kv_head, first = at / a.T * a.T, s = at % a.T;
        float dk[WIDEST], dv[WIDEST];
        for (int d = 0; d < t.head_width; d++) dk[d] = dv[d] = 0;
        for (int64_t token = s, seen = count(at / a.T); token < a.T && low(token, seen) <= s; token++)
            for (int64_t head = kv * group(); head < (kv + 1) * group(); head++) {
                weight w = look(first + token, head, s);
                for (int d = 0; d < t.head_width; d++) {
                    dk[d] += w.ds * get(a.in[Q], first + token, head * t.head_width + d);
                    dv[d] += w.p * get(a.d_out, first + token, head * t.head_width + d);
                }
            }
        for (int d = 0; d < t.head_width; d++) {
            put_grad(a, K, at, kv * t.head_width + d, t.scale * dk[d]);
            put_grad(a, V, at, kv * t.head_width + d, dv[d]);
        }
    }
};

bool refuse(const pha__args *a, pha__pass, char why[PHA__CUDA_WHY]) {
    int width = ((const pha__attention_attr *)a->attr)->head_width;
    snprintf(why, PHA__CUDA_WHY, "its heads are %d wide, there is a kernel up to %d", width, WIDEST);
    return width > WIDEST;
}

size_t work(const pha__args *a, pha__pass pass) {
    int64_t heads = n_rows(a) * ((const pha__attention_attr *)a->attr)->n_head;
    return pass == PHA__BACKWARD ? (size_t)heads * sizeof(float) : pha__attention_stream_work(a);
}

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    const pha__attention_attr *t = (const pha__attention_attr *)a->attr;
    int64_t heads = n_rows(a) * t->n_head, capacity = pha__attention_capacity(t, a->max_context);
    common q = {*a, *t, capacity > 0 ? capacity : 1, t->window ? t->window : INT64_MAX / 2};
    if (pass == PHA__FORWARD && a->state) {
        int64_t new_numbers = (int64_t)a->B * remember{q}.kept() * t->n_kv_head * 2 * t->head_width;
        bool streams = pha__attention_streams(a);
        if (!streams) pha__each(c, heads, forward{q});
        pha__each(c, new_numbers, remember{q});
        if (streams) pha__attention_stream(c, a);
        return pha__each(c, a->B, advance{q});
    }
    if (pass == PHA__FORWARD) {
        if (!pha__attention_tile(c, a, pass)) pha__each(c, heads, forward{q});
        return;
    }
    pha__each(c, heads, delta{q});
    if (pha__attention_tile(c, a, pass)) return;
    if (a->d_in[Q].data) pha__each(c, heads, by_query{{q}});
    if (a->d_in[K].data || a->d_in[V].data) pha__each(c, n_rows(a) * t->n_kv_head, by_key{{q}});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_attention = {refuse, work, run};
