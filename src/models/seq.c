/* seq.c -- sequential hybrid block: attention, then state space, then feed-forward (Eq. 5 of the paper; baselines.md 2)
 *
 *   x1 = alpha u + drop(norm(GQA(u))),    u  = RMSNorm(x)
 *   x2 = alpha u1 + drop(norm(GSS(u1))),  u1 = RMSNorm(x1)
 *   x' = alpha u2 + drop(SwiGLU(u2)),     u2 = RMSNorm(x2)
 *
 * The norms on the outputs of GQA and GSS are ours (seq_norm, on by default): as printed the stack does not train.
 */

#include "base/print.h"
#include "models/models.h"
#include "nn/nn.h"

/* One sub-layer's residual; site numbers the dropout mask. */
static Var add(Params p, const char *name, Var x, Var u, Var f, const pha__config *c, int site)
{
    char sum[32];
    Residual m = pha__residual_mode_of(c, x, u, site == 0);
    pha__print(sum, sizeof sum, "%s_sum", name);
    if (!c->seq_norm || site == 2) return pha__residual(p, sum, m.base, f, m.alpha, m.beta, c, site);
    char branch[32];
    pha__print(branch, sizeof branch, "%s_out", name);
    return mix(p, sum, m.base, u, &(Branch){branch, f}, 1, m.alpha, m.beta, c, site);
}

static Var block(Params p, Var x, const pha__config *c, int layer)
{
    Var u = rmsnorm(p, "attn_norm", x);                                /* (B, T, D), as every value here */
    x = add(p, "attn", x, u, gqa(p, "attn", u, c, layer), c, 0);
    u = rmsnorm(p, "gss_norm", x);
    x = add(p, "gss", x, u, gss(p, "gss", u, c), c, 1);
    u = rmsnorm(p, "ffn_norm", x);
    return add(p, "ffn", x, u, swiglu(p, "ffn", u, c->d_ffn, c), c, 2);
}

static const char *const keys[] = {"n_head", "n_kv_head", "d_state", "d_ffn", "residual", "alpha", "embed_std",
                                   "gate_bias", "wb_scale", "seq_norm", "window", "local", "qk", "rope_theta",
                                   "rope", "gss_state", "gss_filter", NULL};

const pha__model_row pha__model_seq = {
    .name = "seq",
    .equation = "x1 = a u + GQA(u), x2 = a u1 + GSS(u1), x' = a u2 + FFN(u2), u = norm of the sum before",
    .keys = keys,
    .block = block,
};
