/* attention_test.c -- attention against its equation (numerics.md 2 and 4.6) */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "ops/attention/attention.h"
#include "ops/harness.h"

/* What a cache holds of a key or value. */
static double held(const pha__attention_attr *c, double x)
{
    return c->cache == PHA__BF16 ? bf16_to_f32(f32_to_bf16((float)x)) : x;
}

/* Weights p (t + 1 numbers) of query row t of sequence b, head i; s0 is the first key in sight. */
static int weights(const pha__op_reference *r, int b, int t, int i, double *p, double *lse)
{
    const pha__attention_attr *c = r->attr;
    int dh = c->head_width, h = i * c->n_kv_head / c->n_head, s0 = 0;
    double top = -DBL_MAX, sum = 0;
    if (c->window && t - c->window + 1 > 0) s0 = t - c->window + 1;
    while (c->local && s0 / c->local != t / c->local) s0++;
    for (int s = s0; s <= t; s++) {
        const double *q = r->in[0] + ((int64_t)b * r->T + t) * r->width[0] + i * dh;
        const double *k = r->in[1] + ((int64_t)b * r->T + s) * r->width[1] + h * dh;
        p[s] = 0;
        for (int d = 0; d < dh; d++) p[s] += q[d] * held(c, k[d]);
        p[s] *= c->scale;
        if (p[s] > top) top = p[s];
    }
    for (int s = s0; s <= t; s++) sum += p[s] = exp(p[s] - top);
    for (int s = s0; s <= t; s++) p[s] /= sum;
    *lse = top + log(sum);
    return s0;
}

/* Of the weight of key s, by the words of backend/cpu/dropout.h. */
static double mask(const pha__op_reference *r, int b, int t, int i, int s)
{
    const pha__attention_attr *c = r->attr;
    if (c->dropout == 0 || !r->run->dropout) return 1;
    uint64_t row = (uint64_t)(r->run->row0 + (int64_t)b * r->T + t) * (uint64_t)c->n_head + (uint64_t)i;
    uint32_t word[4], counter[4] = {(uint32_t)row, (uint32_t)r->run->step, c->site + (uint32_t)s / 4 * 4096,
                                    PHA__STREAM_DROPOUT};
    pha__philox(r->run->seed, counter, word);
    return pha__uniform(word[s % 4]) >= c->dropout ? 1 / (1 - (double)c->dropout) : 0;
}

static void forward(pha__op_reference *r)
{
    const pha__attention_attr *c = r->attr;
    int dh = c->head_width;
    double *p = malloc(sizeof *p * (size_t)r->T), lse;
    for (int b = 0; b < r->B; b++)
        for (int t = 0; t < r->T; t++)
            for (int i = 0; i < c->n_head; i++) {
                double *o = r->out + ((int64_t)b * r->T + t) * r->out_width + i * dh;
                memset(o, 0, sizeof *o * (size_t)dh);
                for (int s = weights(r, b, t, i, p, &lse); s <= t; s++) {
                    const double *v =
                        r->in[2] + ((int64_t)b * r->T + s) * r->width[2] + i * c->n_kv_head / c->n_head * dh;
                    double w = p[s] * mask(r, b, t, i, s);
                    for (int d = 0; d < dh; d++) o[d] += w * held(c, v[d]);
                }
            }
    free(p);
}

static void backward(pha__op_reference *r)
{
    const pha__attention_attr *c = r->attr;
    int dh = c->head_width;
    double *p = malloc(sizeof *p * (size_t)r->T), lse;
    for (int b = 0; b < r->B; b++)
        for (int t = 0; t < r->T; t++)
            for (int i = 0; i < c->n_head; i++) {
                int64_t at = ((int64_t)b * r->T + t) * r->width[0] + i * dh;
                const double *q = r->in[0] + at, *g = r->d_out + at, *o = r->out + at;
                double *dq = r->d_in[0] + at, delta = 0;
                for (int d = 0; d < dh; d++) delta += g[d] * o[d];
                for (int s = weights(r, b, t, i, p, &lse); s <= t; s++) {
                    int64_t kv = ((int64_t)b * r->T + s) * r->width[1] + i * c->n_kv_head / c->n_head * dh;
                    const double *k = r->in[1] + kv, *v = r->in[2] + kv;
                    double *dk = r->d_in[1] + kv, *dv = r->d_in[2] + kv, dp = 0, kept = mask(r, b, t, i, s);
                    for (int d = 0; d < dh; d++) dp += kept * g[d] * v[d];
                    double dx = p[s] * (dp - delta) * c->scale;
                    for (int d = 0; d < dh; d++) {
                        dq[d] += dx * k[d];
                        dk[d] += dx * q[d];
                        dv[d] += p[s] * kept * g[d];
                    }
                }
            }
    free(p);
}

