/* gqa.c -- grouped-query attention: rotary positions, scaled cosine logits (pha.md 2.2; other normalisations: 10)
 *
 *   logit_ts = e^min(tau, ln 100) R_t q/|q| . R_s k/|k|        z = W_out concat_heads(softmax(logit) v)
 */
#include <math.h>

#include "nn/nn.h"
#include "ops/attention/attention.h"
#include "ops/rope/rope.h"
#include "ops/rope_table/rope_table.h"

/* The table of angles is one node for all layers: it lives at the root. */
static Var angles(Params p, const pha__config *c)
{
    pha__rope_table_attr attr = {c->d_model / c->n_head, c->rope_theta};
    return pha__shared(p, "rope", &pha__op_rope_table, &attr, sizeof attr);
}

static Var rotate(Params p, const char *name, Var x, int heads, const pha__config *c, Var tau, Var gain)
{
    static const int norms[] = {[PHA__QK_COSINE] = PHA__NORM_COSINE, [PHA__QK_RMS] = PHA__NORM_RMS,
                                [PHA__QK_DOT] = PHA__NORM_NONE};
    pha__rope_attr attr = {heads, c->d_model / c->n_head, norms[c->qk], c->rope == PHA__ROPE_INTERLEAVED,
                           c->qk == PHA__QK_RMS ? RMS_EPS : 1e-12f};
    return pha__apply(p, name, &pha__op_rope, ((Var[]){x, angles(p, c), tau, gain}), 4, &attr, sizeof attr);
}

/* What the cosines are multiplied by. */
static bool scales(double *out, int n, const pha__seen *tau, const void *attr)
{
    (void)attr;
    for (int i = 0; i < n; i++) out[i] = exp(fmin(tau->data[i], log(100.0)));
    return true;
}

Var pha__gqa(Params p, const char *name, Var x, const pha__config *c, int layer)
{
    p = sub(part(p, PHA__PART_ATTENTION), name);
    int32_t dh = c->d_model / c->n_head;
    Var q = linear(p, "q", x, c->n_head * dh, pha__init_xavier(1));                       /* (B, T, Hq dh) */
    Var k = linear(p, "k", x, c->n_kv_head * dh, pha__init_xavier(1));                    /* (B, T, Hkv dh) */
    Var v = linear(p, "v", x, c->n_kv_head * dh, pha__init_xavier(pha__beta(c)));         /* (B, T, Hkv dh) */

    Var tau = NULL, q_gain = NULL, k_gain = NULL;
    if (c->qk == PHA__QK_COSINE)
        tau = pha__param(p, "tau", 1, c->n_head, PHA__VECTOR, pha__init_constant(log(10.0)));
    if (c->qk == PHA__QK_RMS) {
        q_gain = pha__param(p, "q_gain", 1, dh, PHA__VECTOR, pha__init_constant(1));
        k_gain = pha__param(p, "k_gain", 1, dh, PHA__VECTOR, pha__init_constant(1));
    }
    q = rotate(p, "q_rope", q, c->n_head, c, tau, q_gain);
    k = rotate(p, "k_rope", k, c->n_kv_head, c, NULL, k_gain);

    float scale = c->qk == PHA__QK_COSINE ? 1.0f : (float)(1.0 / sqrt(dh));
    pha__attention_attr attr = {c->n_head, c->n_kv_head, dh, c->window[layer], scale, c->local,
                                (float)c->attn_dropout, dropout_site(p, ATTN_SITE),
                                p.program->options.cache};
    Var o = pha__apply(p, "heads", &pha__op_attention, ((Var[]){q, k, v}), 3, &attr, sizeof attr); /* (B, T, Hq dh) */
    Var z = linear(p, "out", o, c->d_model, pha__init_xavier(pha__beta(c)));              /* (B, T, D) */
    pha__watch_rms(p, name, z);
    if (tau) pha__watch(p, &pha__shown[PHA__SHOW_ATTN_SCALE], scales, NULL, c->n_head, &tau, 1, NULL, 0);
    return z;
}
