/* ssm.h -- diagonal state space that does not depend on the data (algorithms.md 2; baselines.md 4 to 6):
 *
 *   y_t = sum_(s<=t) K[t-s] x_s + d x_t,     K[l] = kappa Re sum_n w_n e^(lambda_n D l)
 *   w_n = C_n B_n (e^(lambda_n D) - 1) / lambda_n,     lambda_n = -e^rate_n + i im_n (log_im: i e^im_n)
 *
 * per channel, with steps D = e^log_dt.
 *
 * in[0] x (B, T, P); in[1], in[2] C, real and imaginary (P, N); in[3] rate and in[4] im (P, N), or (1, N): of all
 * channels; in[5] d (1, P); in[6] log_dt (1, P), optional (D = 1); in[7], in[8] B, real and imaginary (P, N), optional
 * together (1). out y (B, T, P).
 *
 * State: s_n, the modes: s_n <- e^(lambda_n D) s_n + x, [channels / 16][modes to 4][re, im][16] floats; y is a
 * weighted sum of them. Without gradients (attr) forward steps through this recurrence, exactly causal and of the same
 * bits however a text is cut. A program with gradients convolves with K instead, by Fourier transforms of the whole
 * sequence: `apart`. Saved for backward: the transform of K. Backward is that of a run from a zero state. */
#ifndef PHA__SSM_H
#define PHA__SSM_H

#include "ops/op.h"

enum { /* inputs */
    PHA__SSM_X, PHA__SSM_C_RE, PHA__SSM_C_IM, PHA__SSM_RATE, PHA__SSM_IM, PHA__SSM_D,
    PHA__SSM_LOG_DT, PHA__SSM_B_RE, PHA__SSM_B_IM, PHA__SSM_INPUTS
};

typedef struct pha__ssm_attr {
    float kappa;    /* 2: modes stand for conjugate pairs, 1 */
    bool log_im;    /* in[4] is ln Im lambda */
    bool gradients; /* of a program with gradients: convolve */
} pha__ssm_attr;

enum { PHA__SSM_CHANNELS = 16, PHA__SSM_MODES = 4 }; /* sizes are rounded up to these in state and saved */

/* Points of the transforms for T tokens (those of backend/cpu/fft.h). Modes are made and read 64 tokens at a time. */
static inline int64_t pha__ssm_points(int64_t T)
{
    int64_t n = 64;
    while (n < T) n *= 2;
    return n;
}

#endif
