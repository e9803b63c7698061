/* config_check.c -- what must hold between the keys of a configuration */
#include "io/config_check.h"

#include <math.h>

#include "base/print.h"

double pha__config_alpha(const pha__config *c) { return pow(2.0 * c->n_layer, 0.25); }

/* Rotary positions turn pairs, so the head width is even and d_model a multiple of 2 n_head. */
static pha_status check_heads(pha__config *c, const char *where)
{
    if (c->n_head == 0) FAIL(BAD_INPUT, "%s: 'n_head' is missing (there is an attention branch)", where);
    if (c->n_kv_head == 0) c->n_kv_head = c->n_head;
    int step = 2 * c->n_head, low = c->d_model / step * step;
    if (c->d_model % step != 0) {
        char nearest[40];
        if (low == 0) pha__print(nearest, sizeof nearest, "%d", step);
        else pha__print(nearest, sizeof nearest, "%d, %d", low, low + step);
        if (c->d_model % c->n_head != 0)
            FAIL(BAD_INPUT, "%s: d_model = %d is not a multiple of n_head = %d (nearest: %s)", where, c->d_model,
                 c->n_head, nearest);
        FAIL(BAD_INPUT, "%s: the head width d_model / n_head = %d / %d = %d is odd (nearest d_model: %s)", where,
             c->d_model, c->n_head, c->d_model / c->n_head, nearest);
    }
    if (c->n_kv_head > c->n_head || c->n_head % c->n_kv_head != 0)
        FAIL(BAD_INPUT, "%s: n_head = %d is not a multiple of n_kv_head = %d", where, c->n_head, c->n_kv_head);
    for (int layer = 0; layer < c->n_layer && c->local; layer++)
        if (c->window[layer])
            FAIL(BAD_INPUT,
                 "%s: layer %d has a window of %d and local = %d, two ways to cut attention short; remove one",
                 where, layer, c->window[layer], c->local);
    return PHA_OK;
}

static pha_status check_state(const pha__config *c, const char *where)
{
    if (c->d_state == 0) FAIL(BAD_INPUT, "%s: 'd_state' is missing (there is a gss branch)", where);
    int of = c->gss_state == PHA__STATE_COMPLEX ? 32 : 16, low = c->d_state / of * of;
    if (c->d_state % of != 0)
        FAIL(BAD_INPUT, "%s: d_state = %d is not a multiple of %d%s (nearest: %d, %d)", where, c->d_state, of,
             of == 32 ? ", as pairs are with gss_state = complex" : "", low, low + of);
    return PHA_OK;
}

pha_status pha__config_check(pha__config *c, const char *where)
{
    if (c->alpha == 0) c->alpha = pha__config_alpha(c);
    if (c->branches & PHA__BRANCH_ATTN) TRY(check_heads(c, where));
    if (c->branches & PHA__BRANCH_GSS) TRY(check_state(c, where));
    if (c->branches & PHA__BRANCH_AUX && c->d_aux == 0)
        FAIL(BAD_INPUT, "%s: 'd_aux' is missing (there is an aux branch)", where);
    return PHA_OK;
}
