/* norm.c -- RMSNorm with a learned gain (pha.md 1) */
#include "nn/nn.h"
#include "ops/rmsnorm/rmsnorm.h"

Var pha__rmsnorm_at(Params p, const char *name, Var x, double gain, const char *file, int line)
{
    pha__rmsnorm_attr attr = {RMS_EPS};
    Var g = pha__param_at(p, name, 1, width(x), PHA__VECTOR, pha__init_constant(gain), file, line);
    return pha__apply_at(p, name, &pha__op_rmsnorm, (Var[]){x, g}, 2, &attr, sizeof attr, file, line);
}
