/* gss.c -- gated state space (pha.md 2.3, Eq. 2 of the paper):  h_t = g_t * (a * h_(t-1) + u_t), of real channels or of
 * complex pairs (pha.md 10)
 *
 * Nothing here says "streaming": scan and conv are ops with state. Options of the output filter: pha.md 8, A7.
 */
#include <math.h>
#include <stdlib.h>

#include "nn/nn.h"
#include "ops/conv/conv.h"
#include "ops/scan_complex/scan_complex.h"
#include "ops/silu_mul/silu_mul.h"

/* Each channel's last four values, weighted. It starts as the identity, so that the model starts as `none` does and the
 * spread that wb_scale gives the channels holds; the other taps have a gradient from the first step on, because u of
 * earlier tokens is not 0. A vector per channel rather than a map between widths: no decay, fp32, like gains. */
static Var conv4(Params p, Var u)
{
    Var taps = pha__param(p, "conv", width(u), 4, PHA__VECTOR, pha__init_first_tap());
    return pha__apply(p, "conv", &pha__op_conv, ((Var[]){u, taps}), 2, NULL, 0);
}

/* ---- what is shown: gates g, and the mean horizon 1 / (1 - g a) of each channel ---- */

enum { GATE, THETA, BIAS }; /* inputs */

static double gate(const pha__seen *in, int64_t row, int32_t c)
{
    return 1 / (1 + exp(-(double)in[GATE].data[row * in[GATE].width + c] - (in[BIAS].data ? in[BIAS].data[c] : 0)));
}

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static bool horizons(double *out, int n, const pha__seen *in, const void *attr)
{
    size_t S = (size_t)in[GATE].width, count = S * (size_t)in[GATE].rows;
    float *all = pha__alloc(count, sizeof *all);
    (void)n, (void)attr;
    if (!all) return false;
    for (size_t i = 0; i < count; i++) {
        int32_t c = (int32_t)(i % S);
        all[i] = (float)(1 / (1 - gate(in, (int64_t)(i / S), c) * exp(-exp((double)in[THETA].data[c]))));
    }
    qsort(all, count, sizeof *all, ascending);
    out[0] = all[count / 10], out[1] = all[count / 2], out[2] = all[count * 9 / 10];
    pha__free(all);
    return true;
}

static bool gate_mean(double *out, int n, const pha__seen *in, const void *attr)
{
    double sum = 0;
    (void)n, (void)attr;
    for (int64_t r = 0; r < in[GATE].rows; r++)
        for (int32_t c = 0; c < in[GATE].width; c++) sum += gate(in, r, c);
    out[0] = sum / (double)((size_t)in[GATE].rows * (size_t)in[GATE].width);
    return true;
}

static void show_gates(Params p, Var z, Var theta, Var bias)
{
    static const char *const quantiles[] = {"p10", "p50", "p90"};
    Var in[] = {[GATE] = z, [THETA] = theta, [BIAS] = bias};
    pha__watch(p, &pha__shown[PHA__SHOW_HORIZON], horizons, quantiles, 3, in, 3, NULL, 0);
    pha__watch(p, &pha__shown[PHA__SHOW_GATE_MEAN], gate_mean, NULL, 1, in, 3, NULL, 0);
}

/* ---- recording ---- */

static Var scan(Params p, Var z, Var u, const pha__config *c)
{
    int32_t channels = width(z); /* or pairs */
    bool complex = c->gss_state == PHA__STATE_COMPLEX;
    Var theta = pha__param(p, "theta", 1, channels, PHA__VECTOR, pha__init_theta(c->gss_state));
    Var omega = NULL, bias = NULL, scale = NULL;
    if (complex) omega = pha__param(p, "omega", 1, channels, PHA__VECTOR, pha__init_omega());
    if (c->gate_bias != PHA__BIAS_NONE)
        bias = pha__param(p, "bias", 1, channels, PHA__VECTOR, pha__init_gate_bias(c->gss_state, c->gate_bias));
    if (c->wb_scale == PHA__WB_FIXED)
        scale = pha__param(p, "in_scale", 1, channels, PHA__CONSTANT,
                           pha__init_input_scale(c->gss_state, c->gate_bias));
    show_gates(p, z, theta, bias);
    if (complex)
        return pha__apply(p, "h", &pha__op_scan_complex, ((Var[]){z, u, theta, omega, bias, scale}), 6, NULL, 0);
    return pha__apply(p, "h", &pha__op_scan, ((Var[]){z, u, theta, bias, scale}), 5, NULL, 0);
}

Var pha__gss(Params p, const char *name, Var x, const pha__config *c)
{
    p = sub(part(p, PHA__PART_GSS), name);
    double beta = pha__beta(c);
    int32_t gates = c->gss_state == PHA__STATE_COMPLEX ? c->d_state / 2 : c->d_state; /* a pair has one */
    pha__init in = pha__init_xavier(beta);
    if (c->wb_scale == PHA__WB_INIT) in = pha__init_input_scaled(beta, c->gss_state, c->gate_bias);
    Var z = linear(p, "gate", x, gates, pha__init_xavier(1));          /* pre-activation of the gate (B, T, S or S/2) */
    Var u = linear(p, "in", x, c->d_state, in);                        /*                            (B, T, S) */
    if (c->gss_filter == PHA__FILTER_CONV4) u = conv4(p, u);
    Var h = scan(p, z, u, c);                                          /*                            (B, T, S) */

    if (c->gss_filter == PHA__FILTER_SILU) {
        Var f = linear(p, "filter", x, c->d_state, pha__init_xavier(1));
        h = pha__apply(p, "filtered", &pha__op_silu_mul, ((Var[]){f, h}), 2, NULL, 0);
    } else if (c->gss_filter == PHA__FILTER_NORM) {
        h = rmsnorm(p, "filter_norm", h);
    }
    Var out = linear(p, "out", h, c->d_model, pha__init_xavier(beta)); /*                            (B, T, D) */
    pha__watch_rms(p, name, out);
    return out;
}
