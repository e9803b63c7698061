/* mix.h -- fusion of parallel branches by learned weights, with branch norms, dropout and the residual (pha.md 2, 2.1,
 * 10)
 *
 *   y_t   = sum_k w_k RMSNorm_gain_k(z_k,t),    w_k = s_k / sum_j s_j,   s_k = softplus(p_k)
 *   out_t = alpha base_t + beta drop(y_t)
 *   dynamic: s_k,t = softplus(p_k + m_k . u_t)
 *
 * in[0] base (B, T, D); in[1] p (1, n), absent if uniform (w_k = 1/n); in[2] M (n, D) and in[3] u (B, T, D), dynamic
 * only; in[4 + k] z_k (B, T, D); in[8 + k] gain_k (1, D), absent: 1. n = 1 without p is a plain norm and residual.
 * in[12] gain (1, D), optional: out is RMSNorm_gain of the above. Then the sum, fp32 in any program otherwise, is never
 * stored: backward makes it again from base and branches (algorithms.md 6). */
#ifndef PHA__MIX_H
#define PHA__MIX_H

#include "ops/op.h"

#define PHA__MIX_MAX 4

typedef struct pha__mix_attr {
    int32_t n;          /* branches, 1..PHA__MIX_MAX */
    float alpha, beta;  /* of the residual */
    float eps;
    float dropout;
    uint32_t site;
    float norm_eps;     /* of the norm of the sum; set by fuse.c */
} pha__mix_attr;

#endif
