/* mix.c -- the row of the op; see mix.h */
#include "ops/mix/mix.h"

enum {
    P = PHA__MIX_P,
    M = PHA__MIX_M,
    U = PHA__MIX_U,
    BRANCH = PHA__MIX_BRANCH,
    GAIN = PHA__MIX_GAIN,
    NORM = PHA__MIX_NORM
};

static pha_status shape(pha__shape *s)
{
    const pha__mix_attr *attr = s->attr;
    int32_t D = s->in[PHA__MIX_BASE].width;
    if (attr->n < 1 || attr->n > PHA__MIX_MAX)
        FAIL(BAD_INPUT, "mix: %d branches, 1 to %d are possible", attr->n, PHA__MIX_MAX);
    if (s->in[P].present && s->in[P].width != attr->n)
        FAIL(BAD_INPUT, "mix: %d weights for %d branches", s->in[P].width, attr->n);
    if (s->in[M].present != s->in[U].present || (s->in[M].present && !s->in[P].present))
        FAIL(BAD_INPUT, "mix: dynamic weights need p, M and u");
    if (s->in[M].present && (s->in[M].rows != attr->n || s->in[M].width != D || s->in[U].width != D))
        FAIL(BAD_INPUT, "mix: M is %d x %d and u has width %d, expected %d x %d and %d", s->in[M].rows, s->in[M].width,
             s->in[U].width, attr->n, D, D);
    if (s->in[NORM].present && s->in[NORM].width != D)
        FAIL(BAD_INPUT, "mix: the gain of the norm has width %d, expected %d", s->in[NORM].width, D);
    for (int k = 0; k < attr->n; k++) {
        if (s->in[BRANCH + k].width != D)
            FAIL(BAD_INPUT, "mix: branch %d has width %d, the base %d", k, s->in[BRANCH + k].width, D);
        if (s->in[GAIN + k].present && s->in[GAIN + k].width != D)
            FAIL(BAD_INPUT, "mix: gain %d has width %d, expected %d", k, s->in[GAIN + k].width, D);
    }
    s->width = D;
    return PHA_OK;
}

static double flops(const pha__shape *s, pha__pass pass, int64_t context)
{
    (void)context;
    const pha__mix_attr *attr = s->attr;
    double per_branch = (s->in[M].present ? 2 : 0) + 5;
    double norm = s->in[NORM].present ? pass == PHA__FORWARD ? 4 : 9 : 0; /* as those of rmsnorm */
    return ((pass == PHA__FORWARD ? 1 : 2) * (attr->n * per_branch + 3) + norm) * s->B * s->T * s->width;
}

const pha__op pha__op_mix = {
    .name = "mix",
    .equation = "out = alpha base + beta drop(sum_k w_k RMSNorm_k(z_k)), w = softplus(p) / sum, or RMSNorm of that    "
                "(pha.md 2, 2.1)",
    .min_in = BRANCH + 1,
    .max_in = PHA__MIX_INPUTS,
    .params = PHA__IN(P) | PHA__IN(M) | (PHA__IN(PHA__MIX_MAX) - 1) << GAIN | PHA__IN(NORM),
    .keep_in = (PHA__IN(NORM) - 1) & ~PHA__IN(PHA__MIX_BASE),
    .out_f32 = true, /* the sum is rounded once, after its norm (numerics.md 3) */
    .fused = {.in = NORM, .keep_in = PHA__IN(PHA__MIX_INPUTS) - 1},
    .shape = shape,
    .flops = flops,
};
