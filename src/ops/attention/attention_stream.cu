// attention_stream.cu -- few rows and a long text: each key is read once, by many blocks (split context)
//
// The text is cut at multiples of a piece, wherever a session stands. A block attends to one piece with some rows of a
// kv head: row n is token n / G, head n % G of its G query heads. Then a warp for each row puts together what the
// pieces gave. In a block 16 or 32 lanes share a key, four numbers each, and keys go to such groups of lanes in turn,
// so that what a row gets depends neither on the other rows nor on where the run begins.
//
//   of a piece: top = max_s x_s, sum = sum_s 2^(x_s - top), o = sum_s 2^(x_s - top) v_s      x = scale log2e q k
#include "ops/attention/attention_stream.cuh"

#include <math.h>

#include "backend/cuda/eights.cuh"
#include "ops/attention/attention_tile.cuh"

namespace {

enum { Q, K, V, WARPS = 4, THREADS = 32 * WARPS, MOST_ROWS = 8, SHORT = 256, LONG = 4096, AHEAD = 4, WIDEST = 128 };
#define LOG2E 1.44269504f
#define LN2 0.69314718f

struct stream {
    pha__args a;
    pha__attention_attr t;
    int64_t capacity;
    int rows, groups, at_once; // of a kv head: rows, blocks of them, rows of a block
    int piece, pieces;         // tokens; pieces that a block's rows can see
    float *parts;              // (B Hkv groups, pieces, at_once, dh + 2): o, top, sum

