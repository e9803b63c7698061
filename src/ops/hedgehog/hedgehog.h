/* hedgehog.h -- the learned feature map of Hedgehog, per head (arXiv 2402.04347; baselines.md 8)
 *
 *   y = W_h x_h        softmax: out = [softmax(y); softmax(-y)]        exp: out = e^([y; -y] - max_i |y_i|)
 *
 * and no feature below `floor`; what is raised to it has no gradient. in[0] x (B, T, H dh); in[1] W (H dh, dh), a
 * parameter, head after head. out (B, T, 2 H dh). */
#ifndef PHA__HEDGEHOG_H
#define PHA__HEDGEHOG_H

#include "ops/op.h"

enum { PHA__MAP_SOFTMAX, PHA__MAP_EXP };

typedef struct pha__hedgehog_attr {
    int32_t n_head, head_width; /* H, dh */
    int32_t map;                /* PHA__MAP_* */
    float floor;
} pha__hedgehog_attr;

#endif
