/* pha.c -- parallel hybrid block: attention, state space and feed-forward side by side (pha.md 2)
 *
 *   u = RMSNorm(x)
 *   r = RMSNorm(alpha u + drop(sum_k w_k RMSNorm_k(branch_k(u))))     k = GQA, GSS, SwiGLU
 *   x = alpha r + drop(SwiGLU(r))                                     alpha = (2 L)^(1/4), DeepNorm
 *
 * w = softplus(p) / sum softplus(p) are learned. Other residual modes: pha.md 8. Names are the keys of the checkpoint.
 */
#include "models/models.h"
#include "nn/nn.h"

static Var block(Params p, Var x, const pha__config *c, int layer)
{
    Var u = rmsnorm(p, "norm", x);                                     /* (B, T, D), as every value here */

    Branch z[3];
    int n = 0;
    if (c->branches & PHA__BRANCH_ATTN) z[n++] = (Branch){"attn", gqa(p, "attn", u, c, layer)};
    if (c->branches & PHA__BRANCH_GSS)  z[n++] = (Branch){"gss", gss(p, "gss", u, c)};
    if (c->branches & PHA__BRANCH_AUX)  z[n++] = (Branch){"aux", swiglu(part(p, PHA__PART_AUX), "aux", u, c->d_aux, c)};

    Residual m = pha__residual_mode_of(c, x, u, true);
    Var s = mix(p, "mix", m.base, u, z, n, m.alpha, m.beta, c, 0);

    Var r = rmsnorm(p, "ffn_norm", s);
    m = pha__residual_mode_of(c, s, r, false);
    if (!c->main_residual) m = (Residual){NULL, 0, 1};                 /* x' = drop(f) in every mode */
    Var f = swiglu(p, "ffn", r, c->d_ffn, c);
    return pha__residual(p, "out", m.base, f, m.alpha, m.beta, c, 1);
}

static const char *const keys[] = {"n_head", "n_kv_head", "d_state", "d_ffn", "d_aux", "branches", "residual",
                                   "main_residual", "alpha", "embed_std", "gate_bias", "wb_scale", "window", "local",
                                   "mix", "qk", "branch_gain", "rope_theta", "rope", "gss_state", "gss_filter", NULL};

const pha__model_row pha__model_pha = {
    .name = "pha",
    .equation = "x' = a r + FFN(r), r = norm(a u + sum_k w_k norm(branch_k(u))), u = norm(x)",
    .keys = keys,
    .block = block,
};
