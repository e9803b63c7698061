/* shift.c -- the row of the op; see shift.h */
#include "ops/shift/shift.h"

static pha_status shape(pha__shape *s)
{
    int32_t channels = s->in[0].width, taps = s->in[1].width;
    if (taps < PHA__SHIFT_MIN || taps > PHA__SHIFT_MAX)
        FAIL(BAD_INPUT, "shift: %d places; there are %d to %d", taps, PHA__SHIFT_MIN, PHA__SHIFT_MAX);
    for (int i = 1; i <= 2; i++) {
        if (s->in[i].rows != channels || s->in[i].width != taps)
            FAIL(BAD_INPUT, "shift: b or c is (%d, %d); there are %d channels with %d places", s->in[i].rows,
                 s->in[i].width, channels, taps);
    }
    if (s->in[3].width != channels)
        FAIL(BAD_INPUT, "shift: d has width %d, the input %d", s->in[3].width, channels);
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

const pha__op pha__op_shift = {
    .name = "shift",
    .equation = "v_t = sum_j k_j u_(t-j) + d u_t, k_j = sum_i b_i c_(i+j), per channel    (baselines.md 6)",
    .min_in = 4,
    .max_in = 4,
    .params = PHA__IN(1) | PHA__IN(2) | PHA__IN(3),
    .keep_in = PHA__IN(0) | PHA__IN(1) | PHA__IN(2) | PHA__IN(3),
    .shape = shape,
    .saved = saved,
    .state = state,
    .state_class = PHA__STATE_RECURRENT,
    .flops = flops,
};
