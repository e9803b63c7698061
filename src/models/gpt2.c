/* gpt2.c -- the Transformer of GPT-2 (baselines.md 1; Radford et al., 2019), with which PHA is compared
 *
 *   x = drop(E[c] + P[t])
 *   x = x + drop(MHA(LayerNorm(x)))
 *   x = x + drop(W_2 gelu(W_1 LayerNorm(x) + b_1) + b_2)          logits = E LayerNorm(x)
 *
 * All linear maps have biases. The other files of this family put another attention in the place of MHA.
 */
#include "models/models.h"
#include "nn/nn.h"

Var pha__gpt2_embed(Params p, const pha__config *c) { return pha__lm_gather(p, c, 1, 0); }
Var pha__gpt2_positions(Params p, Var x, const pha__config *c) { return pha__positions(p, "pos", x, c); }

Var pha__gpt2_block(Params p, Var x, const pha__config *c, int layer, pha__attend *attend)
{
    Var u = layernorm(p, "norm", x);                                   /* (B, T, D), as every value here */
    x = pha__residual(p, "attn_sum", x, attend(p, "attn", u, c, layer), 1, 1, c, 0);
    u = layernorm(p, "mlp_norm", x);
    return pha__residual(p, "out", x, mlp(p, "mlp", u, c->d_ffn, c), 1, 1, c, 1);
}

void pha__gpt2_head(Params p, Var x, const pha__config *c, pha__head head)
{
    pha__lm_outputs(p, layernorm(p, "norm", x), c, head);
}

static Var block(Params p, Var x, const pha__config *c, int layer) { return pha__gpt2_block(p, x, c, layer, pha__mha); }

static const char *const keys[] = {"n_head", "n_kv_head", "d_ffn", "n_positions", "local", "embed_std", NULL};

const pha__model_row pha__model_gpt2 = {
    .name = "gpt2",
    .equation = "x1 = x + MHA(norm(x)), x' = x1 + MLP(norm(x1))",
    .keys = keys,
    .embed = pha__gpt2_embed,
    .positions = pha__gpt2_positions,
    .block = block,
    .head = pha__gpt2_head,
};
