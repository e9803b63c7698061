/* mix.c -- the row of the op; see mix.h */
#include "ops/mix/mix.h"

static pha_status shape(pha__shape *s)
{
    const pha__mix_attr *attr = s->attr;
    int32_t D = s->in[0].width;
    if (attr->n < 1 || attr->n > PHA__MIX_MAX)
        FAIL(BAD_INPUT, "mix: %d branches, 1 to %d are possible", attr->n, PHA__MIX_MAX);
    if (s->in[1].present && s->in[1].width != attr->n)
        FAIL(BAD_INPUT, "mix: %d weights for %d branches", s->in[1].width, attr->n);
    if (s->in[2].present != s->in[3].present || (s->in[2].present && !s->in[1].present))
        FAIL(BAD_INPUT, "mix: dynamic weights need p, M and u");
    if (s->in[2].present && (s->in[2].rows != attr->n || s->in[2].width != D || s->in[3].width != D))
        FAIL(BAD_INPUT, "mix: M is %d x %d and u has width %d, expected %d x %d and %d", s->in[2].rows, s->in[2].width,
             s->in[3].width, attr->n, D, D);
    if (s->in[12].present && s->in[12].width != D)
        FAIL(BAD_INPUT, "mix: the gain of the norm has width %d, expected %d", s->in[12].width, D);
    for (int k = 0; k < attr->n; k++) {
        if (s->in[4 + k].width != D)
            FAIL(BAD_INPUT, "mix: branch %d has width %d, the base %d", k, s->in[4 + k].width, D);
        if (s->in[8 + k].present && s->in[8 + k].width != D)
            FAIL(BAD_INPUT, "mix: gain %d has width %d, expected %d", k, s->in[8 + k].width, D);
    }
    s->width = D;
    return PHA_OK;
}

static double flops(const pha__shape *s, pha__pass pass, int64_t context)
{
    (void)context;
    const pha__mix_attr *attr = s->attr;
    double per_branch = (s->in[2].present ? 2 : 0) + 5;
    double norm = s->in[12].present ? pass == PHA__FORWARD ? 4 : 9 : 0; /* as those of rmsnorm */
    return ((pass == PHA__FORWARD ? 1 : 2) * (attr->n * per_branch + 3) + norm) * s->B * s->T * s->width;
}

const pha__op pha__op_mix = {
    .name = "mix",
    .equation = "out = alpha base + beta drop(sum_k w_k RMSNorm_k(z_k)), w = softplus(p) / sum, or RMSNorm of that    "
                "(pha.md 2, 2.1)",
    .min_in = 5,
    .max_in = 13,
    .params = PHA__IN(1) | PHA__IN(2) | PHA__IN(8) | PHA__IN(9) | PHA__IN(10) | PHA__IN(11) |
              PHA__IN(12),
    .keep_in = 0xfff & ~PHA__IN(0),
    .out_f32 = true, /* the sum is rounded once, after its norm (numerics.md 3) */
    .fused = {.in = 12, .keep_in = 0x1fff},
    .shape = shape,
    .flops = flops,
};
