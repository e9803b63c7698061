/* ssm_modes.h -- from the parameters of a state space to the kernel K of its convolution and back, sixteen channels at
 * a time */
#ifndef PHA__SSM_MODES_H
#define PHA__SSM_MODES_H

#include "backend/cpu/kernel.h"
#include "ops/ssm/ssm.h"

#define pha__ssm_recurrence PHA__ISA_NAME(pha__ssm_recurrence)
#define pha__ssm_make PHA__ISA_NAME(pha__ssm_make)
#define pha__ssm_gradients PHA__ISA_NAME(pha__ssm_gradients)
#define pha__ssm_modes_scratch PHA__ISA_NAME(pha__ssm_modes_scratch)

enum { CH = PHA__SSM_CHANNELS, MODES = 32, STEPS = 64 }; /* modes and powers of e^(lambda D) of a block */

size_t pha__ssm_modes_scratch(void); /* bytes that each of these needs */

/* What steps the modes of group g: m = e^(lambda D) - 1 and w = kappa C B m / lambda, [n][re, im][CH]; n is N rounded
 * up, and the modes and channels beyond N and P have w = 0. */
void pha__ssm_recurrence(const pha__args *a, int64_t g, float *m, float *w, void *scratch);

/* K of group g for l < T rounded up to 64, at K + (l * VF) + (c / VF) * points * VF + c % VF, zero beyond. */
void pha__ssm_make(const pha__args *a, int64_t g, float *K, int64_t points, void *scratch);

/* Gradients of all parameters but d from dK, laid out as K, zero beyond T. Where rate and im are those of all channels
 * the sums over this group's go to `shared` (2, N) instead, to be added up. */
void pha__ssm_gradients(const pha__args *a, int64_t g, const float *dK, int64_t points, double *shared, void *scratch);

static inline bool pha__ssm_shared(const pha__args *a) { return a->in[PHA__SSM_RATE].rows == 1; }

#endif
