/* embed.c -- the row of the op; see embed.h */
#include "ops/embed/embed.h"

static pha_status shape(pha__shape *s)
{
    if (!s->in[0].param) FAIL(BAD_INPUT, "embed: the table must be a parameter (V, D)");
    s->width = s->in[0].width;
    return PHA_OK;
}

/* The rows of the table that a lane has tokens of, and which those are. */
static int64_t sums(const pha__shape *s, bool shared)
{
    return shared ? (int64_t)s->in[0].rows * (s->in[0].width + 1) : 0;
}

static double flops(const pha__shape *s, pha__pass pass, int64_t context)
{
    (void)pass, (void)context;
    return 2.0 * s->B * s->T * s->width;
}

const pha__op pha__op_embed = {
    .name = "embed",
    .equation = "x_t = drop(scale E[c_t])    (pha.md 2)",
    .min_in = 1,
    .max_in = 1,
    .params = PHA__IN(0),
    .shape = shape,
    .sums = sums,
    .flops = flops,
    .gathers = true,
};
