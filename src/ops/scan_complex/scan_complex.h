/* scan_complex.h -- the gated state space with a complex transition: h_t = g_t (a h_(t-1) + c u_t), where h, u and
 * a = exp(-exp(theta) + i omega) are complex and the gate g = sigmoid(z + bias) is one of a pair (pha.md 10)
 *
 * N pairs; a row of S = 2 N numbers has the real parts, then the imaginary ones. in[0] z (B, T, N), in[1] u (B, T, S),
 * in[2] theta (1, N), in[3] omega (1, N) in radians a token; in[4] bias (1, N), optional; in[5] c (1, N), a constant,
 * optional (1), never differentiated. out h (B, T, S). State: h, S floats. Backward reads h. Saved: h before the first
 * token (B, S); nothing if args->saved is NULL. */
#ifndef PHA__SCAN_COMPLEX_H
#define PHA__SCAN_COMPLEX_H

#include "ops/op.h"

#endif
