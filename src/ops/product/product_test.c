/* product_test.c -- out = a b */
#include "ops/harness.h"
#include "ops/product/product.h"

static void forward(pha__op_reference *r)
{
    for (int64_t k = 0; k < (int64_t)r->B * r->T * r->out_width; k++) r->out[k] = r->in[0][k] * r->in[1][k];
}

static void backward(pha__op_reference *r)
{
    for (int64_t k = 0; k < (int64_t)r->B * r->T * r->out_width; k++) {
        r->d_in[0][k] += r->d_out[k] * r->in[1][k];
        r->d_in[1][k] += r->d_out[k] * r->in[0][k];
    }
}

static void zeros(float *x, int rows, int width, pha__random *r)
{
    for (int64_t k = 0; k < (int64_t)rows * width; k++) x[k] = k % 2 ? 0 : pha__random_normal(r);
}

#define IN(w) {{.width = (w), .scale = 1}, {.width = (w), .scale = 2}}
/* The largest of a million products: its rounding to bf16 alone is above the usual limit of the largest error. */
#define LONG PHA__LIMITS(1e-6, 1e-5, 6e-3, 6e-2)

static const pha__op_case cases[] = {
    {.name = "small", .B = 2, .T = 3, .in = IN(5), .differences = true},
    {.name = "one", .B = 1, .T = 1, .in = IN(1)},
    {.name = "T 2, 768", .B = 3, .T = 2, .in = IN(768)},
    {.name = "odd", .B = 3, .T = 65, .in = IN(61)},
    {.name = "zeros", .B = 1, .T = 63, .in = {{.width = 76, .fill = zeros}, {.width = 76, .scale = 1}}},
    {.name = "long", .B = 1, .T = 1000, .in = IN(1216), .big = true, .out = LONG, .grad = {LONG, LONG}},
};

const pha__op_test pha__test_product = {
    .op = &pha__op_product,
    .forward = forward,
    .backward = backward,
    .out = PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2),
    .grad = {PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2), PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2)},
    PHA__CASES(cases),
};
