/* embed.h -- token embedding: x_t = drop(scale * E[c_t]), scale = sqrt(D) in pha.md 2
 *
 * in[0] E (V, D), a parameter; the ids are run->tokens. out (B, T, D). The gradient sums the rows of equal tokens in
 * order of position, without atomics (algorithms.md 5). */
#ifndef PHA__EMBED_H
#define PHA__EMBED_H

#include "ops/op.h"

typedef struct pha__embed_attr {
    float scale;
    float dropout; /* rate, 0: none */
    uint32_t site; /* names the mask: layer * 8 + site */
} pha__embed_attr;

#endif
