/* gpt2.c -- the pieces of GPT-2 (baselines.md 1): maps with biases, attention, feed-forward, learned positions */
#include <math.h>

#include "base/print.h"
#include "nn/nn.h"
#include "ops/attention/attention.h"
#include "ops/gelu/gelu.h"
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

Var pha__mha(Params p, const char *name, Var x, const pha__config *c, int layer)
{
    p = sub(part(p, PHA__PART_ATTENTION), name);
    int32_t dh = c->d_model / c->n_head;
    Var q = biased(p, "q", x, c->n_head * dh, GPT2_STD);                                  /* (B, T, Hq dh) */
    Var k = biased(p, "k", x, c->n_kv_head * dh, GPT2_STD);                               /* (B, T, Hkv dh) */
    Var v = biased(p, "v", x, c->n_kv_head * dh, GPT2_STD);                               /* (B, T, Hkv dh) */
    pha__attention_attr attr = {c->n_head, c->n_kv_head, dh, c->window[layer], (float)(1 / sqrt(dh))};
    Var o = pha__apply(p, "heads", &pha__op_attention, ((Var[]){q, k, v}), 3, &attr, sizeof attr); /* (B, T, Hq dh) */
    Var z = biased(p, "out", o, c->d_model, pha__gpt2_last(c));                           /* (B, T, D) */
    pha__watch_rms(p, name, z);
    return z;
}

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