/* Pieces of 64 columns of length 1. */
static void unit(float *x, int rows, int width, pha__random *r)
{
    for (int64_t i = 0; i < (int64_t)rows * width; i++) x[i] = pha__random_normal(r);
    for (int64_t i = 0; i + 64 <= (int64_t)rows * width; i += 64) {
        double n = 0;
        for (int d = 0; d < 64; d++) n += (double)x[i + d] * x[i + d];
        for (int d = 0; d < 64; d++) x[i + d] = (float)(x[i + d] / sqrt(n));
    }
}

/* The same whatever the input: q = k where the widths agree. */
static void same(float *x, int rows, int width, pha__random *r)
{
    (void)r;
    unit(x, rows, width, &(pha__random){7});
}

static void zero(float *x, int rows, int width, pha__random *r)
{
    (void)r;
    memset(x, 0, sizeof *x * (size_t)rows * (size_t)width);
}

static void zero_rows(float *x, int rows, int width, pha__random *r)
{
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < width; j++) x[(int64_t)i * width + j] = i % 3 == 1 ? 0 : pha__random_normal(r);
}

#define ATTR(hq, hkv, dh, w, s, ...)                                                                                   \
    &(const pha__attention_attr){.n_head = hq, .n_kv_head = hkv, .head_width = dh, .window = w, .scale = s, __VA_ARGS__}
#define X(w, f) {.width = (w), .scale = 1, .fill = f}
#define IN(hq, hkv, dh) {X((hq) * (dh), NULL), X((hkv) * (dh), NULL), X((hkv) * (dh), NULL)}
/* name, B, T, query heads, kv heads, head width, window, scale: logits of size scale sqrt(dh) */
#define CASE(n, b, t, hq, hkv, dh, w, s)                                                                               \
    .name = n, .B = b, .T = t, .attr = ATTR(hq, hkv, dh, w, s, .local = 0), .in = IN(hq, hkv, dh)
#define FILLED(n, b, t, hq, hkv, dh, w, s, fq, fk)                                                                     \
    .name = n, .B = b, .T = t, .attr = ATTR(hq, hkv, dh, w, s, .local = 0),                                            \
    .in = {X((hq) * (dh), fq), X((hkv) * (dh), fk), X((hkv) * (dh), NULL)}
/* in chunks of l tokens */
#define LOCAL(n, b, t, hq, hkv, dh, l, s)                                                                              \
    .name = n, .B = b, .T = t, .attr = ATTR(hq, hkv, dh, 0, s, .local = l), .in = IN(hq, hkv, dh)
/* with dropout, windowed and in chunks */
#define DROP(n, b, t, hq, hkv, dh, w, l, rate)                                                                         \
    .name = n, .B = b, .T = t, .attr = ATTR(hq, hkv, dh, w, 0.3f, .local = l, .dropout = rate, .site = 15),            \
    .in = IN(hq, hkv, dh), .dropout = true, .grad = {GRADIENT_DROP, GRADIENT_DROP, GRADIENT}
/* with a cache of bf16 */
#define HALF(n, b, t, hq, hkv, dh, w, l, s)                                                                            \
    .name = n, .B = b, .T = t, .attr = ATTR(hq, hkv, dh, w, s, .local = l, .cache = PHA__BF16),                        \
    .in = IN(hq, hkv, dh), .forward_only = true, .cpu_only = true
