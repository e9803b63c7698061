/* peak.c -- how fast this machine multiplies and adds when nothing else is asked of it
 *
 * Chains of fused multiply-adds that depend only on themselves and stay in registers: no product of matrices can be
 * faster, so this is what their speed is measured against.
 */
#include "backend/cpu/detect.h"
#include "backend/cpu/simd.h"

#define CHAINS (VREGS * 3 / 4) /* enough to hide the latency of two units, and room for the operands */

pha__peak_run PHA__ISA_NAME(pha__peak);

double PHA__ISA_NAME(pha__peak)(int64_t rounds, float *seed)
{
    vf chain[CHAINS], x = vf_set1(seed[0]), y = vf_set1(seed[1]);
    for (int i = 0; i < CHAINS; i++) chain[i] = vf_set1((float)i); /* different, or one chain would do for all */
    for (int64_t r = 0; r < rounds; r++) {
        _Pragma("GCC unroll 32") for (int i = 0; i < CHAINS; i++) chain[i] = vf_fma(chain[i], x, y);
    }
    for (int i = 0; i < CHAINS; i++) seed[2] += vf_sum(chain[i]);
    return 2.0 * VF * CHAINS * (double)rounds;
}
