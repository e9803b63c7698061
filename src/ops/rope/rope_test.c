/* rope_test.c -- normalisation and rotation of heads against their equations */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/harness.h"
#include "ops/rope/rope.h"

static double scale_of(const pha__op_reference *r, int head)
{
    return r->in[2] ? exp(fmin(r->in[2][head], (double)(float)log(100))) : 1;
}

static double norm_of(const pha__op_reference *r, const double *x)
{
    const pha__rope_attr *c = r->attr;
    double sum = 0;
    if (c->norm == PHA__NORM_NONE) return 1;
    for (int d = 0; d < c->head_width; d++) sum += x[d] * x[d];
    return sqrt((c->norm == PHA__NORM_RMS ? sum / c->head_width : sum) + (double)c->eps);
}

/* Members of pair j of a head. */
static int first(const pha__rope_attr *c, int j) { return c->interleaved ? 2 * j : j; }
static int second(const pha__rope_attr *c, int j) { return c->interleaved ? 2 * j + 1 : j + c->head_width / 2; }

static void forward(pha__op_reference *r)
{
    const pha__rope_attr *c = r->attr;
    int dh = c->head_width;
    double *v = malloc(sizeof *v * (size_t)dh);
    for (int64_t row = 0; row < (int64_t)r->B * r->T; row++)
        for (int i = 0; i < c->n_head; i++) {
            const double *x = r->in[0] + row * r->width[0] + i * dh, *cs = r->in[1] + row * dh;
            double *out = r->out + row * r->out_width + i * dh, n = norm_of(r, x), s = scale_of(r, i);
            for (int d = 0; d < dh; d++) v[d] = (r->in[3] ? r->in[3][d] : 1) * x[d] / n;
            for (int j = 0; j < dh / 2; j++) {
                double co = cs[j], si = cs[dh / 2 + j], p = v[first(c, j)], q = v[second(c, j)];
                out[first(c, j)] = s * (p * co - q * si);
                out[second(c, j)] = s * (p * si + q * co);
            }
        }
    free(v);
}

static void backward(pha__op_reference *r)
{
    const pha__rope_attr *c = r->attr;
    int dh = c->head_width;
    double *g = malloc(sizeof *g * (size_t)dh);
    for (int64_t row = 0; row < (int64_t)r->B * r->T; row++)
        for (int i = 0; i < c->n_head; i++) {
            int64_t at = row * r->width[0] + i * dh;
            const double *x = r->in[0] + at, *cs = r->in[1] + row * dh, *d_out = r->d_out + at;
            double n = norm_of(r, x), s = scale_of(r, i), dot = 0;
            for (int d = 0; d < dh; d++) /* d out / d tau = out */
                if (r->in[2] && r->in[2][i] <= (double)(float)log(100)) r->d_in[2][i] += d_out[d] * r->out[at + d];
            for (int j = 0; j < dh / 2; j++) {
                double co = cs[j], si = cs[dh / 2 + j], p = d_out[first(c, j)], q = d_out[second(c, j)];
                g[first(c, j)] = s * (p * co + q * si);
                g[second(c, j)] = s * (q * co - p * si);
            }
            for (int d = 0; d < dh && r->in[3]; d++) r->d_in[3][d] += g[d] * x[d] / n, g[d] *= r->in[3][d];
            for (int d = 0; d < dh; d++) dot += g[d] * x[d];
            if (c->norm == PHA__NORM_NONE) dot = 0;
            if (c->norm == PHA__NORM_RMS) dot /= dh;
            for (int d = 0; d < dh; d++) r->d_in[0][at + d] += g[d] / n - x[d] * dot / (n * n * n);
        }
    free(g);
}

/* Angles of random positions. */
static void table(float *x, int rows, int width, pha__random *r)
{
    for (int i = 0; i < rows; i++) {
        int t = pha__random_below(r, 1000);
        for (int j = 0; j < width / 2; j++) {
            double angle = t * pow(10000, -2.0 * j / width);
            x[i * width + j] = (float)cos(angle), x[i * width + width / 2 + j] = (float)sin(angle);
        }
    }
}

static void zero_rows(float *x, int rows, int width, pha__random *r)
{
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < width; j++) x[i * width + j] = i % 3 == 1 ? 0 : pha__random_normal(r);
}

/* Every other one zero. */
static void gaps(float *x, int rows, int width, pha__random *r)
{
    for (int i = 0; i < rows * width; i++) x[i] = i % 2 ? 0 : pha__random_normal(r);
}

static void clamped(float *x, int rows, int width, pha__random *r)
{
    (void)r;
    for (int i = 0; i < rows * width; i++) x[i] = i % 2 ? 2.0f : 5.0f; /* ln 100 = 4.605 */
}

#define ATTR(h, dh, norm, inter) &(const pha__rope_attr){h, dh, norm, inter, norm == PHA__NORM_RMS ? 1e-6f : 1e-12f}
#define X(w) {.width = w, .scale = 1}
#define TABLE(dh) {.width = dh, .fill = table, .f32 = true, .no_grad = true}
#define TAU(h) {.rows = 1, .width = h, .scale = 0.5f, .shift = 2.3f}
#define GAIN(dh) {.rows = 1, .width = dh, .scale = 0.5f, .shift = 1}
#define CASE(n, b, t, h, dh, norm, inter) .name = n, .B = b, .T = t, .attr = ATTR(h, dh, norm, inter)
#define COSINE PHA__NORM_COSINE
#define RMS PHA__NORM_RMS
#define NONE PHA__NORM_NONE