#define LIMIT {.e2 = 5e-6, .emax = 1e-4, .bf16_e2 = 1e-2, .bf16_emax = 2e-1}
#define LIMIT_100 {.e2 = 2e-5, .emax = 3e-4, .bf16_e2 = 3e-2, .bf16_emax = 4e-1}
/* floor: with one key in sight the gradients of q and k are zero */
#define GRADIENT {.e2 = 3e-5, .emax = 5e-4, .bf16_e2 = 2e-2, .bf16_emax = 4e-1, .floor = 0.05}
/* out is not a value of bf16 there, as it is where the weight of the one key is 1 */
#define GRADIENT_DROP {.e2 = 3e-5, .emax = 5e-4, .bf16_e2 = 2e-2, .bf16_emax = 4e-1, .floor = 0.5}
/* one key has all the weight: the gradients of q and k are differences of nearly equal numbers, times 100 */
#define GRADIENT_100 {.e2 = 3e-5, .emax = 5e-4, .bf16_e2 = 2e-2, .bf16_emax = 4e-1, .floor = 10}

static const pha__op_case cases[] = {
    {CASE("differences", 2, 7, 4, 2, 6, 0, 0.5f), .differences = true},
    {CASE("differences, window", 1, 9, 3, 1, 5, 4, 0.5f), .differences = true},
    {CASE("one token", 3, 1, 4, 2, 60, 0, 0.15f)},
    {CASE("two tokens", 1, 2, 8, 2, 76, 0, 0.15f), .max_context = 5},
    {CASE("63", 1, 63, 4, 2, 64, 0, 0.15f)},
    {CASE("width 768", 1, 65, 8, 2, 96, 0, 0.12f)},
    {CASE("64", 1, 64, 4, 4, 16, 0, 0.3f)},
    {CASE("65", 3, 65, 4, 1, 60, 0, 0.15f)},
    {CASE("200, three heads share", 1, 200, 6, 2, 20, 0, 0.3f)},
    {CASE("eighty heads of width 1", 1, 40, 80, 1, 1, 0, 1), .max_context = 100},
    {CASE("300", 1, 300, 8, 2, 76, 0, 0.15f), .max_context = 700},
    {CASE("wide heads", 1, 70, 2, 1, 130, 0, 0.1f)},
    {CASE("1000", 1, 1000, 8, 2, 76, 0, 0.15f), .big = true},
    {CASE("1000, batch, 128", 3, 500, 2, 2, 128, 0, 0.1f), .big = true},
    {CASE("1000, window", 1, 1000, 4, 2, 80, 100, 0.15f), .big = true},
    {CASE("700, window 300", 1, 700, 4, 2, 16, 300, 0.3f), .big = true}, /* wider than a segment of keys */
    {CASE("window 1", 2, 66, 4, 2, 60, 1, 0.15f)},
    {CASE("window 7", 1, 150, 4, 2, 16, 7, 0.3f)},
    {CASE("window 64", 2, 200, 3, 3, 12, 64, 0.3f)},
    {CASE("window of one less", 1, 65, 2, 1, 16, 64, 0.3f)},
    {CASE("window of T", 1, 65, 2, 1, 16, 65, 0.3f)},
    {CASE("window over T", 1, 65, 2, 1, 16, 1000, 0.3f), .max_context = 80},
    {LOCAL("differences, chunks of 4", 2, 9, 3, 1, 5, 4, 0.5f), .differences = true},
    {LOCAL("chunks of 1", 2, 66, 4, 2, 60, 1, 0.15f)},
    {LOCAL("chunks of 7", 1, 150, 4, 2, 16, 7, 0.3f)},
    {LOCAL("chunks of 64", 2, 200, 3, 3, 12, 64, 0.3f)},
    {LOCAL("chunks of 65", 1, 140, 2, 1, 16, 65, 0.3f)},
    {LOCAL("one chunk and a token", 1, 65, 2, 1, 16, 64, 0.3f)},
    {LOCAL("chunk over T", 1, 65, 2, 1, 16, 1000, 0.3f), .max_context = 80},
    {LOCAL("1000, chunks of 300", 1, 1000, 4, 2, 16, 300, 0.3f), .big = true}, /* longer than a segment of keys */
    {LOCAL("1000, chunks of 100", 1, 1000, 6, 2, 80, 100, 0.15f), .big = true},
    {DROP("differences, dropout", 2, 9, 4, 2, 5, 0, 0, 0.3f), .differences = true},
    {DROP("dropout", 2, 70, 6, 2, 20, 0, 0, 0.1f)},
    {DROP("much dropout, one head", 3, 65, 1, 1, 16, 0, 0, 0.7f)},
    {DROP("dropout, window 7", 1, 150, 4, 2, 16, 7, 0, 0.2f)},
    {DROP("dropout, chunks of 45", 1, 150, 3, 1, 16, 0, 45, 0.2f)},
    {DROP("1000, dropout", 1, 1000, 6, 2, 64, 0, 0, 0.1f), .big = true},
    {HALF("cache of bf16", 2, 70, 6, 2, 20, 0, 0, 0.3f)},
    {HALF("cache of bf16, one token", 3, 1, 4, 2, 61, 0, 0, 0.15f)},
    {HALF("cache of bf16, 300", 1, 300, 8, 2, 76, 0, 0, 0.15f), .max_context = 700},
    {HALF("cache of bf16, window 7", 1, 150, 4, 2, 13, 7, 0, 0.3f)},
    {HALF("cache of bf16, chunks of 45", 1, 150, 3, 1, 16, 0, 45, 0.2f)},
    {HALF("1000, cache of bf16, window", 1, 1000, 4, 2, 80, 100, 0, 0.15f), .big = true},
    {FILLED("scale 100, q = k", 1, 130, 2, 2, 64, 0, 100, same, same), .out = LIMIT_100,
     .grad = {GRADIENT_100, GRADIENT_100, GRADIENT}},
    {FILLED("scale 100", 2, 200, 4, 2, 64, 0, 100, unit, unit), .out = LIMIT_100,
     .grad = {GRADIENT_100, GRADIENT_100, GRADIENT}},
    {FILLED("equal logits", 1, 130, 4, 2, 60, 0, 1, zero, NULL)},
    {FILLED("zero rows", 1, 70, 4, 2, 60, 0, 0.15f, zero_rows, zero_rows)},
};

