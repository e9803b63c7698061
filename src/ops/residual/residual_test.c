/* residual_test.c -- out = alpha a + beta mask b, or the norm of that */
#include "ops/harness.h"
#include "ops/residual/residual.h"

enum { A, B, NORM };

static double mask(const pha__op_reference *r, int64_t row, int column)
{
    const pha__residual_attr *attr = r->attr;
    return pha__mask_of(r, attr->dropout, attr->site, row, column);
}

static void sum_row(const pha__op_reference *r, int64_t row, double *out)
{
    const pha__residual_attr *attr = r->attr;
    for (int i = 0; i < r->out_width; i++) {
        int64_t k = row * r->out_width + i;
        double base = r->in[A] ? attr->alpha * r->in[A][k] : 0;
        out[i] = base + attr->beta * mask(r, row, i) * r->in[B][k];
    }
}

static void forward(pha__op_reference *r)
{
    const pha__residual_attr *attr = r->attr;
    for (int64_t row = 0; row < r->B * r->T; row++) {
        double *out = r->out + row * r->out_width;
        sum_row(r, row, out);
        if (r->in[NORM]) pha__norm_of(out, r->in[NORM], r->out_width, attr->norm_eps);
    }
}

static void backward(pha__op_reference *r)
{
    const pha__residual_attr *attr = r->attr;
    for (int64_t row = 0; row < r->B * r->T; row++) {
        double d[1024], sum[1024];
        for (int i = 0; i < r->out_width; i++) d[i] = r->d_out[row * r->out_width + i];
        sum_row(r, row, sum);
        if (r->in[NORM]) pha__norm_gradient(d, sum, r->in[NORM], r->d_in[NORM], r->out_width, attr->norm_eps);
        for (int i = 0; i < r->out_width; i++) {
            int64_t k = row * r->out_width + i;
            if (r->d_in[A]) r->d_in[A][k] += attr->alpha * d[i];
            r->d_in[B][k] += attr->beta * mask(r, row, i) * d[i];
        }
    }
}

/* Every third row is zero: the norm has nothing but eps to divide by. */
static void zero_rows(float *x, int rows, int width, pha__random *r)
{
    for (int64_t k = 0; k < (int64_t)rows * width; k++) x[k] = k / width % 3 ? pha__random_normal(r) : 0;
}

static const pha__residual_attr plain = {.alpha = 1, .beta = 1, .norm_eps = 1e-6f},
                                deep = {.alpha = 2.2f, .beta = 1, .dropout = 0.1f, .site = 9, .norm_eps = 1e-6f},
                                inverse = {.alpha = 1, .beta = 0.45f, .dropout = 0.7f, .site = 3, .norm_eps = 0.1f};

#define V(D) {.width = (D), .scale = 1}
#define G(D) {.rows = 1, .width = (D), .scale = 0.3f, .shift = 1}
#define VALUE PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2)
#define NORMED .out = VALUE /* the norm is rounded, the sum is not */

static const pha__op_case cases[] = {
    {.name = "small",
     .B = 2,
     .T = 3,
     .attr = &deep,
     .in = {{.width = 7, .scale = 1}, {.width = 7, .scale = 1}},
     .dropout = true,
     .differences = true},
    {.name = "plain", .B = 3, .T = 65, .attr = &plain, .in = {{.width = 76, .scale = 1}, {.width = 76, .scale = 1}}},
    {.name = "much dropout",
     .B = 1,
     .T = 64,
     .attr = &inverse,
     .dropout = true,
     .in = {{.width = 130, .scale = 1}, {.width = 130, .scale = 1}}},
    {.name = "no base", .B = 2, .T = 5, .attr = &deep, .in = {{0}, {.width = 37, .scale = 1}}, .dropout = true,
     .differences = true},
    {.name = "dropout off",
     .B = 1,
     .T = 2,
     .attr = &deep,
     .in = {{.width = 60, .scale = 1}, {.width = 60, .scale = 1}}},
    {.name = "one",
     .B = 1,
     .T = 1,
     .attr = &deep,
     .dropout = true,
     .in = {{.width = 1, .scale = 1}, {.width = 1, .scale = 1}}},
    {.name = "fp32 base, D 768",
     .B = 3,
     .T = 2,
     .attr = &deep,
     .dropout = true,
     .in = {{.width = 768, .scale = 1, .f32 = true}, {.width = 768, .scale = 1}}},
    {.name = "long",
     .B = 3,
     .T = 1000,
     .attr = &deep,
     .dropout = true,
     .big = true,
     .in = {{.width = 608, .scale = 1}, {.width = 608, .scale = 1}}},
    {.name = "normed, small", .B = 2, .T = 3, .attr = &deep, .in = {V(7), V(7), G(7)}, .dropout = true,
     .differences = true, NORMED},
    {.name = "normed, no base", .B = 2, .T = 5, .attr = &inverse, .in = {{0}, V(37), G(37)}, .dropout = true,
     .differences = true, NORMED},
    {.name = "normed, one", .B = 1, .T = 1, .attr = &plain, .in = {V(60), V(60), G(60)}, NORMED},
    {.name = "normed, T 65", .B = 3, .T = 65, .attr = &plain, .in = {V(76), V(76), G(76)}, NORMED},
    {.name = "normed, D 257", .B = 1, .T = 64, .attr = &deep, .in = {V(257), V(257), G(257)}, .dropout = true, NORMED},
    {.name = "normed, zero rows", .B = 1, .T = 9, .attr = &plain, NORMED,
     .in = {{.width = 60, .fill = zero_rows}, {.width = 60, .fill = zero_rows}, G(60)}},
    {.name = "normed, fp32 base", .B = 3, .T = 2, .attr = &deep, .dropout = true, NORMED,
     .in = {{.width = 768, .scale = 1, .f32 = true}, V(768), G(768)}},
    {.name = "normed, long", .B = 3, .T = 1000, .attr = &deep, .in = {V(608), V(608), G(608)}, .dropout = true,
     .big = true, NORMED},
};

const pha__op_test pha__test_residual = {
    .op = &pha__op_residual,
    .forward = forward,
    .backward = backward,
    .out = PHA__LIMITS(1e-6, 1e-5, 1e-6, 1e-5), /* fp32 in any storage */
    .grad = {VALUE, VALUE, PHA__LIMITS(1e-5, 1e-4, 1e-2, 1e-1)}, /* [NORM]: a sum over tokens */
    PHA__CASES(cases),
};