static const pha__op_case cases[] = {
    {CASE("differences", 1, 3, 2, 6, COSINE, 0), .in = {X(12), TABLE(6), TAU(2)}, .differences = true},
    {CASE("differences, interleaved", 1, 3, 2, 6, COSINE, 1), .in = {X(12), TABLE(6)}, .differences = true},
    {CASE("differences, rms", 2, 3, 2, 4, RMS, 0), .in = {X(8), TABLE(4), {.rows = 0}, GAIN(4)}, .differences = true},
    {CASE("differences, rms, tau", 1, 3, 2, 4, RMS, 1), .in = {X(8), TABLE(4), TAU(2), GAIN(4)}, .differences = true},
    {CASE("differences, dot", 1, 4, 3, 2, NONE, 0), .in = {X(6), TABLE(2), TAU(3)}, .differences = true},
    {CASE("one token", 3, 1, 8, 76, COSINE, 0), .in = {X(608), TABLE(76), TAU(8)}},
    {CASE("two tokens, width 768", 3, 2, 8, 96, COSINE, 0), .in = {X(768), TABLE(96), TAU(8)}},
    {CASE("63", 1, 63, 4, 60, COSINE, 0), .in = {X(240), TABLE(60), TAU(4)}},
    {CASE("65, keys", 3, 65, 2, 64, COSINE, 0), .in = {X(128), TABLE(64)}},
    {CASE("65, interleaved", 3, 65, 2, 76, COSINE, 1), .in = {X(152), TABLE(76), TAU(2)}},
    {CASE("rms", 2, 65, 3, 80, RMS, 0), .in = {X(240), TABLE(80), {.rows = 0}, GAIN(80)}},
    {CASE("rms, interleaved, gains of 0", 1, 64, 2, 20, RMS, 1),
     .in = {X(40), TABLE(20), {.rows = 0}, {.rows = 1, .width = 20, .fill = gaps}}},
    {CASE("dot", 1, 70, 2, 16, NONE, 0), .in = {X(32), TABLE(16)}},
    {CASE("zero rows", 1, 70, 2, 60, COSINE, 0), .in = {{.width = 120, .fill = zero_rows}, TABLE(60), TAU(2)}},
    {CASE("zero rows, rms", 1, 70, 2, 60, RMS, 0),
     .in = {{.width = 120, .fill = zero_rows}, TABLE(60), {.rows = 0}, GAIN(60)}},
    {CASE("tau over its limit", 1, 70, 4, 16, COSINE, 0),
     .in = {X(64), TABLE(16), {.rows = 1, .width = 4, .fill = clamped}}},
    {CASE("tiny heads", 1, 5, 2, 60, COSINE, 0), .in = {{.width = 120, .scale = 1e-7f}, TABLE(60), TAU(2)}},
    {CASE("huge heads", 1, 5, 2, 60, COSINE, 0), .in = {{.width = 120, .scale = 1e25f}, TABLE(60)}},
    {CASE("1000", 3, 1000, 8, 76, COSINE, 0), .in = {X(608), TABLE(76), TAU(8)}, .big = true},
};

/* Beyond the clamp the gradient of tau is exactly 0. */
static void extra(const pha__kernel *kernel)
{
    enum { T = 70, W = 12 };
    const pha__rope_attr c = {2, 6, PHA__NORM_COSINE, 0, 1e-12f};
    float x[T * W], cs[T * 6], out[T * W], g[T * W], saved[T * 2], tau[2] = {4.7f, 2}, d_tau[2];
    pha__random r = 5;
    for (int i = 0; i < T * W; i++) x[i] = pha__random_normal(&r), g[i] = pha__random_normal(&r);
    table(cs, T, 6, &r);
    pha__args a = {.B = 1, .T = T, .n_in = 3, .attr = &c, .saved = saved};
    a.in[0] = (pha__view){x, W, 0, W, PHA__F32}, a.in[1] = (pha__view){cs, 6, 0, 6, PHA__F32};
    a.in[2] = (pha__view){tau, 2, 1, 2, PHA__F32}, a.out = (pha__view){out, W, 0, W, PHA__F32};
    a.d_out = (pha__view){g, W, 0, W, PHA__F32}, a.d_in[2] = (pha__view){d_tau, 2, 1, 2, PHA__F32};
    pha__run_kernel(kernel, &a, NULL, PHA__FORWARD, PHA__ONE_BY_ONE);
    pha__run_kernel(kernel, &a, NULL, PHA__BACKWARD, PHA__ONE_BY_ONE);
    pha__check(d_tau[0] == 0 && d_tau[1] != 0, "gradients of tau are %g (clamped) and %g", d_tau[0], d_tau[1]);
}

const pha__op_test pha__test_rope = {
    .op = &pha__op_rope,
    .forward = forward,
    .backward = backward,
    .out = PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2),
    .grad = {PHA__LIMITS(3e-5, 5e-4, 2e-2, 4e-1), {.e2 = 0}, PHA__LIMITS(3e-5, 5e-4, 2e-2, 4e-1),
             PHA__LIMITS(3e-5, 5e-4, 2e-2, 4e-1)},
    PHA__CASES(cases),
    .extra = extra,
};
