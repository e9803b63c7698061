/* scan_complex.c -- the row of the op; see scan_complex.h */
#include "ops/scan_complex/scan_complex.h"

static pha_status shape(pha__shape *s)
{
    int32_t pairs = s->in[0].width;
    if (s->in[1].width != 2 * (int64_t)pairs)
        FAIL(BAD_INPUT, "scan_complex: a gate of width %d and an input of %d, not twice that", pairs, s->in[1].width);
    for (int i = 2; i < s->n_in; i++) {
        if (s->in[i].present && s->in[i].width != pairs)
            FAIL(BAD_INPUT, "scan_complex: input %d has width %d, the gate %d", i, s->in[i].width, pairs);
    }
    s->width = s->in[1].width;
    return PHA_OK;
}

static int64_t saved(const pha__shape *s) { return (int64_t)s->B * s->in[1].width; }

static pha__state_layout state(const pha__shape *s, int64_t max_context)
{
    (void)max_context;
    return (pha__state_layout){.fixed = (size_t)s->in[1].width * sizeof(float)};
}

/* A pair: 8 for h, 5 for the gate; backward besides the products of the gradients of a. */
static double flops(const pha__shape *s, pha__pass pass, int64_t context)
{
    (void)context;
    return (pass == PHA__FORWARD ? 15.0 : 36.0) * s->B * s->T * s->in[0].width;
}

const pha__op pha__op_scan_complex = {
    .name = "scan_complex",
    .equation = "h_t = g_t (a h_(t-1) + c u_t), g = sigmoid(z + bias), a = exp(-exp(theta) + i omega)    (pha.md 10)",
    .min_in = 4,
    .max_in = 6,
    .params = PHA__IN(2) | PHA__IN(3) | PHA__IN(4) | PHA__IN(5),
    .keep_in = PHA__IN(0) | PHA__IN(2) | PHA__IN(3) | PHA__IN(4) | PHA__IN(5),
    .keep_out = true,
    .shape = shape,
    .saved = saved,
    .state = state,
    .carries = true,
    .flops = flops,
    .state_class = PHA__STATE_RECURRENT,
};
