/* embed_test.c -- x_t = mask scale E[c_t] */
#include "ops/harness.h"
#include "ops/embed/embed.h"

static double mask(const pha__op_reference *r, int64_t row, int column)
{
    const pha__embed_attr *attr = r->attr;
    return pha__mask_of(r, attr->dropout, attr->site, row, column);
}

static void forward(pha__op_reference *r)
{
    const pha__embed_attr *attr = r->attr;
    int D = r->out_width;
    for (int64_t row = 0; row < r->B * r->T; row++) {
        const double *e = r->in[0] + (int64_t)r->run->tokens[row] * D;
        for (int i = 0; i < D; i++) r->out[row * D + i] = mask(r, row, i) * attr->scale * e[i];
    }
}

static void backward(pha__op_reference *r)
{
    const pha__embed_attr *attr = r->attr;
    int D = r->out_width;
    for (int64_t row = 0; row < r->B * r->T; row++) {
        double *e = r->d_in[0] + (int64_t)r->run->tokens[row] * D;
        for (int i = 0; i < D; i++) e[i] += mask(r, row, i) * attr->scale * r->d_out[row * D + i];
    }
}

static const pha__embed_attr plain = {.scale = 8}, drop = {.scale = 24.66f, .dropout = 0.1f, .site = 1};

#define E(V, D) {.rows = (V), .width = (D), .scale = 0.02f}

static const pha__op_case cases[] = {
    {.name = "small", .B = 2, .T = 7, .attr = &drop, .in = {E(9, 6)}, .vocabulary = 9, .dropout = true,
     .differences = true},
    {.name = "one", .B = 1, .T = 1, .attr = &plain, .in = {E(3, 60)}, .vocabulary = 3},
    /* one row of 300 has a gradient, so the rms is 17 times smaller than that row's: so is the limit of Emax larger */
    {.name = "identical tokens", .B = 2, .T = 65, .attr = &plain, .in = {E(300, 76)}, .vocabulary = 300, .distinct = 1,
     .grad = {PHA__LIMITS(1e-6, 1.7e-4, 6e-3, 4e-1)}},
    {.name = "T 2, D 768", .B = 3, .T = 2, .attr = &drop, .in = {E(50, 768)}, .vocabulary = 50, .dropout = true,
     .grad = {PHA__LIMITS(1e-6, 5e-5, 6e-3, 1.2e-1)}},
    {.name = "few tokens", .B = 3, .T = 63, .attr = &drop, .in = {E(1000, 64)}, .vocabulary = 1000, .distinct = 5,
     .dropout = true},
    {.name = "long", .B = 3, .T = 1000, .attr = &drop, .in = {E(2000, 130)}, .vocabulary = 2000, .dropout = true,
     .big = true},
};

const pha__op_test pha__test_embed = {
    .op = &pha__op_embed,
    .forward = forward,
    .backward = backward,
    .out = PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2),
    .grad = {PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2)},
    PHA__CASES(cases),
};
