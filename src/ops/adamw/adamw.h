/* adamw.h -- one AdamW step on parameters that lie side by side (Loshchilov & Hutter, arXiv 1711.05101; pha.md 6), a
 * single pass over memory
 *
 *   g' = scale g;  m <- b1 m + (1-b1) g';  v <- b2 v + (1-b2) g'^2
 *   p <- p - lr wd p;  p <- p - lr (m / c1) / (sqrt(v / c2) + eps),   c1 = 1 - b1^step, c2 = 1 - b2^step
 *
 * in[0] p, in[1] g, in[2] m, in[3] v: fp32 (rows, width) with ld = width; p, m, v are updated in place. out: a bf16
 * copy of p to write, or data NULL. lr, scale, c1 and c2 are those of run->update. Run by the optimizer: B = T = 1,
 * forward only. Tasks are blocks of 4096 elements. Zeros stay zeros, so padding may lie between the parameters. */
#ifndef PHA__ADAMW_H
#define PHA__ADAMW_H

#include "ops/op.h"

typedef struct pha__adamw_attr {
    float beta1, beta2, eps, decay;
    float most; /* lr is at most this */
} pha__adamw_attr;

#endif
