/* h3.c -- Hungry Hungry Hippos (Dao et al., 2022; baselines.md 6)
 *
 *   q = W_q x^ + b_q, k and v likewise,  x^ = LayerNorm(x)
 *   x = x + W_o (q * diagonal(shift(k) * v)) + b_o
 *   x = x + W_2 gelu(W_1 LayerNorm(x) + b_1) + b_2
 *
 * The layers of attn_layers are blocks of GPT-2 instead. No positions; dropout of the embedding only.
 */
#include "models/models.h"
#include "nn/nn.h"

PHA__OWN_KEYS(h3_keys) { int32_t n_shift, ssm_state, ssm_init; };

static const char *const kinds[] = {"lin", "inv", "real", "legs", NULL}; /* from PHA__MODES_LIN on */

static Var h3(Params p, const char *name, Var x, const pha__config *c)
{
    p = sub(part(p, PHA__PART_GSS), name);
    const h3_keys *k = h3_keys_of(c);
    pha__modes modes = (pha__modes)(PHA__MODES_LIN + k->ssm_init);
    Var q = biased(p, "q", x, c->d_model, GPT2_STD);                   /* (B, T, D), as every value here */
    Var s = shift(p, biased(p, "k", x, c->d_model, GPT2_STD), k->n_shift);
    Var kv = product(p, "kv", s, biased(p, "v", x, c->d_model, GPT2_STD));
    Var o = product(p, "qkv", q, diagonal(p, kv, modes, k->ssm_state / 2, true));
    Var z = biased(p, "out", o, c->d_model, pha__gpt2_last(c));
    pha__watch_rms(p, name, z);
    return z;
}

static Var of_layer(Params p, const char *name, Var x, const pha__config *c, int layer)
{
    (void)name, (void)layer;
    return h3(p, "h3", x, c);
}

static Var block(Params p, Var x, const pha__config *c, int layer)
{
    pha__config inside = *c;
    inside.dropout = 0;
    return pha__gpt2_block(p, x, &inside, layer, pha__is_attn_layer(c, layer) ? pha__mha : of_layer);
}

static Var embed(Params p, const pha__config *c) { return pha__lm_gather(p, c, 1, c->dropout); }

static pha_status check(const pha__config *c, const char *where)
{
    const h3_keys *k = h3_keys_of(c);
    int N = k->ssm_state, most = 2 * PHA__MODES_MOST;
    if (N % 2)
        FAIL(BAD_INPUT, "%s: ssm_state = %d is odd, but its modes are pairs (nearest: %d, %d)", where, N, N - 1, N + 1);
    if (PHA__MODES_LIN + k->ssm_init == PHA__MODES_LEGS && N > most)
        FAIL(BAD_INPUT, "%s: ssm_state = %d, but ssm_init = legs has initial values for up to %d (nearest: %d)", where,
             N, most, most);
    return PHA_OK;
}

static const char *const keys[] = {"n_head", "n_kv_head", "d_ffn", "attn_layers", "local", "embed_std", NULL};
static const pha__config_key own[] = {
    {PHA__OWN_KEY(h3_keys, n_shift), .kind = PHA__KEY_INT, .low = 2, .high = 64, .init = 64},
    {PHA__OWN_KEY(h3_keys, ssm_state), .kind = PHA__KEY_INT, .low = 2, .high = 1 << 14, .init = 64},
    {PHA__OWN_KEY(h3_keys, ssm_init), .kind = PHA__KEY_NAME, .names = kinds},
    {0},
};

const pha__model_row pha__model_h3 = {
    .name = "h3",
    .equation = "x1 = x + W_o (q * diagonal(shift(k) * v)), x' = x1 + MLP(norm(x1)); q, k, v from norm(x)",
    .keys = keys,
    .own = own,
    .check = check,
    .embed = embed,
    .block = block,
    .head = pha__gpt2_head,
};
