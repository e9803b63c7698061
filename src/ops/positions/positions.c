/* positions.c -- the row of the op; see positions.h */
#include "ops/positions/positions.h"

#include <string.h>

static pha_status shape(pha__shape *s)
{
    if (s->in[1].width != s->in[0].width)
        FAIL(BAD_INPUT, "positions: the table has width %d, the input %d", s->in[1].width, s->in[0].width);
    if (s->T > s->in[1].rows)
        FAIL(BAD_INPUT, "the model has %d learned positions, fewer than a length of %d tokens (nearest: %d)",
             s->in[1].rows, s->T, s->in[1].rows);
    s->width = s->in[0].width;
    return PHA_OK;
}

static pha__state_layout state(const pha__shape *s, int64_t max_context)
{
    (void)s, (void)max_context;
    return (pha__state_layout){.fixed = sizeof(int64_t)};
}

static double flops(const pha__shape *s, pha__pass pass, int64_t context)
{
    (void)pass, (void)context;
    return 2.0 * s->B * s->T * s->width;
}

static int64_t position(const void *state)
{
    int64_t count;
    memcpy(&count, state, sizeof count);
    return count;
}

static int64_t longest(const pha__shape *s) { return s->in[1].rows; }

const pha__op pha__op_positions = {
    .name = "positions",
    .equation = "out_t = drop(x_t + P[t])    (baselines.md 1)",
    .min_in = 2,
    .max_in = 2,
    .params = PHA__IN(1),
    .shape = shape,
    .state = state,
    .flops = flops,
    .gathers = true,
    .position = position,
    .longest = longest,
};
