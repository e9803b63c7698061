/* embed_test.c -- x_t = mask scale E[c_t] */
#include "base/rng.h"
#include "ops/harness.h"
#include "ops/embed/embed.h"

static double mask(const pha__op_reference *r, int64_t row, int column)
{
    const pha__embed_attr *attr = r->attr;
    if (!r->run->dropout || attr->dropout == 0) return 1;
    uint64_t index = (uint64_t)(r->run->row0 + row) * (uint64_t)((r->out_width + 3) / 4) + (uint64_t)column / 4;
    uint32_t counter[4] = {(uint32_t)index, (uint32_t)r->run->step, attr->site, PHA__STREAM_DROPOUT}, word[4];
    pha__philox(r->run->seed, counter, word);
    return pha__uniform(word[column % 4]) >= attr->dropout ? 1 / (1 - (double)attr->dropout) : 0;
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
