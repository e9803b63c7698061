// attention_tile.cu -- attention in tiles of tensor cores (flash attention: Dao et al., arXiv 2205.14135, 2307.08691)
//
// Rows of a kv head are stacked: row n is token n / G, head n % G of its G query heads, which lie side by side. Heads
// are padded to DH columns in shared memory, with zeros. Three kernels: out with lse; dk and dv of a tile of keys; dq
// of a tile of rows. The last two make P again from lse, so that nothing is added up between blocks: no order that
// could change. P and dS are rounded to bf16 as operands.
//
//   P = exp2(scale log2e q k - lse log2e)    dV = P^T do    dS = P (do v - delta)    dQ = scale dS K
//   dK = scale dS^T Q
#include "ops/attention/attention_tile.cuh"

#include <math.h>

#include "backend/cuda/tile.cuh"

namespace {

typedef uint16_t bf16;
enum { Q, K, V, THREADS = 128, WARPS = 4 };
#define LOG2E 1.44269504f
#define LN2 0.69314718f

struct place { // rows of a matrix of heads
    bf16 *data;
    int64_t ld;
};

struct problem {
    place q, k, v, out, d_out, dq, dk, dv;
    float *lse, *delta; // (B T, H); lse NULL: not wanted
    int T, G, Hkv, width, window;
    uint32_t add;
    float scale;
    char *const *state; // of a session: keys and values lie in its ring, tokens count from the beginning of the text
    int64_t state_offset;
    int capacity;
};

PHA__TILE const char *state_of(const problem &p, int64_t b) { return p.state[b] + p.state_offset; }
PHA__TILE const float *ring_of(const problem &p, int64_t b, int w, int head) {
    const float *ring = (const float *)(state_of(p, b) + PHA__ATTENTION_HEADER);
    return ring + ((int64_t)w * p.Hkv + head) * p.capacity * p.width;
}

template <int G> PHA__TILE int group_of(const problem &p) { return G ? G : p.G; }

PHA__TILE const bf16 *heads_of(const place &x, const problem &p, int64_t b, int head) {
    return x.data + b * p.T * x.ld + (int64_t)head * p.width;
}

// ---- tiles in shared memory: rows of DH numbers, LD apart ----------------------------------------------------------

template <int DH> struct tile {
    enum { LD = DH + 8 };
    // Columns from `width` on stay zero.
    PHA__TILE void pad(bf16 *s, int rows, int width) {
        int rest = (DH - width) / 4;
        for (int i = thread_index(); i < rows * rest; i += THREADS) {
            uint32_t *at = (uint32_t *)(s + i / rest * LD + width + i % rest * 4);
            at[0] = at[1] = 0;
        }
    }
    // Rows [first, first + ROWS) of the stacked heads at g, zeros from `rows` on; a warp takes whole rows.
    template <int ROWS, int G>
    PHA__TILE void load(bf16 *s, const bf16 *g, int64_t ld, int first, int rows, int group, int width) {
        bool wide = width % 8 == 0;
        int piece = wide ? 8 : 4, lanes = width / piece, at_once = 32 / lanes, lane = thread_index() % 32;
        int r = thread_index() / 32 * at_once + lane / lanes, column = lane % lanes * piece;
        if (lane >= lanes * at_once) return;
        for (; r < ROWS; r += WARPS * at_once) {
            int n = first + r;
            bool in = n < rows;
            const bf16 *from = g;
            if (in && G == 1) from += n * ld + column;
            else if (in) from += n / (G ? G : group) * ld + n % (G ? G : group) * width + column;
            if (wide) copy16(s + r * LD + column, from, in);
            else copy8(s + r * LD + column, from, in);
        }
    }
    // The same of ROWS keys or values of a ring, zeros from place `end` on.
    template <int ROWS>
    PHA__TILE void load_ring(bf16 *s, const float *ring, int capacity, int first, int end, int width) {
        int lanes = width / 4, at_once = 32 / lanes, lane = thread_index() % 32, column = lane % lanes * 4;
        int r = thread_index() / 32 * at_once + lane / lanes;
        if (lane >= lanes * at_once) return;
        for (; r < ROWS; r += WARPS * at_once) {
            uint32_t x[4] = {0, 0, 0, 0};
            float v[4];
            if (first + r < end) load16(x, ring + (int64_t)((first + r) % capacity) * width + column);
            memcpy(v, x, sizeof v);
            uint32_t *at = (uint32_t *)(s + r * LD + column);
            at[0] = pack2(v[0], v[1]), at[1] = pack2(v[2], v[3]);
        }
    }
    // Where lane l finds its row of the fragments of an A operand (row, k), of a B operand stored by n, of one by k.
    PHA__TILE const bf16 *a(const bf16 *s, int row, int k) {
        int l = thread_index() % 32;
        return s + (row + l % 16) * LD + k + l / 16 * 8;
    }
    PHA__TILE const bf16 *b(const bf16 *s, int n, int k) {
        int l = thread_index() % 32;
        return s + (n + l % 8 + l / 16 * 8) * LD + k + l / 8 % 2 * 8;
    }
    PHA__TILE const bf16 *b_turned(const bf16 *s, int k, int n) {
        int l = thread_index() % 32;
        return s + (k + l % 16) * LD + n + l / 16 * 8;
    }
};

template <int N> PHA__TILE void clear(float (&x)[N][4]) {
    PHA__UNROLL
    for (int n = 0; n < N; n++)
        PHA__UNROLL
        for (int e = 0; e < 4; e++) x[n][e] = 0;
}

// s (16 rows of warps' own, 8 N columns) += x y^T over DH columns
template <int DH, int N> PHA__TILE void add_product(float (&s)[N][4], const bf16 *x, int row, const bf16 *y) {
    PHA__UNROLL
    for (int k = 0; k < DH; k += 16) {
        uint32_t a[4], b[4];
        ldm4(a, tile<DH>::a(x, row, k));
        PHA__UNROLL
        for (int n = 0; n < N; n += 2) {
            ldm4(b, tile<DH>::b(y, n * 8, k));
            mma(s[n], a, b[0], b[1]);
            mma(s[n + 1], a, b[2], b[3]);
        }
    }
}

// o (16 rows, DH columns) += P y, P (16, 8 N) in registers, y by rows of its 8 N
template <int DH, int N> PHA__TILE void add_weighed(float (&o)[DH / 8][4], const float (&p)[N][4], const bf16 *y) {
    PHA__UNROLL
    for (int c = 0; c < N; c += 2) {
        uint32_t a[4] = {pack2(p[c][0], p[c][1]), pack2(p[c][2], p[c][3]), pack2(p[c + 1][0], p[c + 1][1]),
                         pack2(p[c + 1][2], p[c + 1][3])};
        PHA__UNROLL
        for (int n = 0; n < DH / 8; n += 2) {
            uint32_t b[4];
            ldm4_turned(b, tile<DH>::b_turned(y, c * 8, n * 8));
            mma(o[n], a, b[0], b[1]);
            mma(o[n + 1], a, b[2], b[3]);
        }
    }
}

// Row j (0: the upper half's) of a fragment to memory, times f.
template <int DH> PHA__TILE void write_row(bf16 *to, const float (&x)[DH / 8][4], int j, float f, int width, bool add) {
    int column = 2 * (thread_index() % 4);
    PHA__UNROLL
    for (int c = 0; c < DH / 8; c++) {
        if (c * 8 + column >= width) continue;
        uint32_t *at = (uint32_t *)(to + c * 8 + column);
        float low = x[c][2 * j] * f, high = x[c][2 * j + 1] * f;
        if (add) low += low_of(*at), high += high_of(*at);
        *at = pack2(low, high);
    }
}

// A tile of keys and values, in one of two buffers.
template <int DH, int KEYS>
PHA__TILE void fetch_keys(bf16 *sk, bf16 *sv, const problem &p, const bf16 *k, const bf16 *v, int key, int buffer) {
    int at = buffer * KEYS * tile<DH>::LD;
    tile<DH>::template load<KEYS, 1>(sk + at, k, p.k.ld, key, p.T, 1, p.width);
    tile<DH>::template load<KEYS, 1>(sv + at, v, p.v.ld, key, p.T, 1, p.width);
}

// What was fetched one turn ago, for all threads; what has just been asked for is on its way.
PHA__TILE void next_is_there() {
    copies_commit();
    copies_wait<1>();
    barrier();
}

// ---- forward -------------------------------------------------------------------------------------------------------

template <int DH> struct forward_sizes {
    enum { ROWS = 64, KEYS = 64, BYTES = (ROWS + 4 * KEYS) * tile<DH>::LD * 2 };
};

// A warp has 16 rows of the tile; K and V have two buffers. RING: of a session.
template <int DH, int G, bool RING> PHA__GLOBAL(THREADS) forward(problem p) {
    typedef forward_sizes<DH> z;
    typedef tile<DH> t;
    PHA__SHARED(bf16, sq);
    bf16 *sk = sq + z::ROWS * t::LD, *sv = sk + 2 * z::KEYS * t::LD;
    int G_ = group_of<G>(p), b = block_y() / p.Hkv, h = block_y() % p.Hkv, rows = p.T * G_;
    int first = (grid_x() - 1 - block_x()) * z::ROWS, last = (first + z::ROWS < rows ? first + z::ROWS : rows) - 1;
    int seen = RING ? (int)*(const int64_t *)state_of(p, b) : 0;
    int begin = seen + first / G_, high = seen + last / G_ + 1, low = begin - p.window + 1;
    low = (low > 0 ? low : 0) / z::KEYS * z::KEYS;
    const bf16 *q = heads_of(p.q, p, b, h * G_), *k = heads_of(p.k, p, b, h), *v = heads_of(p.v, p, b, h);
    int lane = thread_index() % 32, warp = thread_index() / 32;
    int row[2] = {first + warp * 16 + lane / 4, first + warp * 16 + lane / 4 + 8};
    int token[2] = {seen + row[0] / G_, seen + row[1] / G_};
    auto fetch = [&](int key, int buffer) {
        if (!RING) return fetch_keys<DH, z::KEYS>(sk, sv, p, k, v, key, buffer);
        int at = buffer * z::KEYS * t::LD;
        t::template load_ring<z::KEYS>(sk + at, ring_of(p, b, 0, h), p.capacity, key, high, p.width);
        t::template load_ring<z::KEYS>(sv + at, ring_of(p, b, 1, h), p.capacity, key, high, p.width);
    };
    t::pad(sq, z::ROWS + 4 * z::KEYS, p.width);
    t::template load<z::ROWS, G>(sq, q, p.q.ld, first, rows, G_, p.width);
    fetch(low, 0);
    copies_commit();
    float o[DH / 8][4], top[2] = {-1e30f, -1e30f}, sum[2] = {0, 0}, scale = p.scale * LOG2E;
    clear(o);
    for (int key = low, buffer = 0; key < high; key += z::KEYS, buffer ^= 1) {
        if (key + z::KEYS < high) fetch(key + z::KEYS, buffer ^ 1);
        next_is_there();
        float s[z::KEYS / 8][4];
        clear(s);
        add_product<DH>(s, sq, warp * 16, sk + buffer * z::KEYS * t::LD);
        bool edge = key + z::KEYS - 1 > begin || high - 1 - key >= p.window;
        PHA__UNROLL
        for (int n = 0; n < z::KEYS / 8; n++)
            PHA__UNROLL
            for (int e = 0; e < 4; e++) {
                int at = key + n * 8 + 2 * (lane % 4) + e % 2, now = token[e / 2];
                s[n][e] = edge && (at > now || now - at >= p.window) ? -INFINITY : s[n][e] * scale;
            }
        float keep[2];
        PHA__UNROLL
        for (int j = 0; j < 2; j++) { // the sums are scaled anew only where the largest logit has grown by much
            float m = top[j];
            PHA__UNROLL
            for (int n = 0; n < z::KEYS / 8; n++) m = fmaxf(m, fmaxf(s[n][2 * j], s[n][2 * j + 1]));
            m = fmaxf(m, shuffle(m, 1));
            m = fmaxf(m, shuffle(m, 2));
            bool grown = m > top[j] + 8;
            keep[j] = grown ? fast_exp2(top[j] - m) : 1;
            top[j] = grown ? m : top[j];
        }
        if (warp_any(keep[0] != 1 || keep[1] != 1)) {
            PHA__UNROLL
            for (int n = 0; n < DH / 8; n++)
                PHA__UNROLL
                for (int e = 0; e < 4; e++) o[n][e] *= keep[e / 2];
        }
        PHA__UNROLL
        for (int j = 0; j < 2; j++) {
            sum[j] *= keep[j];
            PHA__UNROLL
            for (int n = 0; n < z::KEYS / 8; n++)
                PHA__UNROLL
                for (int e = 2 * j; e < 2 * j + 2; e++) sum[j] += s[n][e] = fast_exp2(s[n][e] - top[j]);
        }
        add_weighed<DH>(o, s, sv + buffer * z::KEYS * t::LD);
        barrier();
    }
    PHA__UNROLL
    for (int j = 0; j < 2; j++) {
        float all = sum[j] + shuffle(sum[j], 1);
        all += shuffle(all, 2);
        if (row[j] >= rows) continue;
        int64_t at = (int64_t)b * p.T + row[j] / G_;
        int head = h * G_ + row[j] % G_;
        if (lane % 4 == 0 && p.lse) p.lse[at * p.Hkv * G_ + head] = (top[j] + log2f(all)) * LN2;
        write_row<DH>(p.out.data + at * p.out.ld + (int64_t)head * p.width, o, j, 1 / all, p.width, false);
    }
}

// ---- backward ------------------------------------------------------------------------------------------------------

template <int DH> struct key_sizes {
    enum { KEYS = 64, ROWS = DH > 80 ? 32 : 64, BYTES = (2 * KEYS + 4 * ROWS) * tile<DH>::LD * 2 + 4 * ROWS * 4 };
};

// dk and dv: a warp has 16 keys of the tile, and the rows that see them pass by in two buffers.
template <int DH, int G> PHA__GLOBAL(THREADS) by_key(problem p) {
    typedef key_sizes<DH> z;
    typedef tile<DH> t;
    PHA__SHARED(bf16, sk);
    bf16 *sv = sk + z::KEYS * t::LD, *sq = sv + z::KEYS * t::LD, *sd = sq + 2 * z::ROWS * t::LD;
    float *s_lse = (float *)(sd + 2 * z::ROWS * t::LD), *s_delta = s_lse + 2 * z::ROWS;
    int G_ = group_of<G>(p), H = p.Hkv * G_, b = block_y() / p.Hkv, h = block_y() % p.Hkv, rows = p.T * G_;
    int key = block_x() * z::KEYS, lane = thread_index() % 32, warp = thread_index() / 32;
    int64_t seen = ((int64_t)(key + z::KEYS < p.T ? key + z::KEYS : p.T) - 1 + p.window) * G_;
    int first = key * G_ / z::ROWS * z::ROWS, end = seen < rows ? (int)seen : rows;
    const bf16 *q = heads_of(p.q, p, b, h * G_), *d = heads_of(p.d_out, p, b, h * G_);
    const float *lse = p.lse + (int64_t)b * p.T * H + h * G_, *delta = p.delta + (int64_t)b * p.T * H + h * G_;
    auto fetch = [&](int m, int buffer) {
        t::template load<z::ROWS, G>(sq + buffer * z::ROWS * t::LD, q, p.q.ld, m, rows, G_, p.width);
        t::template load<z::ROWS, G>(sd + buffer * z::ROWS * t::LD, d, p.d_out.ld, m, rows, G_, p.width);
        for (int i = thread_index(); i < z::ROWS; i += THREADS) {
            int n = m + i;
            bool in = n < rows;
            int64_t at = in ? (int64_t)(n / G_) * H + n % G_ : 0;
            s_lse[buffer * z::ROWS + i] = in ? lse[at] * LOG2E : 1e30f; // of no row: P is 0
            s_delta[buffer * z::ROWS + i] = in ? delta[at] : 0;
        }
    };
    t::pad(sk, 2 * z::KEYS + 4 * z::ROWS, p.width);
    t::template load<z::KEYS, 1>(sk, heads_of(p.k, p, b, h), p.k.ld, key, p.T, 1, p.width);
    t::template load<z::KEYS, 1>(sv, heads_of(p.v, p, b, h), p.v.ld, key, p.T, 1, p.width);
    fetch(first, 0);
    copies_commit();
    float dk[DH / 8][4], dv[DH / 8][4], scale = p.scale * LOG2E;
    clear(dk), clear(dv);
    for (int m = first, buffer = 0; m < end; m += z::ROWS, buffer ^= 1) {
        if (m + z::ROWS < end) fetch(m + z::ROWS, buffer ^ 1);
        next_is_there();
        const bf16 *tq = sq + buffer * z::ROWS * t::LD, *td = sd + buffer * z::ROWS * t::LD;
        float s[z::ROWS / 8][4], e[z::ROWS / 8][4]; // of keys by rows
        clear(s), clear(e);
        add_product<DH>(s, sk, warp * 16, tq);
        add_product<DH>(e, sv, warp * 16, td);
        bool edge = m / G_ < key + z::KEYS - 1 || (m + z::ROWS - 1) / G_ - key >= p.window;
        PHA__UNROLL
        for (int n = 0; n < z::ROWS / 8; n++)
            PHA__UNROLL
            for (int i = 0; i < 4; i++) {
                int r = n * 8 + 2 * (lane % 4) + i % 2, at = key + warp * 16 + lane / 4 + i / 2 * 8;
                float x = fast_exp2(s[n][i] * scale - s_lse[buffer * z::ROWS + r]);
                if (edge) {
                    int now = (m + r) / G_;
                    x = at > now || now - at >= p.window ? 0 : x;
                }
                s[n][i] = x;
                e[n][i] = x * (e[n][i] - s_delta[buffer * z::ROWS + r]);
            }
        add_weighed<DH>(dv, s, td);
        add_weighed<DH>(dk, e, tq);
        barrier();
    }
    PHA__UNROLL
    for (int j = 0; j < 2; j++) {
        int at = key + warp * 16 + lane / 4 + j * 8;
        if (at >= p.T) continue;
        int64_t row = (int64_t)b * p.T + at, column = (int64_t)h * p.width;
        if (p.dk.data)
            write_row<DH>(p.dk.data + row * p.dk.ld + column, dk, j, p.scale, p.width, p.add & PHA__IN(K));
        if (p.dv.data) write_row<DH>(p.dv.data + row * p.dv.ld + column, dv, j, 1, p.width, p.add & PHA__IN(V));
    }
}

template <int DH> struct row_sizes {
    enum { ROWS = 64, KEYS = DH > 80 ? 32 : 64, BYTES = (2 * ROWS + 4 * KEYS) * tile<DH>::LD * 2 };
};

// dq: a warp has 16 rows, and the keys that they see pass by.
template <int DH, int G> PHA__GLOBAL(THREADS) by_query(problem p) {
    typedef row_sizes<DH> z;
    typedef tile<DH> t;
    PHA__SHARED(bf16, sq);
    bf16 *sd = sq + z::ROWS * t::LD, *sk = sd + z::ROWS * t::LD, *sv = sk + 2 * z::KEYS * t::LD;
    int G_ = group_of<G>(p), H = p.Hkv * G_, b = block_y() / p.Hkv, h = block_y() % p.Hkv, rows = p.T * G_;
    int first = (grid_x() - 1 - block_x()) * z::ROWS, last = (first + z::ROWS < rows ? first + z::ROWS : rows) - 1;
    int high = last / G_ + 1, low = first / G_ - p.window + 1;
    low = (low > 0 ? low : 0) / z::KEYS * z::KEYS;
    const bf16 *k = heads_of(p.k, p, b, h), *v = heads_of(p.v, p, b, h);
    int lane = thread_index() % 32, warp = thread_index() / 32, row[2], token[2];
    float lse[2], delta[2];
    auto fetch = [&](int key, int buffer) { fetch_keys<DH, z::KEYS>(sk, sv, p, k, v, key, buffer); };
    t::pad(sq, 2 * z::ROWS + 4 * z::KEYS, p.width);
    t::template load<z::ROWS, G>(sq, heads_of(p.q, p, b, h * G_), p.q.ld, first, rows, G_, p.width);
    t::template load<z::ROWS, G>(sd, heads_of(p.d_out, p, b, h * G_), p.d_out.ld, first, rows, G_, p.width);
    fetch(low, 0);
    copies_commit();
    for (int j = 0; j < 2; j++) {
        row[j] = first + warp * 16 + lane / 4 + j * 8, token[j] = row[j] / G_;
        bool in = row[j] < rows;
        int64_t at = ((int64_t)b * p.T + (in ? token[j] : 0)) * H + h * G_ + (in ? row[j] % G_ : 0);
        lse[j] = in ? p.lse[at] * LOG2E : 1e30f, delta[j] = in ? p.delta[at] : 0;
    }
    float dq[DH / 8][4], scale = p.scale * LOG2E;
    clear(dq);
    for (int key = low, buffer = 0; key < high; key += z::KEYS, buffer ^= 1) {
        if (key + z::KEYS < high) fetch(key + z::KEYS, buffer ^ 1);
        next_is_there();
        float s[z::KEYS / 8][4], e[z::KEYS / 8][4];
        clear(s), clear(e);
        add_product<DH>(s, sq, warp * 16, sk + buffer * z::KEYS * t::LD);
        add_product<DH>(e, sd, warp * 16, sv + buffer * z::KEYS * t::LD);
        bool edge = key + z::KEYS - 1 > first / G_ || last / G_ - key >= p.window;
        PHA__UNROLL
        for (int n = 0; n < z::KEYS / 8; n++)
            PHA__UNROLL
            for (int i = 0; i < 4; i++) {
                int at = key + n * 8 + 2 * (lane % 4) + i % 2, now = token[i / 2];
                float x = fast_exp2(s[n][i] * scale - lse[i / 2]);
                if (edge && (at > now || now - at >= p.window)) x = 0;
                s[n][i] = x * (e[n][i] - delta[i / 2]);
            }
        add_weighed<DH>(dq, s, sk + buffer * z::KEYS * t::LD);
        barrier();
    }
    PHA__UNROLL
    for (int j = 0; j < 2; j++) {
        if (row[j] >= rows) continue;
        bf16 *to = p.dq.data + ((int64_t)b * p.T + token[j]) * p.dq.ld + (int64_t)(h * G_ + row[j] % G_) * p.width;
        write_row<DH>(to, dq, j, p.scale, p.width, p.add & PHA__IN(Q));
    }
}

// ---- launching -----------------------------------------------------------------------------------------------------

template <int DH, int G> void launch(pha__cuda *c, const problem &p, int B, pha__pass pass) {
    int64_t rows = (int64_t)p.T * p.G, y = (int64_t)B * p.Hkv;
    auto tiles = [](int64_t n, int64_t size) { return (n + size - 1) / size; };
    if (pass == PHA__FORWARD)
        return pha__launch(c, p.state ? forward<DH, 0, true> : forward<DH, G, false>,
                           {tiles(rows, forward_sizes<DH>::ROWS), y}, THREADS, forward_sizes<DH>::BYTES, p);
    if (p.dk.data || p.dv.data)
        pha__launch(c, by_key<DH, G>, {tiles(p.T, key_sizes<DH>::KEYS), y}, THREADS, key_sizes<DH>::BYTES, p);
    if (p.dq.data)
        pha__launch(c, by_query<DH, G>, {tiles(rows, row_sizes<DH>::ROWS), y}, THREADS, row_sizes<DH>::BYTES, p);
}

template <int DH> void launch_group(pha__cuda *c, const problem &p, int B, pha__pass pass) {
    if (p.G == 1) launch<DH, 1>(c, p, B, pass);
    else if (p.G == 4) launch<DH, 4>(c, p, B, pass);
    else launch<DH, 0>(c, p, B, pass);
}

// Absent, or bf16 whose rows begin where copies and pairs may.
bool fits(const pha__view &v, int64_t align) {
    if (!v.data) return true;
    return v.dtype == PHA__BF16 && (uintptr_t)v.data % (uintptr_t)align == 0 && v.ld * 2 % align == 0;
}

} // namespace

