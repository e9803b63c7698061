/* mix.c -- fusion of branches by learned weights, and residuals (pha.md 2, 2.1, 8, 10) */
#include <stdio.h>

#include "nn/nn.h"
#include "ops/mix/mix.h"
#include "ops/residual/residual.h"

Var pha__mix_at(Params p, const char *name, Var base, Var u, const Branch *branches, int n, double alpha, double beta,
                const pha__config *c, int site, const char *file, int line)
{
    Var in[PHA__MIX_INPUTS] = {[PHA__MIX_BASE] = base};
    pha__mix_attr attr = {n, (float)alpha, (float)beta, RMS_EPS, (float)c->dropout, dropout_site(p, site), 0};
    if (n > 1 && c->mix != PHA__MIX_UNIFORM)
        in[PHA__MIX_P] = pha__param_at(p, name, 1, n, PHA__VECTOR, pha__init_constant(0), file, line);
    if (n > 1 && c->mix == PHA__MIX_DYNAMIC) {
        in[PHA__MIX_M] = pha__param(p, "mix_input", n, width(u), PHA__VECTOR, pha__init_constant(0));
        in[PHA__MIX_U] = u;
    }
    bool damped = c->residual >= PHA__RES_PRE; /* at 1 the unit-norm mix drowns the embedding (pha.md 8) */
    for (int k = 0; k < n; k++) {
        char gain[40];
        snprintf(gain, sizeof gain, "%s_norm", branches[k].name);
        in[PHA__MIX_BRANCH + k] = branches[k].z;
        if (c->branch_gain)
            in[PHA__MIX_GAIN + k] =
                pha__param(p, gain, 1, width(base), PHA__VECTOR, pha__init_constant(damped ? 0.25 : 1.0));
    }
    return pha__apply_at(p, name, &pha__op_mix, in, PHA__MIX_INPUTS, &attr, sizeof attr, file, line);
}

Var pha__residual_at(Params p, const char *name, Var a, Var b, double alpha, double beta, const pha__config *c,
                     int site, const char *file, int line)
{
    pha__residual_attr attr = {(float)alpha, (float)beta, (float)c->dropout, dropout_site(p, site), 0};
    return pha__apply_at(p, name, &pha__op_residual, (Var[]){a, b}, 2, &attr, sizeof attr, file, line);
}

Residual pha__residual_mode_of(const pha__config *c, Var x, Var u, bool first)
{
    switch (c->residual) {
    case PHA__RES_POST_RAW: return (Residual){first ? x : u, c->alpha, 1};
    case PHA__RES_PRE:      return (Residual){x, 1, 1};
    case PHA__RES_PRE_ALPHA:return (Residual){x, c->alpha, 1};
    case PHA__RES_PRE_INV:  return (Residual){x, 1, 1 / c->alpha};
    default:                return (Residual){u, c->alpha, 1};
    }
}
