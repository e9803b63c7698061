/* positions_test.c -- out = mask (x + P[t]) */
#include "ops/harness.h"
#include "ops/positions/positions.h"

enum { X, TABLE };

static double mask(const pha__op_reference *r, int64_t row, int column)
{
    const pha__positions_attr *attr = r->attr;
    return pha__mask_of(r, attr->dropout, attr->site, row, column);
}

static void forward(pha__op_reference *r)
{
    int D = r->out_width;
    for (int64_t row = 0; row < r->B * r->T; row++)
        for (int i = 0; i < D; i++)
            r->out[row * D + i] = mask(r, row, i) * (r->in[X][row * D + i] + r->in[TABLE][row % r->T * D + i]);
}

static void backward(pha__op_reference *r)
{
    int D = r->out_width;
    for (int64_t row = 0; row < r->B * r->T; row++)
        for (int i = 0; i < D; i++) {
            double d = mask(r, row, i) * r->d_out[row * D + i];
            r->d_in[X][row * D + i] += d;
            r->d_in[TABLE][row % r->T * D + i] += d;
        }
}

static const pha__positions_attr plain = {0}, drop = {.dropout = 0.1f, .site = 3};

#define IN(D, N) {{.width = (D), .scale = 1}, {.rows = (N), .width = (D), .scale = 1}}

static const pha__op_case cases[] = {
    {.name = "small", .B = 2, .T = 3, .attr = &drop, .in = IN(6, 50), .dropout = true, .differences = true},
    {.name = "one", .B = 1, .T = 1, .attr = &plain, .in = IN(60, 64)},
    {.name = "as many as there are", .B = 3, .T = 65, .attr = &drop, .in = IN(76, 65), .dropout = true},
    {.name = "T 63", .B = 1, .T = 63, .attr = &plain, .in = IN(100, 200)},
    {.name = "T 2, D 768", .B = 3, .T = 2, .attr = &drop, .in = IN(768, 64), .dropout = true},
    {.name = "long", .B = 3, .T = 1000, .attr = &drop, .in = IN(130, 1024), .dropout = true, .big = true},
};

/* Beyond the table there is nothing: such a program is refused, and so is one whose sessions could get there. */
static void extra(const pha__kernel *kernel)
{
    (void)kernel;
    pha__shape s = {.B = 1, .T = 9, .n_in = 2, .attr = &plain};
    s.in[X].width = s.in[TABLE].width = 4, s.in[TABLE].rows = 8;
    pha__check(pha__op_positions.shape(&s) == PHA_BAD_INPUT, "9 tokens on 8 positions");
    int64_t longest = pha__op_positions.longest(&s);
    pha__check(longest == 8, "the longest text is %lld", (long long)longest);
    s.T = 8;
    pha__check(pha__op_positions.shape(&s) == PHA_OK, "8 tokens on 8 positions: %s", pha_errmsg());
}

const pha__op_test pha__test_positions = {
    .op = &pha__op_positions,
    .forward = forward,
    .backward = backward,
    .out = PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2),
    .grad = {PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2), PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2)},
    PHA__CASES(cases),
    .extra = extra,
};