bool pha__attention_tile(pha__cuda *c, const pha__args *a, pha__pass pass) {
    const pha__attention_attr *t = (const pha__attention_attr *)a->attr;
    int64_t copies = t->head_width % 8 ? 8 : 16;
    if (pha__cuda_plain("attention") || t->dropout > 0 || t->local || (a->state && pass == PHA__BACKWARD)) return false;
    if (t->head_width % 4 || t->head_width > 128 || (int64_t)a->T * t->n_head > 1 << 30) return false;
    if (!fits(a->in[Q], copies) || !fits(a->in[K], copies) || !fits(a->in[V], copies) || !fits(a->out, 4)) return false;
    if (a->in[Q].dtype != PHA__BF16 || !fits(a->d_out, copies)) return false;
    for (int i = 0; i < 3; i++)
        if (!fits(a->d_in[i], 4)) return false;
    int64_t longest = a->state ? a->max_context : a->T;
    if (longest > 1 << 30) return false;
    auto of = [](const pha__view &v) { return place{(bf16 *)v.data, v.ld}; };
    problem p = {of(a->in[Q]), of(a->in[K]), of(a->in[V]), of(a->out), of(a->d_out), of(a->d_in[Q]), of(a->d_in[K]),
                 of(a->d_in[V]), a->saved, (float *)a->work, a->T, t->n_head / t->n_kv_head, t->n_kv_head,
                 t->head_width, t->window && t->window < longest ? (int)t->window : (int)longest, a->add, t->scale,
                 a->state, (int64_t)a->state_offset, (int)pha__attention_capacity(t, a->max_context)};
    if (t->head_width <= 64) launch_group<64>(c, p, a->B, pass);
    else if (t->head_width <= 80) launch_group<80>(c, p, a->B, pass);
    else launch_group<128>(c, p, a->B, pass);
    return true;
}
