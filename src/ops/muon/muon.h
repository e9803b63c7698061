/* muon.h -- one step of Muon on a matrix: momentum, made orthogonal (Jordan et al., 2024; pha.md 10)
 *
 *   m <- mu m + g',  u = g' + mu m,  g' = scale g                       Nesterov's momentum
 *   X = u / |u|, transposed if it has more rows than columns;  five times  X <- a X + (b A + c A A) X,  A = X X^T
 *   p <- p - lr wd p - lr 0.2 sqrt(max(rows, width)) X                  the size of AdamW's steps, so its rates hold
 *
 * a, b, c = 3.4445, -4.7750, 2.0315: singular values of X end near 1. in[0] p, in[1] g, in[2] m: fp32 (rows, width)
 * with ld = width; p and m are updated in place. out: a bf16 copy of p to write, or data NULL. lr and scale are those
 * of run->update. Run by the optimizer: B = T = 1, forward only. */
#ifndef PHA__MUON_H
#define PHA__MUON_H

#include "ops/op.h"

typedef struct pha__muon_attr {
    float momentum, decay; /* mu, wd */
} pha__muon_attr;

#define PHA__MUON_ROUNDS 5
#define PHA__MUON_A 3.4445f
#define PHA__MUON_B (-4.7750f)
#define PHA__MUON_C 2.0315f
#define PHA__MUON_SIZE 0.2

#endif
