/* swiglu.c -- W_down (SiLU(W_gate x) * W_up x) (pha.md 2.4; Shazeer, arXiv 2002.05202) */
#include "nn/nn.h"
#include "ops/silu_mul/silu_mul.h"

Var pha__swiglu(Params p, const char *name, Var x, int32_t n, const pha__config *c)
{
    p = sub(p.part ? p : part(p, PHA__PART_FFN), name);
    pha__init init = pha__init_xavier(pha__beta(c));
    Var g = linear(p, "gate", x, n, init);                                                   /* (B, T, F) */
    Var u = linear(p, "up", x, n, init);                                                     /* (B, T, F) */
    Var a = pha__apply(p, "hidden", &pha__op_silu_mul, ((Var[]){g, u}), 2, NULL, 0);         /* (B, T, F) */
    Var z = linear(p, "down", a, width(x), init);                                            /* (B, T, D) */
    pha__watch_rms(p, name, z);
    return z;
}
