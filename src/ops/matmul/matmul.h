/* matmul.h -- linear map y = W x + b (row form Y = X W^T)
 *
 * in[0] x (B, T, K); in[1] W (N, K), a parameter; in[2] b (1, N), a parameter, optional; or in[2], in[3] and so on: the
 * biases of several maps whose weights are stacked in W, N columns in all. out (B, T, N). dX = dY W, dW = dY^T X, db =
 * sum over tokens of dY. Without attributes the output has the storage type of the program. */
#ifndef PHA__MATMUL_H
#define PHA__MATMUL_H

#include "ops/op.h"

typedef struct pha__matmul_attr {
    bool f32; /* the output is fp32 in any program (logits) */
} pha__matmul_attr;

#endif
