/* elu1_test.c -- out = x + 1 (x > 0), e^x (x <= 0) */
#include <math.h>

#include "ops/elu1/elu1.h"
#include "ops/harness.h"

static void forward(pha__op_reference *r)
{
    for (int64_t k = 0; k < (int64_t)r->B * r->T * r->out_width; k++) {
        double x = r->in[0][k];
        r->out[k] = x > 0 ? x + 1 : exp(x);
    }
}

static void backward(pha__op_reference *r)
{
    for (int64_t k = 0; k < (int64_t)r->B * r->T * r->out_width; k++) {
        double x = r->in[0][k];
        r->d_in[0][k] += r->d_out[k] * (x > 0 ? 1 : exp(x));
    }
}

static void extremes(float *x, int rows, int width, pha__random *r)
{
    static const float special[] = {0, 30, -30, -200, 88, -87, 1e-8f, -1e-8f};
    for (int64_t k = 0; k < (int64_t)rows * width; k++) x[k] = k % 3 ? pha__random_normal(r) : special[k / 3 % 8];
}

#define X(w, s) {{.width = (w), .scale = (s)}}

static const pha__op_case cases[] = {
    {.name = "small", .B = 2, .T = 3, .in = X(5, 1), .differences = true},
    {.name = "one", .B = 1, .T = 1, .in = X(1, 1)},
    {.name = "T 2, 768", .B = 3, .T = 2, .in = X(768, 1)},
    {.name = "odd", .B = 3, .T = 65, .in = X(61, 3)},
    {.name = "extreme", .B = 1, .T = 63, .in = {{.width = 76, .fill = extremes}}},
    {.name = "long", .B = 1, .T = 1000, .in = X(1216, 1), .big = true},
};

const pha__op_test pha__test_elu1 = {
    .op = &pha__op_elu1,
    .forward = forward,
    .backward = backward,
    .out = PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2),
    .grad = {PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2)},
    PHA__CASES(cases),
};
