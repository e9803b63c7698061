/* rope_table.c -- the row of rope_table */
#include "ops/rope_table/rope_table.h"

#include <string.h>

static pha_status shape(pha__shape *s)
{
    const pha__rope_table_attr *c = s->attr;
    if (c->head_width < 2 || c->head_width % 2 != 0)
        FAIL(BAD_INPUT, "rotary position needs an even head width, not %d", (int)c->head_width);
    if (!(c->theta > 0)) FAIL(BAD_INPUT, "the base of rotary position must be positive, not %g", c->theta);
    s->width = c->head_width;
    return PHA_OK;
}

static pha__state_layout state(const pha__shape *s, int64_t max_context)
{
    (void)s, (void)max_context;
    return (pha__state_layout){.fixed = sizeof(int64_t)};
}

static double flops(const pha__shape *s, pha__pass pass, int64_t context)
{
    (void)context;
    return pass == PHA__FORWARD ? 2.0 * s->B * s->T * ((const pha__rope_table_attr *)s->attr)->head_width : 0;
}

static int64_t position(const void *state)
{
    int64_t count;
    memcpy(&count, state, sizeof count);
    return count;
}

const pha__op pha__op_rope_table = {
    .name = "rope_table",
    .equation = "out_t = [cos t f_j | sin t f_j], f_j = theta^(-2j/dh) (pha.md 2.2)",
    .out_f32 = true,
    .no_grad = true,
    .shape = shape,
    .state = state,
    .flops = flops,
    .position = position,
};
