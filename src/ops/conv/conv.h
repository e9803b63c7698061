/* conv.h -- depthwise causal convolution: v_t = sum_(j<n) k_j u_(t-j), each channel with n taps of its own
 * (pha.md 8, A7: the option conv4 has n = 4)
 *
 * in[0] u (B, T, S), in[1] taps k (S, n), n from 2 to 8; tap 0 is that of the current token. out v (B, T, S).
 * State: the last n - 1 rows of u, oldest first, (n - 1) S floats. Backward reads u and the taps.
 * Saved: the n - 1 rows before the first token (B, n - 1, S), so that backward is right for a run that began with a
 * carried state, too; they are not written if args->saved is NULL (programs without gradients). */
#ifndef PHA__CONV_H
#define PHA__CONV_H

#include "ops/op.h"

enum { PHA__CONV_MIN = 2, PHA__CONV_MAX = 8 }; /* taps of a channel */

#endif
