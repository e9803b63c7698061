/* scan.c -- the row of the op; see scan.h */
#include "ops/scan/scan.h"

static pha_status shape(pha__shape *s)
{
    int32_t width = s->in[0].width;
    if (s->in[1].width != width) FAIL(BAD_INPUT, "scan: gate has width %d, input %d", width, s->in[1].width);
    for (int i = 2; i < s->n_in; i++) {
        if (s->in[i].present && s->in[i].width != width)
            FAIL(BAD_INPUT, "scan: input %d has width %d, the state %d", i, s->in[i].width, width);
    }
    s->width = width;
    return PHA_OK;
}

static int64_t saved(const pha__shape *s)
{
    int64_t first = (int64_t)s->B * s->in[0].width, h = s->in[5].present ? first * s->T : 0;
    return first + (s->dtype == PHA__BF16 ? (h + 1) / 2 : h);
}

static pha__state_layout state(const pha__shape *s, int64_t max_context)
{
    (void)max_context;
    return (pha__state_layout){.fixed = (size_t)s->in[0].width * sizeof(float)};
}

static double flops(const pha__shape *s, pha__pass pass, int64_t context)
{
    (void)context;
    double filter = s->in[5].present ? pass == PHA__FORWARD ? 5 : 10 : 0; /* as those of silu_mul */
    return ((pass == PHA__FORWARD ? 8 : 16) + filter) * s->B * s->T * s->width;
}

const pha__op pha__op_scan = {
    .name = "scan",
    .equation = "h_t = g_t (a h_(t-1) + c u_t), g = sigmoid(z + bias), a = exp(-exp(theta)); out = h or SiLU(f) h    "
                "(pha.md 2.3)",
    .min_in = 3,
    .max_in = 6,
    .params = PHA__IN(2) | PHA__IN(3) | PHA__IN(4),
    .keep_in = PHA__IN(0) | PHA__IN(2) | PHA__IN(3) | PHA__IN(4),
    .keep_out = true,
    .fused = {.in = 5, .keep_in = PHA__IN(0) | PHA__IN(2) | PHA__IN(3) | PHA__IN(4) | PHA__IN(5)},
    .shape = shape,
    .saved = saved,
    .state = state,
    .carries = true,
    .flops = flops,
    .state_class = PHA__STATE_RECURRENT,
};
