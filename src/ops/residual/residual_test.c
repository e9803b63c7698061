/* residual_test.c -- out = alpha a + beta mask b */
#include "ops/harness.h"
#include "ops/residual/residual.h"

static double mask(const pha__op_reference *r, int64_t row, int column)
{
    const pha__residual_attr *attr = r->attr;
    return pha__mask_of(r, attr->dropout, attr->site, row, column);
}

static void forward(pha__op_reference *r)
{
    const pha__residual_attr *attr = r->attr;
    for (int64_t row = 0; row < r->B * r->T; row++) {
        for (int i = 0; i < r->out_width; i++) {
            int64_t k = row * r->out_width + i;
            double base = r->in[0] ? attr->alpha * r->in[0][k] : 0;
            r->out[k] = base + attr->beta * mask(r, row, i) * r->in[1][k];
        }
    }
}

static void backward(pha__op_reference *r)
{
    const pha__residual_attr *attr = r->attr;
    for (int64_t row = 0; row < r->B * r->T; row++) {
        for (int i = 0; i < r->out_width; i++) {
            int64_t k = row * r->out_width + i;
            if (r->d_in[0]) r->d_in[0][k] += attr->alpha * r->d_out[k];
            r->d_in[1][k] += attr->beta * mask(r, row, i) * r->d_out[k];
        }
    }
}

static const pha__residual_attr plain = {.alpha = 1, .beta = 1},
                                deep = {.alpha = 2.2f, .beta = 1, .dropout = 0.1f, .site = 9},
                                inverse = {.alpha = 1, .beta = 0.45f, .dropout = 0.7f, .site = 3};

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
};

const pha__op_test pha__test_residual = {
    .op = &pha__op_residual,
    .forward = forward,
    .backward = backward,
    .out = PHA__LIMITS(1e-6, 1e-5, 1e-6, 1e-5), /* fp32 in any storage */
    .grad = {PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2), PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2)},
    PHA__CASES(cases),
};