    PHA__BOTH int G() const { return t.n_head / t.n_kv_head; }
    PHA__CALL int64_t seen(int64_t b) const { return *(const int64_t *)pha__slot(&a, (int)b); }
    PHA__CALL const float *ring(int64_t b, int w, int64_t kv) const {
        const float *p = (const float *)((const char *)pha__slot(&a, (int)b) + PHA__ATTENTION_HEADER);
        return p + (w * t.n_kv_head + kv) * capacity * t.head_width;
    }
    // The first key that the token at `now` sees. Places count from the beginning of the text.
    PHA__CALL int64_t low(int64_t now) const {
        int64_t first = t.local ? now - now % t.local : t.window ? now - t.window + 1 : 0;
        return first > 0 ? first : 0;
    }
    PHA__CALL int64_t first_piece(int64_t seen, int group) const { return low(seen + group * at_once / G()) / piece; }
    PHA__CALL int64_t high(int64_t seen, int group) const { // behind the last key that a block's rows see
        int last = (group + 1) * at_once < rows ? (group + 1) * at_once : rows;
        return seen + (last - 1) / G() + 1;
    }
    PHA__CALL float *part(int64_t block, int64_t piece_at, int row) const {
        return parts + ((block * pieces + piece_at) * at_once + row) * (t.head_width + 2);
    }
};

template <int R, int L> struct turn { // AHEAD keys and values of a group of lanes; what the rows have so far
    float k[AHEAD][4], v[AHEAD][4], q[R][4], o[R][4], top[R], sum[R];
    int64_t now[R], low[R]; // the keys that a row sees; of no row: none

    PHA__CALL void begin(const stream &s, int64_t b, int64_t kv, int group, int lanes_part) {
        int64_t seen = s.seen(b);
        PHA__UNROLL
        for (int r = 0; r < R; r++) {
            int n = group * R + r, dh = s.t.head_width;
            bool in = n < s.rows;
            now[r] = in ? seen + n / s.G() : -1, low[r] = in ? s.low(now[r]) : 0;
            top[r] = -INFINITY, sum[r] = 0;
            PHA__UNROLL
            for (int e = 0; e < 4; e++) {
                int d = lanes_part * 4 + e;
                int64_t row = b * s.a.T + n / s.G(), column = (kv * s.G() + n % s.G()) * dh + d;
                q[r][e] = in && d < dh ? get(s.a.in[Q], row, column) * s.t.scale * LOG2E : 0;
                o[r][e] = 0;
            }
        }
    }
    PHA__CALL void load(const stream &s, const float *keys, const float *values, int64_t slot, int u, bool in) {
        uint32_t x[4] = {0, 0, 0, 0}, y[4] = {0, 0, 0, 0};
        if (in) load16(x, keys + slot * s.t.head_width), load16(y, values + slot * s.t.head_width);
        PHA__UNROLL
        for (int e = 0; e < 4; e++) memcpy(&k[u][e], &x[e], sizeof(float)), memcpy(&v[u][e], &y[e], sizeof(float));
    }
    // at: of key 0; the others follow `step` apart, up to `end`.
    PHA__CALL void attend(int64_t at, int64_t step, int64_t end) {
        PHA__UNROLL
        for (int r = 0; r < R; r++) {
            float x[AHEAD], most = top[r];
            PHA__UNROLL
            for (int u = 0; u < AHEAD; u++) {
                int64_t key = at + u * step;
                x[u] = 0;
                PHA__UNROLL
                for (int e = 0; e < 4; e++) x[u] = fmaf(q[r][e], k[u][e], x[u]);
                for (int mask = L / 2; mask; mask /= 2) x[u] += shuffle(x[u], mask);
                if (key < low[r] || key > now[r] || key >= end) x[u] = -INFINITY;
                most = fmaxf(most, x[u]);
            }
            float keep = most > top[r] ? fast_exp2(top[r] - most) : 1;
            top[r] = most, sum[r] *= keep;
            PHA__UNROLL
            for (int e = 0; e < 4; e++) o[r][e] *= keep;
            PHA__UNROLL
            for (int u = 0; u < AHEAD; u++) {
                float w = x[u] == -INFINITY ? 0 : fast_exp2(x[u] - most);
                sum[r] += w;
                PHA__UNROLL
                for (int e = 0; e < 4; e++) o[r][e] = fmaf(w, v[u][e], o[r][e]);
            }
        }
    }
};

// Sums whose tops differ, n of them `stride` apart: number d of all, and top and sum themselves behind the `width`th.
PHA__TILE void put_together(float *out, const float *in, int n, int stride, int width, int d, int dh) {
    float top = -INFINITY, sum = 0, o = 0;
    for (int i = 0; i < n; i++) top = fmaxf(top, in[i * stride + width]);
    for (int i = 0; i < n; i++) {
        const float *x = in + i * stride;
        float w = x[width] == -INFINITY ? 0 : fast_exp2(x[width] - top);
        o = fmaf(w, x[d], o), sum = fmaf(w, x[width + 1], sum);
    }
    out[d] = o;
    if (d == 0) out[dh] = top, out[dh + 1] = sum;
}

template <int R, int L> PHA__GLOBAL(THREADS) one_piece(stream s) {
    enum { KEYS = 32 / L, ALL = WARPS * KEYS, WIDTH = 4 * L, ROOM = WIDTH + 2 };
    PHA__SHARED(float, shared); // (ALL, R, ROOM)
    int lane = thread_index() % 32, lanes_part = lane % L, own = thread_index() / 32 * KEYS + lane / L;
    int64_t block = block_x(), b = block / s.groups / s.t.n_kv_head, kv = block / s.groups % s.t.n_kv_head;
    int group = (int)(block % s.groups), dh = s.t.head_width;
    int64_t seen = s.seen(b), begin = (s.first_piece(seen, group) + block_y()) * s.piece, end = s.high(seen, group);
    if (begin >= end) return;
    end = begin + s.piece < end ? begin + s.piece : end;
    const float *keys = s.ring(b, 0, kv) + lanes_part * 4, *values = s.ring(b, 1, kv) + lanes_part * 4;
    turn<R, L> x;
    x.begin(s, b, kv, group, lanes_part);
    int64_t slot = (begin + own) % s.capacity;
    for (int64_t at = begin + own; at - own < end; at += ALL * AHEAD) { // the same turns for all lanes
        PHA__UNROLL
        for (int u = 0; u < AHEAD; u++) {
            x.load(s, keys, values, slot, u, lanes_part * 4 < dh && at + u * ALL < end);
            for (slot += ALL; slot >= s.capacity;) slot -= s.capacity;
        }
        x.attend(at, ALL, end);
    }
    PHA__UNROLL
    for (int r = 0; r < R; r++) {
        float *mine = shared + (own * R + r) * ROOM;
        PHA__UNROLL
        for (int e = 0; e < 4; e++) mine[lanes_part * 4 + e] = x.o[r][e];
        if (lanes_part == 0) mine[WIDTH] = x.top[r], mine[WIDTH + 1] = x.sum[r];
    }
    barrier();
    for (int i = thread_index(); i < R * dh; i += THREADS)
        put_together(s.part(block, block_y(), i / dh), shared + i / dh * ROOM, ALL, R * ROOM, WIDTH, i % dh, dh);
}

// A warp for a row.
PHA__GLOBAL(THREADS) all_pieces(stream s) {
    int64_t at = (int64_t)block_x() * WARPS + thread_index() / 32, heads = at / s.rows;
    int lane = thread_index() % 32, n = (int)(at % s.rows), group = n / s.at_once, dh = s.t.head_width;
    if (heads >= (int64_t)s.a.B * s.t.n_kv_head) return;
    int64_t b = heads / s.t.n_kv_head, kv = heads % s.t.n_kv_head, seen = s.seen(b);
    int count = (int)((s.high(seen, group) - 1) / s.piece - s.first_piece(seen, group) + 1);
    const float *in = s.part(heads * s.groups + group, 0, n % s.at_once);
    int64_t stride = (int64_t)s.at_once * (dh + 2);
    float top = -INFINITY, sum = 0;
    for (int i = lane; i < count; i += 32) top = fmaxf(top, in[i * stride + dh]);
    for (int mask = 16; mask; mask /= 2) top = fmaxf(top, shuffle(top, mask));
    for (int i = 0; i < count; i++) // a piece of which a row sees nothing has -inf: 0
        sum = fmaf(fast_exp2(in[i * stride + dh] - top), in[i * stride + dh + 1], sum);
    int64_t row = b * s.a.T + n / s.G(), head = kv * s.G() + n % s.G();
    if (lane == 0 && s.a.saved) s.a.saved[row * s.t.n_head + head] = (top + log2f(sum)) * LN2;
    for (int d = lane; d < dh; d += 32) {
        float o = 0;
        for (int i = 0; i < count; i++) o = fmaf(fast_exp2(in[i * stride + dh] - top), in[i * stride + d], o);
        put(s.a.out, row, head * dh + d, o / sum);
    }
}

// ---- launching -----------------------------------------------------------------------------------------------------

int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
int64_t pieces_over(int64_t n, int64_t size) { return (n + size - 1) / size; }

// Of T tokens a sequence.
stream plan(const pha__args *a, int64_t T) {
    stream s = {*a, *(const pha__attention_attr *)a->attr, 0, 0, 0, 0, 0, 0, NULL};
    int64_t G = s.G(), reach = pha__attention_reach(&s.t), rows = T * G;
    s.rows = (int)rows, s.at_once = 1;
    while (s.at_once < rows && s.at_once < MOST_ROWS) s.at_once *= 2;
    s.groups = (int)pieces_over(rows, s.at_once);
    s.piece = rows <= MOST_ROWS ? SHORT : LONG;
    int64_t most = a->max_context, span = reach ? least(reach + s.at_once / G + 1, most) : most;
    s.pieces = (int)pieces_over(span, s.piece) + 1;
    s.capacity = pha__attention_capacity(&s.t, a->max_context);
    return s;
}

size_t bytes_of(const stream &s) {
    int64_t blocks = (int64_t)s.a.B * s.t.n_kv_head * s.groups;
    return (size_t)(blocks * s.pieces * s.at_once * (s.t.head_width + 2)) * sizeof(float);
}

template <int R, int L> void launch(pha__cuda *c, const stream &s) {
    int64_t blocks = (int64_t)s.a.B * s.t.n_kv_head * s.groups;
    size_t shared = sizeof(float) * WARPS * (32 / L) * R * (4 * L + 2);
    pha__launch(c, one_piece<R, L>, {blocks, s.pieces}, THREADS, shared, s);
    pha__launch(c, all_pieces, {pieces_over((int64_t)s.a.B * s.t.n_kv_head * s.rows, WARPS), 1}, THREADS, 0, s);
}

template <int L> void launch_rows(pha__cuda *c, const stream &s) {
    if (s.at_once == 1) launch<1, L>(c, s);
    else if (s.at_once == 2) launch<2, L>(c, s);
    else if (s.at_once == 4) launch<4, L>(c, s);
    else launch<MOST_ROWS, L>(c, s);
}

// With the keys of this run the ring still has all that its first token sees: it is longer than that by the run, or it
// has room for the whole text (states that training carries have room for a window, and no end).
bool holds_all(const pha__args *a, const pha__attention_attr *t) {
    int64_t reach = pha__attention_reach(t), capacity = pha__attention_capacity(t, a->max_context);
    return !reach || capacity >= reach + a->T || (capacity == a->max_context && !a->saved);
}

} // namespace

