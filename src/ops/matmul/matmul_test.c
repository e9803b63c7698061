/* matmul_test.c -- y = W x + b in double, sizes around the edges of tiles, blocks and the way for few rows */
#include "harness.h"

extern const pha__op_test pha__test_matmul;

/* Column j of the biases side by side, or of their gradients; NULL: there is none. */
static double *bias(double *const *in, const int *width, int j)
{
    int i = 2;
    while (i < PHA__MAX_IN && in[i] && j >= width[i]) j -= width[i++];
    return i < PHA__MAX_IN && in[i] ? in[i] + j : NULL;
}

static void forward(pha__op_reference *r)
{
    int n = r->rows[1], k = r->width[1];
    for (int64_t t = 0; t < (int64_t)r->B * r->T; t++)
        for (int j = 0; j < n; j++) {
            const double *x = r->in[0] + t * k, *w = r->in[1] + (int64_t)j * k;
            const double *b = bias((double *const *)r->in, r->width, j);
            double sum = b ? *b : 0;
            for (int i = 0; i < k; i++) sum += w[i] * x[i];
            r->out[t * n + j] = sum;
        }
}

static void backward(pha__op_reference *r)
{
    int n = r->rows[1], k = r->width[1];
    for (int64_t t = 0; t < (int64_t)r->B * r->T; t++)
        for (int j = 0; j < n; j++) {
            const double *x = r->in[0] + t * k, *w = r->in[1] + (int64_t)j * k, dy = r->d_out[t * n + j];
            double *db = bias(r->d_in, r->width, j);
            if (db) *db += dy;
            for (int i = 0; i < k; i++) {
                if (r->d_in[0]) r->d_in[0][t * k + i] += dy * w[i];
                if (r->d_in[1]) r->d_in[1][(int64_t)j * k + i] += dy * x[i];
            }
        }
}

static void zero(float *x, int rows, int width, pha__random *r)
{
    (void)r;
    for (int64_t i = 0; i < (int64_t)rows * width; i++) x[i] = 0;
}

/* name, B, T, outputs, inputs */
#define CASE(name_, b, t, n, k) .name = name_, .B = b, .T = t, .in = {{0, k, 1}, {n, k, 1}}
#define BIASED(name_, b, t, n, k) .name = name_, .B = b, .T = t, .in = {{0, k, 1}, {n, k, 1}, {1, n, 1}}
#define LIMIT {2e-6, 2e-5, 6e-3, 4e-2}

static const pha__op_case cases[] = {
    {CASE("differences", 2, 3, 5, 4), .differences = true},
    {CASE("1 x 1 x 1", 1, 1, 1, 1), .differences = true},
    {CASE("one token", 1, 1, 60, 76)},
    {CASE("two tokens", 1, 2, 97, 480)},
    {CASE("three sequences of one", 3, 1, 608, 61)},
    {CASE("eight rows, pieces of 16 bytes", 2, 4, 9, 264)},
    {CASE("seven rows, pieces", 7, 1, 40, 1032)},
    {CASE("four rows", 4, 1, 33, 40)},
    {CASE("15", 5, 3, 33, 17)},
    {CASE("16", 1, 16, 48, 64)},
    {CASE("17", 1, 17, 49, 65)},
    {CASE("63", 1, 63, 76, 60)},
    {CASE("65", 3, 65, 100, 77)},
    {CASE("several blocks", 1, 600, 300, 60), .big = true},
    {CASE("768", 3, 2, 768, 768), .big = true},
    {CASE("608", 1, 100, 608, 608), .big = true},
    {CASE("long sums", 1, 1000, 64, 60), .big = true},
    {CASE("many outputs", 1, 20, 1500, 60), .big = true},
    {CASE("many inputs", 1, 40, 60, 3072), .big = true},
    {BIASED("bias", 2, 3, 5, 4), .differences = true},
    {BIASED("bias, one token", 1, 1, 600, 76)},
    {BIASED("bias, pieces", 1, 1, 61, 64)},
    {BIASED("bias, 65", 3, 65, 100, 77)},
    {BIASED("bias, many inputs", 1, 40, 60, 3072), .big = true},
    {BIASED("bias, many outputs", 1, 600, 1500, 60), .big = true},
    {.name = "three biases", .B = 2, .T = 3, .in = {{0, 6, 1}, {12, 6, 1}, {1, 5, 1}, {1, 3, 1}, {1, 4, 1}},
     .differences = true},
    {.name = "three wide biases", .B = 3, .T = 65,
     .in = {{0, 33, 1}, {600, 33, 1}, {1, 300, 1}, {1, 17, 1}, {1, 283, 1}}},
    {.name = "zeros", .B = 1, .T = 9, .in = {{0, 20, 1, .fill = zero}, {30, 20, 1}},
     .grad = {LIMIT, {2e-6, 2e-5, 6e-3, 4e-2, .floor = 1e-3}}, .out = {2e-6, 2e-5, 6e-3, 4e-2, .floor = 1e-3}},
};

const pha__op_test pha__test_matmul = {
    .op = &pha__op_matmul,
    .forward = forward,
    .backward = backward,
    .out = LIMIT,
    .grad = {LIMIT, LIMIT, LIMIT, LIMIT, LIMIT},
    PHA__CASES(cases),
    .apart_on_card = true, /* few rows have a kernel of their own, others the library's */
};
