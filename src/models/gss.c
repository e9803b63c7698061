/* gss.c -- gated state spaces as first published, with a state space that does not depend on the data (Mehta et al.,
 * 2022; baselines.md 4)
 *
 *   u = gelu(W_u x^),  v = gelu(W_v x^),  x^ = LayerNorm(x)
 *   x = x + drop(W_o (u * W_c SSM(LayerNorm(v))) + b_o)
 *
 * The layers of attn_layers are blocks of GPT-2 instead. No positions.
 */
#include "models/models.h"
#include "nn/nn.h"

PHA__OWN_KEYS(gss_keys) { int32_t d_gate, d_ssm, n_mode, ssm; };

/* A size, or its default. */
static int32_t given(int32_t n, int32_t otherwise) { return n ? n : otherwise > 1 ? otherwise : 1; }

static Var gated(Params p, const char *name, Var x, const pha__config *c)
{
    p = sub(part(p, PHA__PART_GSS), name);
    const gss_keys *k = gss_keys_of(c);
    pha__init start = pha__init_normal(GPT2_STD);
    int32_t F = given(k->d_gate, 4 * c->d_model), P = given(k->d_ssm, c->d_model / 4);
    Var u = gelu(p, "u_gelu", linear(p, "u", x, F, start));            /* (B, T, F) */
    Var v = gelu(p, "v_gelu", linear(p, "v", x, P, start));            /* (B, T, P) */
    Var y = diagonal(p, layernorm(p, "norm", v), (pha__modes)k->ssm, k->n_mode, false);
    Var o = product(p, "gated", u, linear(p, "c", y, F, start));       /* (B, T, F) */
    Var z = biased(p, "out", o, c->d_model, pha__gpt2_last(c));        /* (B, T, D) */
    pha__watch_rms(p, name, z);
    return z;
}

static Var block(Params p, Var x, const pha__config *c, int layer)
{
    pha__config gpt2 = *c;
    gpt2.d_ffn = 4 * c->d_model;
    if (pha__is_attn_layer(c, layer)) return pha__gpt2_block(p, x, &gpt2, layer, pha__mha);
    Var u = layernorm(p, "norm", x);                                   /* (B, T, D) */
    return pha__residual(p, "out", x, gated(p, "gss", u, c), 1, 1, c, 0);
}

static Var embed(Params p, const pha__config *c) { return pha__lm_gather(p, c, 1, c->dropout); }

static pha_status check(const pha__config *c, const char *where)
{
    const gss_keys *k = gss_keys_of(c);
    bool solved = k->ssm == PHA__MODES_DSS || k->ssm == PHA__MODES_LEGS;
    if (solved && k->n_mode > PHA__MODES_MOST)
        FAIL(BAD_INPUT, "%s: n_mode = %d, but ssm = %s has initial values for up to %d modes (nearest: %d)", where,
             k->n_mode, k->ssm == PHA__MODES_DSS ? "dss" : "s4d-legs", PHA__MODES_MOST, PHA__MODES_MOST);
    return PHA_OK;
}

static const char *const keys[] = {"n_head", "n_kv_head", "attn_layers", "local", "embed_std", NULL};
static const char *const kinds[] = {"gss", "dss", "s4d-lin", "s4d-inv", "s4d-real", "s4d-legs", NULL};
static const pha__config_key own[] = {
    {PHA__OWN_KEY(gss_keys, d_gate), .kind = PHA__KEY_INT, .low = 1, .high = 1 << 20},
    {PHA__OWN_KEY(gss_keys, d_ssm), .kind = PHA__KEY_INT, .low = 1, .high = 1 << 20},
    {PHA__OWN_KEY(gss_keys, n_mode), .kind = PHA__KEY_INT, .low = 1, .high = 1 << 14, .init = 512},
    {PHA__OWN_KEY(gss_keys, ssm), .kind = PHA__KEY_NAME, .names = kinds},
    {0},
};

const pha__model_row pha__model_gss = {
    .name = "gss",
    .equation = "x' = x + W_o (gelu(W_u u) * W_c SSM(norm(gelu(W_v u)))), u = norm(x)",
    .keys = keys,
    .own = own,
    .check = check,
    .embed = embed,
    .block = block,
    .head = pha__gpt2_head,
};
