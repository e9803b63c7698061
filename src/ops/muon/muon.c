/* muon.c -- the row of the op; see muon.h */
#include "ops/muon/muon.h"

static pha_status shape(pha__shape *s)
{
    for (int i = 1; i < s->n_in; i++) {
        if (s->in[i].rows != s->in[0].rows || s->in[i].width != s->in[0].width)
            FAIL(BAD_INPUT, "muon: operand %d is %d x %d, the parameter %d x %d", i, s->in[i].rows, s->in[i].width,
                 s->in[0].rows, s->in[0].width);
    }
    s->width = s->in[0].width;
    return PHA_OK;
}

static double flops(const pha__shape *s, pha__pass pass, int64_t context)
{
    double rows = s->in[0].rows, width = s->in[0].width, m = rows < width ? rows : width, n = rows + width - m;
    (void)context;
    return pass == PHA__FORWARD ? PHA__MUON_ROUNDS * (4 * m * m * n + 2 * m * m * m) : 0;
}

const pha__op pha__op_muon = {
    .name = "muon",
    .equation = "p <- p - lr wd p - lr 0.2 sqrt(max(rows, width)) orthogonal(g + mu m)    (pha.md 10)",
    .min_in = 3,
    .max_in = 3,
    .params = PHA__IN(0) | PHA__IN(1) | PHA__IN(2),
    .no_grad = true,
    .shape = shape,
    .flops = flops,
};
