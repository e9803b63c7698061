/* norm.c -- RMSNorm with a learned gain (pha.md 1) */
#include <math.h>

#include "nn/nn.h"
#include "ops/rmsnorm/rmsnorm.h"

Var pha__rmsnorm_at(Params p, const char *name, Var x, double gain, const char *file, int line)
{
    pha__rmsnorm_attr attr = {RMS_EPS};
    Params norms = part(p, PHA__PART_NORMS);
    Var g = pha__param_at(norms, name, 1, width(x), PHA__VECTOR, pha__init_constant(gain), file, line);
    return pha__apply_at(p, name, &pha__op_rmsnorm, (Var[]){x, g}, 2, &attr, sizeof attr, file, line);
}

static bool rms(double *out, int n, const pha__seen *z, const void *attr)
{
    double sum = 0;
    (void)n, (void)attr;
    for (int64_t i = 0; i < z->rows * z->width; i++) sum += (double)z->data[i] * z->data[i];
    out[0] = sqrt(sum / (double)z->rows / z->width);
    return true;
}

void pha__watch_rms(Params p, const char *name, Var z)
{
    pha__watch(p, &pha__shown[PHA__SHOW_BRANCH_RMS], rms, &name, 1, &z, 1, NULL, 0);
}
