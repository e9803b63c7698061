/* gss.c -- gated state space (pha.md 2.3, Eq. 2 of the paper):  h_t = g_t * (a * h_(t-1) + u_t)
 *
 * Nothing here says "streaming": scan and conv are ops with state. Options of the output filter: pha.md 8, A7.
 */
#include "nn/nn.h"
#include "ops/conv/conv.h"
#include "ops/silu_mul/silu_mul.h"

/* Each channel's last four values, weighted. It starts as the identity, so that the model starts as `none` does and the
 * spread that wb_scale gives the channels holds; the other taps have a gradient from the first step on, because u of
 * earlier tokens is not 0. A vector per channel rather than a map between widths: no decay, fp32, like gains. */
static Var conv4(Params p, Var u)
{
    Var taps = pha__param(p, "conv", width(u), 4, PHA__VECTOR, pha__init_first_tap());
    return pha__apply(p, "conv", &pha__op_conv, ((Var[]){u, taps}), 2, NULL, 0);
}

static Var scan(Params p, Var z, Var u, const pha__config *c)
{
    int32_t S = width(z);
    Var theta = pha__param(p, "theta", 1, S, PHA__VECTOR, pha__init_theta());
    Var bias = NULL, scale = NULL;
    if (c->gate_bias != PHA__BIAS_NONE)
        bias = pha__param(p, "bias", 1, S, PHA__VECTOR, pha__init_gate_bias(c->gate_bias));
    if (c->wb_scale == PHA__WB_FIXED)
        scale = pha__param(p, "in_scale", 1, S, PHA__CONSTANT, pha__init_input_scale(c->gate_bias));
    return pha__apply(p, "h", &pha__op_scan, ((Var[]){z, u, theta, bias, scale}), 5, NULL, 0);
}

Var pha__gss(Params p, const char *name, Var x, const pha__config *c)
{
    p = sub(p, name);
    double beta = pha__beta(c);
    pha__init in = c->wb_scale == PHA__WB_INIT ? pha__init_input_scaled(beta, c->gate_bias) : pha__init_xavier(beta);
    Var z = linear(p, "gate", x, c->d_state, pha__init_xavier(1));     /* pre-activation of the gate (B, T, S) */
    Var u = linear(p, "in", x, c->d_state, in);                        /*                            (B, T, S) */
    if (c->gss_filter == PHA__FILTER_CONV4) u = conv4(p, u);
    Var h = scan(p, z, u, c);                                          /*                            (B, T, S) */

    if (c->gss_filter == PHA__FILTER_SILU) {
        Var f = linear(p, "filter", x, c->d_state, pha__init_xavier(1));
        h = pha__apply(p, "filtered", &pha__op_silu_mul, ((Var[]){f, h}), 2, NULL, 0);
    } else if (c->gss_filter == PHA__FILTER_NORM) {
        h = rmsnorm(p, "filter_norm", h);
    }
    return linear(p, "out", h, c->d_model, pha__init_xavier(beta));    /*                            (B, T, D) */
}