/* The cost counts the pairs that the mask leaves. */
static void check_flops(int window, int local)
{
    const pha__attention_attr c = *ATTR(6, 2, 5, window, 1, .local = local);
    for (int context = 0; context < 40; context += 3)
        for (int T = 1; T < 40; T += 6) {
            double pairs = 0;
            for (int t = context; t < context + T; t++)
                for (int s = 0; s <= t; s++)
                    pairs += (!window || t - s < window) && (!local || t / local == s / local);
            pha__shape shape = {.B = 2, .T = T, .attr = &c};
            double got = pha__op_attention.flops(&shape, PHA__FORWARD, context);
            pha__check(got == 4 * 5 * 6 * 2 * pairs, "window %d, local %d: %g operations for %d tokens at %d, not %g",
                       window, local, got, T, context, 4 * 5 * 6 * 2 * pairs);
        }
}

/* The gradient behind a state that the first `cut` tokens have left: that of the whole text where only the tokens after
 * them have one. */
static void carried(const pha__kernel *kernel, int cut, int window)
{
    enum { T = 200, HQ = 4, HKV = 2, DH = 20, Q = HQ * DH, K = HKV * DH, W = Q + 2 * K };
    const pha__attention_attr c = *ATTR(HQ, HKV, DH, window, 0.5f, .local = 0);
    int rest = T - cut;
    float *x = calloc((size_t)(T * (2 * W + 2 * Q + HQ)), sizeof *x), *q = x, *k = q + T * Q, *v = k + T * K;
    float *out = v + T * K, *saved = out + T * Q, *d = saved + T * HQ;
    float *dq = d + T * Q, *dk = dq + T * Q, *dv = dk + T * K;
    double *y = calloc((size_t)(T * (2 * W + 2 * Q)), sizeof *y), *o = y + T * W, *g = o + T * Q, *dy = g + T * Q;
    pha__random seed = 5;
    for (int i = 0; i < T * W; i++) y[i] = x[i] = pha__random_normal(&seed);
    for (int i = cut * Q; i < T * Q; i++) g[i] = d[i] = pha__random_normal(&seed);
    size_t room = PHA__ATTENTION_HEADER + (size_t)(2 * K * window) * sizeof *x;
    char *state = aligned_alloc(64, (room + 63) / 64 * 64), *before = aligned_alloc(64, (room + 63) / 64 * 64);
    memset(state, 0, room);
    pha__args a = {.B = 1, .T = cut, .n_in = 3, .attr = &c, .saved = saved, .state = &state, .max_context = window};
    a.in[0] = (pha__view){q, Q, 0, Q, PHA__F32}, a.in[1] = (pha__view){k, K, 0, K, PHA__F32};
    a.in[2] = (pha__view){v, K, 0, K, PHA__F32}, a.out = (pha__view){out, Q, 0, Q, PHA__F32};
    pha__run_kernel(kernel, &a, NULL, PHA__FORWARD, PHA__ONE_BY_ONE);
    memcpy(before, state, room);
    a.T = rest, a.in[0].data = q + cut * Q, a.in[1].data = k + cut * K, a.in[2].data = v + cut * K;
    pha__run_kernel(kernel, &a, NULL, PHA__FORWARD, PHA__ONE_BY_ONE);
    a.state = &before, a.d_out = (pha__view){d + cut * Q, Q, 0, Q, PHA__F32};
    a.d_in[0] = (pha__view){dq, Q, 0, Q, PHA__F32}, a.d_in[1] = (pha__view){dk, K, 0, K, PHA__F32};
    a.d_in[2] = (pha__view){dv, K, 0, K, PHA__F32};
    pha__run_kernel(kernel, &a, NULL, PHA__BACKWARD, PHA__THREADS);
    pha__op_reference r = {.B = 1, .T = T, .attr = &c, .in = {y, y + T * Q, y + T * (Q + K)}, .width = {Q, K, K},
                           .out = o, .out_width = Q, .d_out = g, .d_in = {dy, dy + T * Q, dy + T * (Q + K)}};
    forward(&r);
    backward(&r);
    const float *got[] = {dq, dk, dv};
    for (int i = 0; i < 3; i++) {
        double e2, emax;
        int width = r.width[i];
        pha__errors(got[i], r.d_in[i] + cut * width, (int64_t)rest * width, &(pha__limits){0}, &e2, &emax);
        pha__check(e2 < 3e-5 && emax < 5e-4, "d_in[%d] behind a state of %d tokens: E2 %g, Emax %g", i, cut, e2, emax);
    }
    free(x), free(y), free(state), free(before);
}

