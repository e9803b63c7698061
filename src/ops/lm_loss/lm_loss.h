/* lm_loss.h -- cross-entropy over a tied head without a logits tensor (algorithms.md 5, method A)
 *
 *   nll_t = ln sum_j e^(E_j . h_t) - E_c . h_t,   c = run->targets[t]
 *
 * in[0] h (B, T, D), in[1] E (V, D), a parameter. out (B, T, 2) fp32: nll, and a hit: 1 if c is the argmax (the lowest
 * index wins a tie) else 0; a row with target -1 is not scored and yields 0, 0 and no gradient. Tokens are done in
 * blocks with a workspace of block x V logits; where at most half of them are scored, a kernel may do those alone.
 * Backward computes out too, and the gradients of run->loss_scale * weight * sum nll. */
#ifndef PHA__LM_LOSS_H
#define PHA__LM_LOSS_H

#include "ops/op.h"

enum { PHA__NLL, PHA__HIT, PHA__LOSS_WIDTH }; /* what a row of out is */

typedef struct pha__lm_loss_attr {
    float weight; /* among the losses of a model; without attributes: 1 */
} pha__lm_loss_attr;

#endif
