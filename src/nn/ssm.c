/* ssm.c -- state spaces that do not depend on the data (baselines.md 4 to 6)
 *
 *   diagonal:  s <- e^(lambda D) s + B (e^(lambda D) - 1) / lambda x,  y = kappa Re sum C s + d x
 *   shift:     s_i <- s_(i-1) + B_i x,  y = sum C_i s_i + d x
 *
 * What they are made of are vectors: no decay, fp32 always. Of those that say how a state moves (lambda, D, B) the
 * learning rate is bounded; of GSS it is not, as published.
 */
#include <math.h>

#include "nn/nn.h"
#include "ops/shift/shift.h"
#include "ops/ssm/ssm.h"

Var pha__diagonal(Params p, Var x, pha__modes kind, int32_t n, bool B)
{
    bool all = kind == PHA__MODES_GSS || kind == PHA__MODES_DSS; /* channels have the same modes */
    int32_t P = width(x), rows = all ? 1 : P;
    pha__param_kind how = kind == PHA__MODES_GSS ? PHA__VECTOR : PHA__DYNAMICS;
    pha__init C = pha__init_normal(kind == PHA__MODES_GSS ? 1 : sqrt(0.5));
    Var in[PHA__SSM_INPUTS] = {
        [PHA__SSM_X] = x,
        [PHA__SSM_C_RE] = pha__param(p, "C_re", P, n, PHA__VECTOR, C),
        [PHA__SSM_C_IM] = pha__param(p, "C_im", P, n, PHA__VECTOR, C),
        [PHA__SSM_RATE] = pha__param(p, all ? "rho" : "log_neg_re", rows, n, how, pha__init_modes_rate(kind)),
        [PHA__SSM_IM] = pha__param(p, all ? "nu" : "im", rows, n, how, pha__init_modes_im(kind)),
        [PHA__SSM_D] = pha__param(p, "d", 1, P, PHA__VECTOR, pha__init_normal(1)),
    };
    if (kind != PHA__MODES_GSS)
        in[PHA__SSM_LOG_DT] = pha__param(p, "log_dt", 1, P, how, pha__init_uniform(log(1e-3), log(1e-1)));
    if (B) {
        in[PHA__SSM_B_RE] = pha__param(p, "B_re", P, n, how, pha__init_constant(1));
        in[PHA__SSM_B_IM] = pha__param(p, "B_im", P, n, how, pha__init_constant(0));
    }
    pha__ssm_attr attr = {all ? 1 : 2, kind == PHA__MODES_GSS, p.program->options.gradients};
    return pha__apply(p, "ssm", &pha__op_ssm, in, PHA__SSM_INPUTS, &attr, sizeof attr); /* (B, T, P) */
}

Var pha__shift(Params p, Var x, int32_t n)
{
    Var in[] = {
        x,
        pha__param(p, "shift_B", width(x), n, PHA__VECTOR, pha__init_first_tap()),
        pha__param(p, "shift_C", width(x), n, PHA__VECTOR, pha__init_uniform(-1 / sqrt(n), 1 / sqrt(n))),
        pha__param(p, "shift_d", 1, width(x), PHA__VECTOR, pha__init_normal(1)),
    };
    return pha__apply(p, "shift", &pha__op_shift, in, 4, NULL, 0);                      /* (B, T, P) */
}