static void to_bf16(void *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) ((uint16_t *)x)[i] = f32_to_bf16(((float *)x)[i]); /* from the front: in place */
}

/* A session reads a long text in runs of many sizes: what comes out is that of the whole. */
static void in_runs(const pha__kernel *kernel, pha__dtype dtype, int window, int local, int dh)
{
    enum { T = 340, HQ = 4, HKV = 2, LONGEST = 1000 };
    static const int runs[] = {200, 56, 1, 40, 1, 3, 30, 1, 2, 6}; /* T in all */
    const pha__attention_attr c = *ATTR(HQ, HKV, dh, window, 0.3f, .local = local);
    const int width[] = {HQ * dh, HKV * dh, HKV * dh, HQ * dh};
    float *x[4];
    double *y[4];
    pha__random seed = 9;
    for (int i = 0; i < 4; i++) {
        x[i] = aligned_alloc(64, (size_t)(T * width[i] + 15) / 16 * 64);
        y[i] = malloc(sizeof(double) * T * (size_t)width[i]);
        for (int k = 0; k < T * width[i]; k++) {
            x[i][k] = pha__random_normal(&seed);
            y[i][k] = dtype == PHA__BF16 ? bf16_to_f32(f32_to_bf16(x[i][k])) : x[i][k];
        }
        if (dtype == PHA__BF16) to_bf16(x[i], T * width[i]);
    }
    size_t room = PHA__ATTENTION_HEADER + 2 * sizeof(float) * (size_t)(HKV * dh) * LONGEST;
    char *state = aligned_alloc(64, (room + 63) / 64 * 64);
    memset(state, 0, room);
    size_t size = pha__dtype_size(dtype);
    for (int t = 0, run = 0; t < T; t += runs[run++]) {
        pha__args a = {.B = 1, .T = runs[run], .n_in = 3, .attr = &c, .state = &state, .max_context = LONGEST};
        pha__view *views[] = {&a.in[0], &a.in[1], &a.in[2], &a.out};
        for (int i = 0; i < 4; i++)
            *views[i] = (pha__view){(char *)x[i] + (size_t)(t * width[i]) * size, width[i], 0, width[i], dtype};
        pha__run_kernel(kernel, &a, NULL, PHA__FORWARD, PHA__ONE_BY_ONE);
    }
    pha__op_reference r = {.B = 1, .T = T, .attr = &c, .in = {y[0], y[1], y[2]}, .out = y[3], .out_width = width[3],
                           .width = {width[0], width[1], width[2]}};
    forward(&r);
    if (dtype == PHA__BF16)
        for (int k = T * width[3] - 1; k >= 0; k--) x[3][k] = bf16_to_f32(((uint16_t *)x[3])[k]);
    for (int t = 0, run = 0; t < T; t += runs[run++]) {
        double e2, emax, most = dtype == PHA__BF16 ? 1e-2 : 1e-5;
        pha__errors(x[3] + t * width[3], y[3] + t * width[3], (int64_t)runs[run] * width[3], &(pha__limits){0}, &e2,
                    &emax);
        pha__check(e2 < most, "%d tokens from %d, window %d, chunks of %d, heads of %d, %s: E2 %g", runs[run], t,
                   window, local, dh, dtype == PHA__BF16 ? "bf16" : "fp32", e2);
    }
    for (int i = 0; i < 4; i++) free(x[i]), free(y[i]);
    free(state);
}

