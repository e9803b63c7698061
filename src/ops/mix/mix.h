/* mix.h -- fusion of parallel branches by learned weights, with branch norms, dropout and the residual (pha.md 2, 2.1,
 * 10)
 *
 *   y_t   = sum_k w_k RMSNorm_gain_k(z_k,t),    w_k = s_k / sum_j s_j,   s_k = softplus(p_k)
 *   out_t = alpha base_t + beta drop(y_t)
 *   dynamic: s_k,t = softplus(p_k + m_k . u_t)
 *
 * n = 1 without p is a plain norm and residual. With the gain of a norm behind it, out is RMSNorm_gain of the above.
 * Then the sum, fp32 in any program otherwise, is never stored: backward makes it again from base and branches
 * (algorithms.md 6). */
#ifndef PHA__MIX_H
#define PHA__MIX_H

#include <assert.h>

#include "ops/op.h"

#define PHA__MIX_MAX 4 /* branches */

/* The inputs: the only place that numbers them. Those of branch k are PHA__MIX_BRANCH + k and PHA__MIX_GAIN + k. */
enum {
    PHA__MIX_BASE,                                 /* (B, T, D) */
    PHA__MIX_P,                                    /* p (1, n); absent: uniform, w_k = 1/n */
    PHA__MIX_M,                                    /* M (n, D) and */
    PHA__MIX_U,                                    /* u (B, T, D): dynamic weights only */
    PHA__MIX_BRANCH,                               /* z_k (B, T, D) */
    PHA__MIX_GAIN = PHA__MIX_BRANCH + PHA__MIX_MAX, /* gain_k (1, D); absent: 1 */
    PHA__MIX_NORM = PHA__MIX_GAIN + PHA__MIX_MAX,   /* gain (1, D) of the norm of the sum; absent: no norm */
    PHA__MIX_INPUTS                                /* their number */
};
static_assert(PHA__MIX_INPUTS <= PHA__MAX_IN, "an op has room for all inputs of a mix");

typedef struct pha__mix_attr {
    int32_t n;          /* branches, 1..PHA__MIX_MAX */
    float alpha, beta;  /* of the residual */
    float eps;
    float dropout;
    uint32_t site;
    float norm_eps;     /* of the norm of the sum; set by fuse.c */
} pha__mix_attr;

#endif
