/* shift.h -- state space whose state shifts by one place per token (H3; baselines.md 6), per channel a causal
 * convolution with n taps, the correlation of b and c: v_t = sum_(j<n) k_j u_(t-j) + d u_t, k_j = sum_i b_i c_(i+j)
 *
 * in[0] u (B, T, S), in[1] b (S, n), in[2] c (S, n), n from 2 to 64, in[3] d (1, S). out v (B, T, S).
 * State: the last n - 1 rows of u, oldest first, (n - 1) S floats. Backward reads u and the parameters.
 * Saved: the n - 1 rows before the first token (B, n - 1, S), so that backward is right for a run that began with a
 * carried state, too; they are not written if args->saved is NULL (programs without gradients). */
#ifndef PHA__SHIFT_H
#define PHA__SHIFT_H

#include "ops/op.h"

enum { PHA__SHIFT_MIN = 2, PHA__SHIFT_MAX = 64 }; /* places of the state */

#endif