/* lse to 1e-5; NaN in a query reaches its output. */
static void extra(const pha__kernel *kernel)
{
    const pha__attention_attr c = *ATTR(4, 2, 20, 90, 0.5f, .local = 0);
    static const int masks[][2] = {{0, 0}, {7, 0}, {1000, 0}, {0, 7}, {0, 1}, {0, 1000}};
    for (int i = 0; i < 6; i++) check_flops(masks[i][0], masks[i][1]);
    enum { T = 200, Q = 80, K = 40 };
    float *x = malloc(sizeof *x * T * (2 * Q + 2 * K + 4));
    double *y = malloc(sizeof *y * T * (Q + 2 * K + 1));
    float *q = x, *k = q + T * Q, *v = k + T * K, *out = v + T * K, *saved = out + T * Q;
    pha__random seed = 3;
    for (int i = 0; i < T * (Q + 2 * K); i++) y[i] = x[i] = pha__random_normal(&seed);
    pha__args a = {.B = 1, .T = T, .n_in = 3, .attr = &c, .saved = saved};
    a.in[0] = (pha__view){q, Q, 0, Q, PHA__F32}, a.in[1] = (pha__view){k, K, 0, K, PHA__F32};
    a.in[2] = (pha__view){v, K, 0, K, PHA__F32}, a.out = (pha__view){out, Q, 0, Q, PHA__F32};
    pha__run_kernel(kernel, &a, NULL, PHA__FORWARD, PHA__ONE_BY_ONE);
    pha__op_reference r = {.B = 1, .T = T, .attr = &c, .in = {y, y + T * Q, y + T * (Q + K)}, .width = {Q, K, K}};
    for (int t = 0; t < T; t++)
        for (int i = 0; i < 4; i++) {
            double lse;
            weights(&r, 0, t, i, y + T * (Q + 2 * K), &lse);
            pha__check(fabs(saved[t * 4 + i] - lse) < 1e-5, "lse of row %d, head %d: %.9g, not %.9g", t, i,
                       saved[t * 4 + i], lse);
        }
    q[5 * Q + 21] = NAN;
    pha__run_kernel(kernel, &a, NULL, PHA__FORWARD, PHA__ONE_BY_ONE);
    pha__check(isnan(out[5 * Q + 20]) && !isnan(out[5 * Q]) && !isnan(out[6 * Q + 20]),
               "a NaN in a query must reach its output only");
    free(x);
    free(y);
    carried(kernel, 90, 300); /* all of the state is in sight */
    carried(kernel, 130, 50); /* some of it, which lies across the end of the ring */
    carried(kernel, 190, 100);
    carried(kernel, 64, 64);
    in_runs(kernel, PHA__F32, 0, 0, 20);
    in_runs(kernel, PHA__BF16, 0, 0, 20);
    in_runs(kernel, PHA__BF16, 9, 0, 76); /* the text is longer than the ring, too */
    in_runs(kernel, PHA__F32, 9, 0, 8);
    in_runs(kernel, PHA__BF16, 0, 90, 16);
}

const pha__op_test pha__test_attention = {
    .op = &pha__op_attention,
    .forward = forward,
    .backward = backward,
    .out = LIMIT,
    .grad = {GRADIENT, GRADIENT, GRADIENT},
    PHA__CASES(cases),
    .extra = extra,
};
