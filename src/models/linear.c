/* linear.c -- the linear Transformer (baselines.md 7; arXiv 2006.16236): GPT-2 whose weights are products of features
 *
 *   phi(x) = elu(x) + 1:    o_t = sum_s (phi(q_t) . phi(k_s)) v_s / (sum_s phi(q_t) . phi(k_s) + 1e-6),  s <= t
 */
#include "models/models.h"
#include "nn/nn.h"

static Var block(Params p, Var x, const pha__config *c, int layer)
{
    return pha__gpt2_block(p, x, c, layer, pha__linear_attention);
}

static const char *const keys[] = {"n_head", "d_ffn", "n_positions", "embed_std", NULL};

const pha__model_row pha__model_linear = {
    .name = "linear",
    .equation = "x1 = x + LinearAttention(norm(x)), x' = x1 + MLP(norm(x1))",
    .keys = keys,
    .embed = pha__gpt2_embed,
    .positions = pha__gpt2_positions,
    .block = block,
    .head = pha__gpt2_head,
};
