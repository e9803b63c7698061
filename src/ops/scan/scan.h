/* scan.h -- gated diagonal state space: h_t = g_t (a h_(t-1) + c u_t), g = sigmoid(z + bias), a = exp(-exp(theta))
 * (pha.md 2.3, Eq. 2 of the paper; backward algorithms.md 1.1), or SiLU(f_t) h_t, filtered by features
 *
 * in[0] z (B, T, S), in[1] u (B, T, S), in[2] theta (1, S); in[3] bias (1, S), optional; in[4] c (1, S), a constant,
 * optional (1), never differentiated; in[5] f (B, T, S), optional. out h or SiLU(f) h (B, T, S). State: h, S floats.
 * Backward reads h, so nothing is recomputed: it is the output, or, with a filter, stands behind the rest of what is
 * saved. Saved: h before the first token (B, S), so that backward is right for a run that began with a carried state,
 * too; with a filter h (B, T, S) in the format of the output. Nothing is saved if args->saved is NULL (programs without
 * gradients). */
#ifndef PHA__SCAN_H
#define PHA__SCAN_H

#include "ops/op.h"

#endif
