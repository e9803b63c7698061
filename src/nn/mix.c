/* mix.c -- fusion of branches by learned weights, and residuals (pha.md 2, 2.1, 8, 10) */
#include <math.h>

#include "base/print.h"
#include "nn/nn.h"
#include "ops/mix/mix.h"
#include "ops/residual/residual.h"

/* ---- what is shown ----
 *
 * With gains in the branch norms only w_k gain_k matters, so that w alone is not identified: both are shown, w and
 * w rms(gain), each as shares of its sum. Dynamic weights differ by token: these are those of a token whose own part is
 * zero. */

enum { P, GAINS }; /* inputs: p, then a gain per branch, then, for shares of the norm, the branches */
typedef struct shown {
    int of[PHA__MIX_MAX]; /* branch that is shown at this place */
} shown;

static double softplus(double p) { return fmax(p, 0) + log1p(exp(-fabs(p))); }

static void normalise(double *x, int n)
{
    double sum = 0;
    for (int k = 0; k < n; k++) sum += x[k];
    for (int k = 0; k < n; k++) x[k] = sum == 0 ? 0 : x[k] / sum; /* what is not finite stays so */
}

static double rms_of(const pha__seen *gain)
{
    double sum = 0;
    for (int32_t i = 0; i < gain->width; i++) sum += (double)gain->data[i] * gain->data[i];
    return gain->data ? sqrt(sum / gain->width) : 1;
}

/* In the order of recording: sums of doubles depend on it. */
static void raw_weights(double *w, int n, const pha__seen *in)
{
    for (int k = 0; k < n; k++) w[k] = in[P].data ? softplus((double)in[P].data[k]) : 1;
    normalise(w, n);
}

static bool weights(double *out, int n, const pha__seen *in, const void *attr)
{
    const shown *s = attr;
    double w[PHA__MIX_MAX];
    raw_weights(w, n, in);
    for (int k = 0; k < n; k++) out[k] = w[s->of[k]];
    return true;
}

static bool scaled_weights(double *out, int n, const pha__seen *in, const void *attr)
{
    const shown *s = attr;
    double w[PHA__MIX_MAX];
    raw_weights(w, n, in);
    for (int k = 0; k < n; k++) w[k] *= rms_of(&in[GAINS + k]);
    normalise(w, n);
    for (int k = 0; k < n; k++) out[k] = w[s->of[k]];
    return true;
}

/* Mean over the tokens of |w_k gain_k n(z_k)|, the branch as the sum sees it. */
static double mean_norm(double w, const pha__seen *gain, const pha__seen *z)
{
    double sum = 0;
    for (int64_t t = 0; t < z->rows; t++) {
        const float *row = z->data + t * z->width;
        double squares = 0, seen = 0;
        for (int32_t i = 0; i < z->width; i++) {
            double g = gain->data ? (double)gain->data[i] : 1, x = (double)row[i];
            squares += x * x, seen += g * x * g * x;
        }
        sum += w * sqrt(seen / (squares / z->width + RMS_EPS));
    }
    return z->rows ? sum / (double)z->rows : 0;
}

static bool norm_shares(double *out, int n, const pha__seen *in, const void *attr)
{
    const shown *s = attr;
    double w[PHA__MIX_MAX];
    raw_weights(w, n, in);
    for (int k = 0; k < n; k++) w[k] = mean_norm(w[k], &in[GAINS + k], &in[GAINS + n + k]);
    normalise(w, n);
    for (int k = 0; k < n; k++) out[k] = w[s->of[k]];
    return true;
}

/* in: the inputs of the op. */
static void show(Params p, const Branch *branches, int n, const Var *in)
{
    const pha__watch_row *row = &pha__shown[PHA__SHOW_MIX], *scaled = &pha__shown[PHA__SHOW_MIX_SCALED];
    const char *labels[PHA__MIX_MAX];
    shown s;
    if (n < 2 || n > PHA__MIX_MAX) return;
    for (int k = 0; k < n; k++) { /* sorted by insertion: equal ones keep their order */
        int at = k, order = pha__label_order(row, branches[k].name);
        for (; at > 0 && order < pha__label_order(row, labels[at - 1]); at--)
            labels[at] = labels[at - 1], s.of[at] = s.of[at - 1];
        labels[at] = branches[k].name, s.of[at] = k;
    }
    Var seen[GAINS + 2 * PHA__MIX_MAX] = {[P] = in[PHA__MIX_P]};
    for (int k = 0; k < n; k++) seen[GAINS + k] = in[PHA__MIX_GAIN + k], seen[GAINS + n + k] = branches[k].z;
    pha__watch(p, row, weights, labels, n, seen, GAINS + n, &s, sizeof s);
    pha__watch(p, scaled, scaled_weights, labels, n, seen, GAINS + n, &s, sizeof s);
    pha__watch(p, &pha__shown[PHA__SHOW_MIX_SHARE], norm_shares, labels, n, seen, GAINS + 2 * n, &s, sizeof s);
}

/* ---- recording ---- */

Var pha__mix_at(Params p, const char *name, Var base, Var u, const Branch *branches, int n, double alpha, double beta,
                const pha__config *c, int site, const char *file, int line)
{
    Var in[PHA__MIX_INPUTS] = {[PHA__MIX_BASE] = base};
    pha__mix_attr attr = {n, (float)alpha, (float)beta, RMS_EPS, (float)c->dropout, dropout_site(p, site), 0};
    Params weights_of = part(p, PHA__PART_MIXING), norms = part(p, PHA__PART_NORMS);
    if (n > 1 && c->mix != PHA__MIX_UNIFORM)
        in[PHA__MIX_P] = pha__param_at(weights_of, name, 1, n, PHA__VECTOR, pha__init_constant(0), file, line);
    if (n > 1 && c->mix == PHA__MIX_DYNAMIC) {
        in[PHA__MIX_M] = pha__param(weights_of, "mix_input", n, width(u), PHA__VECTOR, pha__init_constant(0));
        in[PHA__MIX_U] = u;
    }
    bool damped = c->residual >= PHA__RES_PRE; /* at 1 the unit-norm mix drowns the embedding (pha.md 8) */
    for (int k = 0; k < n; k++) {
        char gain[40];
        pha__print(gain, sizeof gain, "%s_norm", branches[k].name);
        in[PHA__MIX_BRANCH + k] = branches[k].z;
        if (c->branch_gain)
            in[PHA__MIX_GAIN + k] =
                pha__param(norms, gain, 1, width(base), PHA__VECTOR, pha__init_constant(damped ? 0.25 : 1.0));
    }
    show(p, branches, n, in);
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
