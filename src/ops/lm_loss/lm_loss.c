/* lm_loss.c -- the row of the cross-entropy over a tied head */
#include "ops/lm_loss/lm_loss.h"

static pha_status shape(pha__shape *s)
{
    if (s->in[1].width != s->in[0].width)
        FAIL(BAD_INPUT, "the embedding is %d x %d, so the input must be %d wide, but it is %d", (int)s->in[1].rows,
             (int)s->in[1].width, (int)s->in[1].width, (int)s->in[0].width);
    s->width = PHA__LOSS_WIDTH;
    return PHA_OK;
}

/* Backward computes the logits, dh and dE. */
static double flops(const pha__shape *s, pha__pass pass, int64_t context)
{
    (void)context;
    return (pass == PHA__FORWARD ? 2.0 : 6.0) * s->B * s->T * s->in[1].rows * s->in[1].width;
}

const pha__op pha__op_lm_loss = {
    .name = "lm_loss",
    .equation = "nll_t = ln sum_j e^(E_j . h_t) - E_c . h_t (algorithms.md 5)",
    .min_in = 2,
    .max_in = 2,
    .params = PHA__IN(1),
    .keep_in = PHA__IN(0) | PHA__IN(1),
    .out_f32 = true,
    .is_loss = true,
    .shape = shape,
    .flops = flops,
    .work_class = PHA__WORK_HEAD,
};
