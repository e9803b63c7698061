/* matmul.h -- linear map y = W x (row form Y = X W^T): in[0] x (B, T, K), in[1] W (N, K), a parameter; out (B, T, N).
 * dX = dY W, dW = dY^T X. Without attributes the output has the storage type of the program. */
#ifndef PHA__MATMUL_H
#define PHA__MATMUL_H

#include "ops/op.h"

typedef struct pha__matmul_attr {
    bool f32; /* the output is fp32 in any program (logits) */
} pha__matmul_attr;

#endif
