/* positions.h -- learned positions: out = drop(x + P[t]), t the place of the token in its text from 0 (baselines.md 1)
 *
 * in[0] x (B, T, D); in[1] P (N, D), a parameter: a text has at most N tokens. out (B, T, D). State: the position of
 * the session's next token; without state t counts from 0. Backward is from 0, too: its rows are the first T of P. */
#ifndef PHA__POSITIONS_H
#define PHA__POSITIONS_H

#include "ops/op.h"

typedef struct pha__positions_attr {
    float dropout; /* rate, 0: none */
    uint32_t site; /* names the mask: layer * 8 + site */
} pha__positions_attr;

#endif
