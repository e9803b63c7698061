/* gpt2.c -- the pieces of GPT-2 and its relatives (baselines.md 1, 7 and 8): maps with biases, attention of three
 * kinds, feed-forward, learned positions */
#include <math.h>

#include "base/print.h"
#include "nn/nn.h"
#include "ops/attention/attention.h"
#include "ops/distill/distill.h"
#include "ops/elu1/elu1.h"
#include "ops/gelu/gelu.h"
#include "ops/hedgehog/hedgehog.h"
#include "ops/linear_attention/linear_attention.h"
#include "ops/matmul/matmul.h"
#include "ops/positions/positions.h"
#include "ops/product/product.h"

double pha__gpt2_last(const pha__config *c) { return GPT2_STD / sqrt(2.0 * c->n_layer); }

Var pha__biased_at(Params p, const char *name, Var x, int32_t n, double std, const char *file, int line)
{
    char bias[40];
    pha__print(bias, sizeof bias, "%s_bias", name);
    Var W = pha__param_at(p, name, n, width(x), PHA__MATRIX, pha__init_normal(std), file, line);
    Var b = pha__param_at(p, bias, 1, n, PHA__VECTOR, pha__init_constant(0), file, line);
    return pha__apply_at(p, name, &pha__op_matmul, (Var[]){x, W, b}, 3, NULL, 0, file, line);
}

Var pha__product(Params p, const char *name, Var a, Var b)
{
    return pha__apply(p, name, &pha__op_product, ((Var[]){a, b}), 2, NULL, 0);
}

Var pha__gelu(Params p, const char *name, Var x) { return pha__apply(p, name, &pha__op_gelu, &x, 1, NULL, 0); }

/* ---- attention: q, k, v; what comes of them; the map back to the width of the model ---- */

typedef struct Heads {
    Var q, k, v; /* (B, T, Hq dh), (B, T, Hkv dh) twice */
} Heads;

static Heads project(Params p, Var x, const pha__config *c)
{
    int32_t dh = c->d_model / c->n_head;
    Heads h;
    h.q = biased(p, "q", x, c->n_head * dh, GPT2_STD);
    h.k = biased(p, "k", x, c->n_kv_head * dh, GPT2_STD);
    h.v = biased(p, "v", x, c->n_kv_head * dh, GPT2_STD);
    return h;
}

static Var back(Params p, const char *name, Var o, const pha__config *c)
{
    Var z = biased(p, "out", o, c->d_model, pha__gpt2_last(c));                           /* (B, T, D) */
    pha__watch_rms(p, name, z);
    return z;
}

static Var softmax_heads(Params p, Heads h, int32_t window, const pha__config *c)
{
    int32_t dh = c->d_model / c->n_head;
    pha__attention_attr attr = {c->n_head, c->n_kv_head, dh, window, (float)(1 / sqrt(dh)), c->local,
                                (float)c->attn_dropout, dropout_site(p, ATTN_SITE),
                                p.program->options.cache};
    return pha__apply(p, "heads", &pha__op_attention, ((Var[]){h.q, h.k, h.v}), 3, &attr, sizeof attr);
}

Var pha__mha(Params p, const char *name, Var x, const pha__config *c, int layer)
{
    p = sub(part(p, PHA__PART_ATTENTION), name);
    return back(p, name, softmax_heads(p, project(p, x, c), c->window[layer], c), c);
}

/* o_t = sum_s (q_t . k_s) v_s / (sum_s q_t . k_s + eps), s <= t, of features q and k */
static Var weigh(Params p, const char *name, Var q, Var k, Var v, double eps, const pha__config *c)
{
    pha__linear_attention_attr attr = {c->n_head, width(q) / c->n_head, c->d_model / c->n_head, (float)eps};
    Var o = pha__apply(p, "heads", &pha__op_linear_attention, ((Var[]){q, k, v}), 3, &attr, sizeof attr);
    return back(p, name, o, c);
}

Var pha__linear_attention(Params p, const char *name, Var x, const pha__config *c, int layer)
{
    (void)layer;
    p = sub(part(p, PHA__PART_ATTENTION), name);
    Heads h = project(p, x, c);
    Var q = pha__apply(p, "q_features", &pha__op_elu1, &h.q, 1, NULL, 0);
    Var k = pha__apply(p, "k_features", &pha__op_elu1, &h.k, 1, NULL, 0);
    return weigh(p, name, q, k, h.v, 1e-6, c);
}

/* The maps start as the identity and do not decay, so the model starts from features of q and k themselves. */
static Var learned_features(Params p, const char *name, const char *map, Var x, int kind, const pha__config *c)
{
    int32_t dh = c->d_model / c->n_head;
    pha__hedgehog_attr attr = {c->n_head, dh, kind, 1e-12f};
    Var W = pha__param(p, map, c->n_head * dh, dh, PHA__VECTOR, pha__init_identities());
    return pha__apply(p, name, &pha__op_hedgehog, ((Var[]){x, W}), 2, &attr, sizeof attr); /* (B, T, 2 H dh) */
}

Var pha__hedgehog(Params p, const char *name, Var x, int kind, const pha__config *c)
{
    p = sub(part(p, PHA__PART_ATTENTION), name);
    Heads h = project(p, x, c);
    Var q = learned_features(p, "q_features", "map_q", h.q, kind, c);
    Var k = learned_features(p, "k_features", "map_k", h.k, kind, c);
    return weigh(p, name, q, k, h.v, 0, c);
}

Var pha__taught_hedgehog(Params p, const char *name, Var x, const char *loss, int kind, const pha__config *c)
{
    p = sub(part(p, PHA__PART_ATTENTION), name);
    Heads h = project(p, x, c);
    Var q = learned_features(p, "q_features", "map_q", h.q, kind, c);
    Var k = learned_features(p, "k_features", "map_k", h.k, kind, c);
    int32_t dh = c->d_model / c->n_head;
    pha__distill_attr attr = {c->n_head, dh, width(q) / c->n_head, (float)(1 / sqrt(dh)), 1.0f / (float)c->n_layer};
    Var d = pha__apply(p, "distill", &pha__op_distill, ((Var[]){h.q, h.k, q, k}), 4, &attr, sizeof attr);
    pha__loss(p, loss, d, 1.0 / c->n_layer);
    return back(p, name, softmax_heads(p, h, 0, c), c);
}

/* ---- the rest of the block ---- */

Var pha__mlp(Params p, const char *name, Var x, int32_t n, const pha__config *c)
{
    p = sub(part(p, PHA__PART_FFN), name);
    Var h = gelu(p, "hidden", biased(p, "up", x, n, GPT2_STD));                           /* (B, T, F) */
    Var z = biased(p, "down", h, width(x), pha__gpt2_last(c));                            /* (B, T, D) */
    pha__watch_rms(p, name, z);
    return z;
}

Var pha__positions(Params p, const char *name, Var x, const pha__config *c)
{
    p = part(p, PHA__PART_EMBEDDING);
    Var P = pha__param(p, name, c->n_positions, width(x), PHA__MATRIX, pha__init_normal(GPT2_STD));
    pha__positions_attr attr = {(float)c->dropout, dropout_site(p, 0)};
    return pha__apply(p, name, &pha__op_positions, ((Var[]){x, P}), 2, &attr, sizeof attr); /* (B, T, D) */
}
