/* linear.c -- y = W x, W (n, width(x)) */
#include "nn/nn.h"

Var pha__linear_at(Params p, const char *name, Var x, int32_t n, pha__init init, const char *file, int line)
{
    Var w = pha__param_at(p, name, n, width(x), PHA__MATRIX, init, file, line);
    return pha__apply_at(p, name, &pha__op_matmul, (Var[]){x, w}, 2, NULL, 0, file, line);
}
