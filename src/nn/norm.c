/* norm.c -- RMSNorm with a learned gain (pha.md 1), LayerNorm with gain and bias (baselines.md 1) */
#include <math.h>

#include "nn/nn.h"
#include "ops/layernorm/layernorm.h"
#include "ops/rmsnorm/rmsnorm.h"

Var pha__rmsnorm_at(Params p, const char *name, Var x, double gain, const char *file, int line)
{
    pha__rmsnorm_attr attr = {RMS_EPS};
    Params norms = part(p, PHA__PART_NORMS);
    Var g = pha__param_at(norms, name, 1, width(x), PHA__VECTOR, pha__init_constant(gain), file, line);
    return pha__apply_at(p, name, &pha__op_rmsnorm, (Var[]){x, g}, 2, &attr, sizeof attr, file, line);
}

Var pha__layernorm_at(Params p, const char *name, Var x, const char *file, int line)
{
    pha__layernorm_attr attr = {LAYER_NORM_EPS};
    Params norm = sub(part(p, PHA__PART_NORMS), name);
    Var gain = pha__param_at(norm, "gain", 1, width(x), PHA__VECTOR, pha__init_constant(1), file, line);
    Var bias = pha__param_at(norm, "bias", 1, width(x), PHA__VECTOR, pha__init_constant(0), file, line);
    return pha__apply_at(p, name, &pha__op_layernorm, (Var[]){x, gain, bias}, 3, &attr, sizeof attr, file, line);
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
