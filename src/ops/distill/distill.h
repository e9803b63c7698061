/* distill.h -- how well the weights of linear attention agree with those of softmax attention (baselines.md 8 (b))
 *
 *   X_ts = scale q_t . k_s,   A_ts = softmax_s(X_t.),   b_ts = f_t . g_s,   R_t = sum_s b_ts         s <= t
 *   nll_t = -sum_s A_ts ln(b_ts / R_t),   entropy_t = -sum_s A_ts ln A_ts                means over the heads
 *
 * in[0] q, in[1] k (B, T, H dh), of the teacher: constants, through which no gradient flows. in[2] f, in[3] g
 * (B, T, H M), features of q and k, all above 0. out (B, T, 2) fp32: nll and entropy, whose difference is the KL
 * divergence. Flash form: tiles of pairs, never a T x T matrix. Backward computes out too, and the gradients of
 * run->loss_scale * weight * sum nll. Every token counts, whatever run->targets says. */
#ifndef PHA__DISTILL_H
#define PHA__DISTILL_H

#include "ops/op.h"

enum { PHA__DISTILL_NLL, PHA__DISTILL_ENTROPY, PHA__DISTILL_WIDTH }; /* what a row of out is */

typedef struct pha__distill_attr {
    int32_t n_head, head_width, n_feature; /* H, dh, M */
    float scale;
    float weight; /* among the losses of a model */
} pha__distill_attr;

#endif
