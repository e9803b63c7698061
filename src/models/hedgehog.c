/* hedgehog.c -- linear attention over learned features (baselines.md 8; arXiv 2402.04347): the model of linear.c with
 *
 *   phi(x) = [softmax(W x); softmax(-W x)], or e^([W x; -W x] - max)      W per layer and head, for q and for k
 */
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
