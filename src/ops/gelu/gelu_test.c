/* gelu_test.c -- out = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
#include <math.h>

#include "ops/gelu/gelu.h"
#include "ops/harness.h"

static double inner(double x) { return sqrt(2 / M_PI) * (x + 0.044715 * x * x * x); }

static void forward(pha__op_reference *r)
{
    for (int64_t k = 0; k < (int64_t)r->B * r->T * r->out_width; k++)
        r->out[k] = r->in[0][k] / 2 * (1 + tanh(inner(r->in[0][k])));
}

static void backward(pha__op_reference *r)
{
    for (int64_t k = 0; k < (int64_t)r->B * r->T * r->out_width; k++) {
        double x = r->in[0][k], t = tanh(inner(x)), slope = sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x);
        r->d_in[0][k] += r->d_out[k] * ((1 + t) / 2 + x / 2 * (1 - t * t) * slope);
    }
}

/* 0, where the function turns and where it is flat, numbers whose cube overflows, and ordinary ones */
static void extremes(float *x, int rows, int width, pha__random *r)
{
    static const float special[] = {0, -0.7518f, 5, -5, 30, -30, 1e4f, -1e4f, 1e15f, -1e15f, 1e-20f};
    for (int64_t k = 0; k < (int64_t)rows * width; k++) x[k] = k % 3 ? pha__random_normal(r) : special[k / 3 % 11];
}
static void turning(float *x, int rows, int width, pha__random *r)
{
    for (int64_t k = 0; k < (int64_t)rows * width; k++) x[k] = -0.7518f + 0.5f * pha__random_normal(r);
}

#define X(w, s) {{.width = (w), .scale = (s)}}

static const pha__op_case cases[] = {
    {.name = "small", .B = 2, .T = 3, .in = X(5, 2), .differences = true},
    {.name = "one", .B = 1, .T = 1, .in = X(1, 1)},
    {.name = "T 2, 768", .B = 3, .T = 2, .in = X(768, 1)},
    {.name = "odd", .B = 3, .T = 65, .in = X(61, 3)},
    {.name = "turning", .B = 1, .T = 64, .in = {{.width = 60, .fill = turning}}},
    /* the largest numbers set the rms of the output: the others are held to their own by the cases above */
    {.name = "extreme", .B = 1, .T = 63, .in = {{.width = 76, .fill = extremes}}},
    {.name = "long", .B = 1, .T = 1000, .in = X(1216, 1), .big = true, .out = PHA__LIMITS(1e-6, 1e-5, 6e-3, 6e-2),
     .grad = {PHA__LIMITS(1e-6, 1e-5, 6e-3, 6e-2)}},
};

/* Far out the function is x or 0 and its slope 1 or 0, without NaN. */
static void extra(const pha__kernel *kernel)
{
    enum { N = 8 };
    float x[N] = {1e15f, -1e15f, 40, -40, 3e38f, -3e38f, 9, -9}, d[N], dx[N], out[N];
    for (int i = 0; i < N; i++) d[i] = 1;
    pha__args a = {.B = 1, .T = 1, .n_in = 1};
    a.in[0] = (pha__view){x, N, 0, N, PHA__F32}, a.out = (pha__view){out, N, 0, N, PHA__F32};
    pha__run_kernel(kernel, &a, NULL, PHA__FORWARD, PHA__ONE_BY_ONE);
    a.d_out = (pha__view){d, N, 0, N, PHA__F32}, a.d_in[0] = (pha__view){dx, N, 0, N, PHA__F32};
    pha__run_kernel(kernel, &a, NULL, PHA__BACKWARD, PHA__ONE_BY_ONE);
    for (int i = 0; i < N; i++) {
        pha__check(fabs((double)out[i] - (x[i] > 0 ? x[i] : 0)) <= 1e-6 * fabs((double)x[i]), "gelu(%g) is %g", x[i],
                   out[i]);
        pha__check(fabs((double)dx[i] - (x[i] > 0)) <= 1e-6, "the slope of gelu at %g is %g", x[i], dx[i]);
    }
}

const pha__op_test pha__test_gelu = {
    .op = &pha__op_gelu,
    .forward = forward,
    .backward = backward,
    .out = PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2),
    .grad = {PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2)},
    PHA__CASES(cases),
    .extra = extra,
};