bool pha__attention_streams(const pha__args *a) {
    const pha__attention_attr *t = (const pha__attention_attr *)a->attr;
    if (pha__cuda_plain("attention") || a->max_context <= 0 || t->dropout > 0 || t->cache != PHA__F32) return false;
    if (t->head_width % 4 || t->head_width > WIDEST || (int64_t)a->T * t->n_head > 1 << 24) return false;
    if (!pha__in_eights(&a->in[Q]) || !pha__in_eights(&a->out)) return false;
    return holds_all(a, t);
}

size_t pha__attention_stream_work(const pha__args *a) {
    if (!pha__attention_streams(a)) return 0;
    const pha__attention_attr *t = (const pha__attention_attr *)a->attr;
    int64_t few = MOST_ROWS / (t->n_head / t->n_kv_head); // shorter runs have shorter pieces
    size_t most = bytes_of(plan(a, a->T)), other = bytes_of(plan(a, few < 1 ? 1 : least(few, a->T)));
    return most > other ? most : other;
}

bool pha__attention_stream(pha__cuda *c, const pha__args *a) {
    if (!a->state || !pha__attention_streams(a)) return false;
    stream s = plan(a, a->T);
    if (s.rows > MOST_ROWS && pha__attention_tile(c, a, PHA__FORWARD)) return true;
    s.parts = (float *)a->work;
    if (s.t.head_width <= 64) launch_rows<16>(c, s);
    else launch_rows<32>(c, s);
    return true;
}
