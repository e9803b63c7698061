/* conv.c -- the row of the op; see conv.h */
#include "ops/conv/conv.h"

static pha_status shape(pha__shape *s)
{
    int32_t channels = s->in[0].width, taps = s->in[1].width;
    if (s->in[1].rows != channels)
        FAIL(BAD_INPUT, "conv: taps of %d channels, the input has %d", s->in[1].rows, channels);
    if (taps < PHA__CONV_MIN || taps > PHA__CONV_MAX)
        FAIL(BAD_INPUT, "conv: %d taps; there are %d to %d", taps, PHA__CONV_MIN, PHA__CONV_MAX);
    s->width = channels;
    return PHA_OK;
}

static int64_t carried(const pha__shape *s) { return (int64_t)(s->in[1].width - 1) * s->in[0].width; }

static int64_t saved(const pha__shape *s) { return s->B * carried(s); }

static pha__state_layout state(const pha__shape *s, int64_t max_context)
{
    (void)max_context;
    return (pha__state_layout){.fixed = (size_t)carried(s) * sizeof(float)};
}

static double flops(const pha__shape *s, pha__pass pass, int64_t context)
{
    (void)context;
    return (pass == PHA__FORWARD ? 2.0 : 4.0) * s->in[1].width * s->B * s->T * s->width;
}

const pha__op pha__op_conv = {
    .name = "conv",
    .equation = "v_t = sum_j k_j u_(t-j), per channel    (pha.md 8, A7)",
    .min_in = 2,
    .max_in = 2,
    .params = PHA__IN(1),
    .keep_in = PHA__IN(0) | PHA__IN(1),
    .shape = shape,
    .saved = saved,
    .state = state,
    .carries = true,
    .state_class = PHA__STATE_RECURRENT,
    .flops = flops,
};
