/* rope.c -- the row of rope: shapes, what backward keeps, cost
 *
 * Backward rebuilds the unit vector from the output (out = s R q^, so q^ = R^T out / s), which attention keeps anyway.
 * With a gain, which may be zero, that is not possible: then the normalised x is saved.
 */
#include "ops/rope/rope.h"

static pha_status shape(pha__shape *s)
{
    const pha__rope_attr *c = s->attr;
    if (c->n_head < 1 || c->head_width < 2 || c->head_width % 2 != 0)
        FAIL(BAD_INPUT, "rotary position needs heads of even width, not %d heads of width %d", (int)c->n_head,
             (int)c->head_width);
    if (s->in[0].width != (int64_t)c->n_head * c->head_width)
        FAIL(BAD_INPUT, "x is %d wide but %d heads of width %d need %lld", (int)s->in[0].width, (int)c->n_head,
             (int)c->head_width, (long long)c->n_head * c->head_width);
    if (s->in[1].width != c->head_width)
        FAIL(BAD_INPUT, "the table of angles is %d wide but the heads are %d", (int)s->in[1].width, (int)c->head_width);
    if (s->n_in > 2 && s->in[2].present && (s->in[2].rows != 1 || s->in[2].width != c->n_head))
        FAIL(BAD_INPUT, "tau is %d x %d but there are %d heads", (int)s->in[2].rows, (int)s->in[2].width,
             (int)c->n_head);
    bool gain = s->n_in > 3 && s->in[3].present;
    if (gain != (c->norm == PHA__NORM_RMS)) FAIL(BAD_INPUT, "a gain belongs to the rms norm of heads and to no other");
    if (gain && (s->in[3].rows != 1 || s->in[3].width != c->head_width))
        FAIL(BAD_INPUT, "the gain is %d x %d but heads are %d wide", (int)s->in[3].rows, (int)s->in[3].width,
             (int)c->head_width);
    s->width = s->in[0].width;
    return PHA_OK;
}

static int64_t saved(const pha__shape *s) /* 1/n per head and row; rms: also the normalised x */
{
    const pha__rope_attr *c = s->attr;
    int64_t heads = (int64_t)s->B * s->T * c->n_head;
    return c->norm == PHA__NORM_NONE ? 0 : c->norm == PHA__NORM_RMS ? heads * (1 + c->head_width) : heads;
}

static double flops(const pha__shape *s, pha__pass pass, int64_t context)
{
    (void)context;
    return (pass == PHA__FORWARD ? 6.0 : 12.0) * s->B * s->T * s->width;
}

const pha__op pha__op_rope = {
    .name = "rope",
    .equation = "out = e^min(tau_i, ln 100) R_t x / sqrt(|x|^2 + eps) per head (pha.md 2.2)",
    .min_in = 2,
    .max_in = 4,
    .params = PHA__IN(2) | PHA__IN(3),
    .keep_in = PHA__IN(1) | PHA__IN(2) | PHA__IN(3),
    .keep_out = true,
    .shape = shape,
    .saved = saved,
    .flops = flops,
};
