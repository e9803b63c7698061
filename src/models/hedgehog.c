/* hedgehog.c -- linear attention over learned features (baselines.md 8; arXiv 2402.04347): the model of linear.c with
 *
 *   phi(x) = [softmax(W x); softmax(-W x)], or e^([W x; -W x] - max)      W per layer and head, for q and for k
 *
 * and the program that finds W for a trained softmax model (baselines.md 8 (b)).
 */
#include "base/print.h"
#include "models/models.h"
#include "nn/nn.h"
#include "ops/hedgehog/hedgehog.h"

PHA__OWN_KEYS(hedgehog) { int32_t hedgehog_map; };
static const pha__config_key own[] = {
    {PHA__OWN_KEY(hedgehog, hedgehog_map), .kind = PHA__KEY_NAME, .init = PHA__MAP_SOFTMAX,
     .names = (const char *const[]){[PHA__MAP_SOFTMAX] = "softmax", [PHA__MAP_EXP] = "exp", NULL}},
    {0},
};

static Var attend(Params p, const char *name, Var x, const pha__config *c, int layer)
{
    (void)layer;
    return pha__hedgehog(p, name, x, hedgehog_of(c)->hedgehog_map, c);
}

static Var block(Params p, Var x, const pha__config *c, int layer) { return pha__gpt2_block(p, x, c, layer, attend); }

static const char *const keys[] = {"n_head", "d_ffn", "n_positions", "embed_std", NULL};

const pha__model_row pha__model_hedgehog = {
    .name = "hedgehog",
    .equation = "x1 = x + Hedgehog(norm(x)), x' = x1 + MLP(norm(x1))",
    .keys = keys,
    .own = own,
    .embed = pha__gpt2_embed,
    .positions = pha__gpt2_positions,
    .block = block,
    .head = pha__gpt2_head,
};

/* ---- from a softmax model -------------------------------------------------------------------------------- */

/* Every layer reads what softmax attention makes of the text, so the layers learn independently of each other. */
static Var taught(Params p, const char *name, Var x, const pha__config *c, int layer)
{
    char loss[24];
    pha__print(loss, sizeof loss, "layer%d", layer);
    return pha__taught_hedgehog(p, name, x, loss, hedgehog_of(c)->hedgehog_map, c);
}

static Var taught_block(Params p, Var x, const pha__config *c, int layer)
{
    return pha__gpt2_block(p, x, c, layer, taught);
}

/* The parameters of the model's end are declared, nothing else is asked of it. */
static void taught_head(Params p, Var x, const pha__config *c, pha__head head)
{
    (void)c, (void)head;
    layernorm(p, "norm", x);
}

static const char *const frozen[] = {"embed", "pos", "*norm.gain", "*norm.bias", "*.attn.q", "*.attn.k", "*.attn.v",
                                     "*.attn.out", "*.attn.*_bias", "*.mlp.*", NULL};

const pha__model_row pha__model_taught_hedgehog = {
    .name = "hedgehog, taught",
    .equation = "min_W mean_t -sum_s A_ts ln(phi(q_t) . phi(k_s) / sum_r phi(q_t) . phi(k_r)), A = softmax",
    .keys = keys,
    .own = own,
    .frozen = frozen,
    .embed = pha__gpt2_embed,
    .positions = pha__gpt2_positions,
    .block = taught_block,
    .head = taught_head,
};
