/* rope_table_test.c -- the table against its equation, far positions included */
#include <math.h>

#include "ops/harness.h"
#include "ops/rope_table/rope_table.h"

static void angles(double *out, double position, const pha__rope_table_attr *c)
{
    for (int j = 0; j < c->head_width / 2; j++) {
        double angle = position * pow(c->theta, -2.0 * j / c->head_width);
        out[j] = cos(angle), out[c->head_width / 2 + j] = sin(angle);
    }
}

static void forward(pha__op_reference *r)
{
    for (int64_t i = 0; i < (int64_t)r->B * r->T; i++) angles(r->out + i * r->out_width, (double)(i % r->T), r->attr);
}

#define ATTR(dh, theta) &(const pha__rope_table_attr){dh, theta}

static const pha__op_case cases[] = {
    {.name = "one token", .B = 3, .T = 1, .attr = ATTR(60, 10000)},
    {.name = "two tokens", .B = 1, .T = 2, .attr = ATTR(96, 10000)},
    {.name = "width 2", .B = 1, .T = 5, .attr = ATTR(2, 10000)},
    {.name = "65", .B = 2, .T = 65, .attr = ATTR(76, 10000)},
    {.name = "17000", .B = 1, .T = 17000, .attr = ATTR(16, 500000), .big = true},
};

/* A session far on: the angle of position 1,000,000 + t to one rounding. */
static void extra(const pha__kernel *kernel)
{
    const pha__rope_table_attr c = {76, 10000};
    int64_t slot[8] = {1000000};
    char *state[1] = {(char *)slot};
    float out[3 * 76];
    double ref[76];
    pha__args a = {.B = 1, .T = 3, .attr = &c, .state = state, .max_context = 2000000};
    a.out = (pha__view){out, 76, 0, 76, PHA__F32};
    pha__run_kernel(kernel, &a, NULL, PHA__FORWARD, PHA__ONE_BY_ONE);
    for (int t = 0; t < 3; t++) {
        angles(ref, 1000000 + t, &c);
        for (int j = 0; j < 76; j++)
            pha__check(fabs(out[t * 76 + j] - ref[j]) < 1e-7, "position %d, column %d: %g, not %g", 1000000 + t, j,
                       out[t * 76 + j], ref[j]);
    }
    pha__check(slot[0] == 1000003, "the position after three tokens is %lld", (long long)slot[0]);
}

const pha__op_test pha__test_rope_table = {
    .op = &pha__op_rope_table,
    .forward = forward,
    .out = PHA__LIMITS(1e-6, 1e-5, 1e-6, 1e-5),
    PHA__CASES(cases),
    .extra = extra,
};
