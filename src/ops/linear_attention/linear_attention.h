/* linear_attention.h -- attention whose weights are products of features, as a recurrence (baselines.md 7 and 8)
 *
 *   S_t = S_(t-1) + k_t v_t^T,   n_t = n_(t-1) + k_t,   o_t = S_t^T q_t / (q_t . n_t + eps)        per head
 *
 * in[0] q, in[1] k (B, T, H M), M features of a head, none negative; in[2] v (B, T, H dh). out o (B, T, H dh). State:
 * S (H, M, dh), then n (H, M), fp32, whatever the length of the text. Saved: 1 / (q . n + eps) (B, T, H); where the
 * output is stored as bf16, also o as fp32 (B, T, H dh): the gradients of q and k are differences with it, and values
 * that tokens have in common would leave nothing but the error of rounding. Backward is from a zero state. */
#ifndef PHA__LINEAR_ATTENTION_H
#define PHA__LINEAR_ATTENTION_H

#include "ops/op.h"

typedef struct pha__linear_attention_attr {
    int32_t n_head, n_feature, head_width; /* H, M, dh */
    float eps;
} pha__linear_attention_attr;

#endif
