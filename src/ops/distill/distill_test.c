/* distill_test.c -- nll_t = -sum_s A_ts ln(b_ts / R_t) and the entropy of A_t, pair by pair; means over the heads */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "ops/distill/distill.h"
#include "ops/harness.h"

enum { Q, K, F, G };

static const double *at(const pha__op_reference *r, int input, int b, int t, int head)
{
    const pha__distill_attr *c = r->attr;
    int width = r->width[input] / c->n_head;
    return r->in[input] + ((int64_t)b * r->T + t) * r->width[input] + head * width;
}

static double dot(const double *x, const double *y, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

/* A and b of query t (t + 1 numbers each); the sum of b. */
static double weights(const pha__op_reference *r, int b, int t, int h, double *A, double *pair)
{
    const pha__distill_attr *c = r->attr;
    double top = -DBL_MAX, sum = 0, R = 0;
    for (int s = 0; s <= t; s++) {
        A[s] = c->scale * dot(at(r, Q, b, t, h), at(r, K, b, s, h), c->head_width);
        pair[s] = dot(at(r, F, b, t, h), at(r, G, b, s, h), c->n_feature);
        top = fmax(top, A[s]);
        R += pair[s];
    }
    for (int s = 0; s <= t; s++) sum += A[s] = exp(A[s] - top);
    for (int s = 0; s <= t; s++) A[s] /= sum;
    return R;
}

static void forward(pha__op_reference *r)
{
    const pha__distill_attr *c = r->attr;
    double *A = malloc(2 * (size_t)r->T * sizeof *A), *pair = A + r->T;
    for (int b = 0; b < r->B; b++)
        for (int t = 0; t < r->T; t++) {
            double *out = r->out + ((int64_t)b * r->T + t) * r->out_width;
            out[0] = out[1] = 0;
            for (int h = 0; h < c->n_head; h++) {
                double R = weights(r, b, t, h, A, pair);
                for (int s = 0; s <= t; s++) {
                    out[0] -= A[s] * log(pair[s] / R) / c->n_head;
                    if (A[s] > 0) out[1] -= A[s] * log(A[s]) / c->n_head;
                }
            }
        }
    free(A);
}

/* The gradients of the features of the queries t and of the keys s that they see. */
static void backward_query(pha__op_reference *r, int b, int t, int h, double *A, double *pair)
{
    const pha__distill_attr *c = r->attr;
    double R = weights(r, b, t, h, A, pair);
    double scale = r->d_out[((int64_t)b * r->T + t) * r->out_width] * c->weight / c->n_head;
    for (int s = 0; s <= t; s++) {
        double slope = scale * (1 / R - A[s] / pair[s]);
        int64_t row_t = (int64_t)b * r->T + t, row_s = (int64_t)b * r->T + s;
        for (int i = 0; i < c->n_feature; i++) {
            r->d_in[F][row_t * r->width[F] + h * c->n_feature + i] += slope * at(r, G, b, s, h)[i];
            r->d_in[G][row_s * r->width[G] + h * c->n_feature + i] += slope * at(r, F, b, t, h)[i];
        }
    }
}

static void backward(pha__op_reference *r)
{
    const pha__distill_attr *c = r->attr;
    double *A = malloc(2 * (size_t)r->T * sizeof *A), *pair = A + r->T;
    for (int b = 0; b < r->B; b++)
        for (int t = 0; t < r->T; t++)
            for (int h = 0; h < c->n_head; h++) backward_query(r, b, t, h, A, pair);
    free(A);
}

/* Halves of a softmax each, as the features of Hedgehog are: some large, none below 1e-12. */
static void features(float *x, int rows, int width, pha__random *r)
{
    for (int64_t k = 0; k < (int64_t)rows * width; k++) x[k] = fmaxf(expf(2 * pha__random_normal(r) - 3), 1e-12f);
}
static void plain(float *x, int rows, int width, pha__random *r)
{
    for (int64_t k = 0; k < (int64_t)rows * width; k++) x[k] = expf(0.5f * pha__random_normal(r));
}
/* One feature has nearly everything, the others are at the floor. */
static void peaked(float *x, int rows, int width, pha__random *r)
{
    for (int64_t k = 0; k < (int64_t)rows * width; k++) x[k] = pha__random_below(r, 4) ? 1e-12f : 1;
}

#define ATTR(h, dh, m, scale, weight) &(const pha__distill_attr){h, dh, m, scale, weight}
/* name, B, T, heads, their width, features, scale, weight, fill of the features */
#define CASE(n, b, t, h, dh, m, s, w, fill_)                                                                 \
    .name = n, .B = b, .T = t, .attr = ATTR(h, dh, m, s, w),                                                   \
    .in = {{.width = (h) * (dh), .scale = 1, .no_grad = true}, {.width = (h) * (dh), .scale = 1, .no_grad = true}, \
           {.width = (h) * (m), .fill = fill_}, {.width = (h) * (m), .fill = fill_}}
/* floor: with one key in sight A = b / R = 1, and nll, entropy and gradients are zero */
#define LIMIT {.e2 = 5e-6, .emax = 1e-4, .bf16_e2 = 5e-6, .bf16_emax = 1e-4, .floor = 0.1}
#define GRADIENT {.e2 = 3e-5, .emax = 1e-3, .bf16_e2 = 1e-2, .bf16_emax = 4e-1, .floor = 1e-3}
#define ZERO {.e2 = 1e-3, .emax = 1e-2, .bf16_e2 = 1e-2, .bf16_emax = 4e-1, .floor = 1e-2}

static const pha__op_case cases[] = {
    {CASE("differences", 2, 7, 3, 4, 6, 0.5f, 1, features), .differences = true},
    {CASE("differences, sharp", 1, 6, 2, 5, 8, 1, 1, plain), .differences = true},
    {CASE("one token", 3, 1, 4, 16, 32, 0.25f, 0.7f, features), .grad = {[F] = ZERO, [G] = ZERO}},
    {CASE("two tokens", 2, 2, 2, 60, 120, 0.13f, 0.7f, features)},
    {CASE("63", 1, 63, 2, 64, 128, 0.125f, 0.7f, features)},
    {CASE("64", 2, 64, 3, 12, 24, 0.3f, 0.7f, features)},
    {CASE("65", 3, 65, 2, 17, 34, 0.25f, 0.7f, features)},
    {CASE("fewer features than the head is wide", 1, 70, 2, 130, 7, 0.1f, 0.7f, features)},
    {CASE("width 1", 1, 40, 5, 1, 2, 1, 0.7f, features)},
    {CASE("three tiles", 2, 150, 2, 16, 32, 0.25f, 0.7f, features)},
    {CASE("peaked", 1, 100, 2, 16, 32, 0.25f, 0.7f, peaked)},
    {CASE("one key has all the weight", 1, 90, 2, 16, 32, 12, 0.7f, features)},
    {CASE("700", 2, 700, 2, 32, 64, 0.18f, 0.7f, features), .big = true},
    {CASE("width 768", 1, 300, 12, 64, 128, 0.125f, 0.7f, features), .big = true},
};

const pha__op_test pha__test_distill = {
    .op = &pha__op_distill,
    .forward = forward,
    .backward = backward,
    .out = LIMIT,
    .grad = {[F] = GRADIENT, [G] = GRADIENT},
    PHA__CASES(cases),
};
