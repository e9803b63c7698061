/* check_narrow.c -- the same architecture in small */
#include <string.h>

#include "runtime/check/check.h"

static int32_t at_most(int32_t n, int32_t most) { return n < most ? n : most; }

/* Heads in the same grouping: none, one or two groups of one or two heads. */
static void narrow_heads(pha__config *c)
{
    if (!c->n_head) return;
    int32_t kv = c->n_kv_head ? c->n_kv_head : c->n_head;
    int32_t group = at_most(c->n_head / kv, 2);
    c->n_kv_head = at_most(kv, 2);
    c->n_head = c->n_kv_head * group;
}

static bool differs(const pha__config *c, int a, int b)
{
    return pha__is_attn_layer(c, a) != pha__is_attn_layer(c, b) || !c->window[a] != !c->window[b];
}

/* Two layers: the first one, and the first that is of another kind, else the second. */
static void narrow_layers(pha__config *c)
{
    int second = 1;
    for (int i = c->n_layer - 1; i > 0; i--)
        if (differs(c, 0, i)) second = i;
    bool attn[2] = {pha__is_attn_layer(c, 0), c->n_layer > 1 && pha__is_attn_layer(c, second)};
    c->window[0] = at_most(c->window[0], 7), c->window[1] = at_most(c->window[second], 7);
    memset(c->attn_layers, 0, sizeof c->attn_layers);
    c->n_layer = at_most(c->n_layer, 2);
    for (int i = 0; i < c->n_layer; i++) c->attn_layers[0] |= (uint64_t)attn[i] << i;
    for (int i = c->n_layer; i < PHA__MAX_LAYER; i++) c->window[i] = 0;
}

/* Widths (d_...) and counts that the architecture alone has. */
static void narrow_own(pha__config *c)
{
    for (const pha__config_key *k = pha__model_own(c->arch); k && k->key; k++) {
        if (k->kind != PHA__KEY_INT) continue;
        int32_t *n = (int32_t *)(void *)((char *)c + k->offset);
        *n = at_most(*n, strncmp(k->key, "d_", 2) == 0 ? 64 : 8);
    }
}

void pha__check_narrow(pha__config *out, const pha__config *c)
{
    *out = *c;
    narrow_heads(out);
    narrow_layers(out);
    narrow_own(out);
    out->vocab_size = PHA__CHECK_VOCAB;
    out->d_model = 64;
    out->d_state = at_most(c->d_state, 64);
    out->d_ffn = at_most(c->d_ffn, 96);
    out->d_aux = at_most(c->d_aux, 64);
    out->n_positions = at_most(c->n_positions, 1024);
    out->dropout = 0;
}
