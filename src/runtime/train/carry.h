/* carry.h -- the states in which the windows of a batch begin, where they go on from those of the step before
 *
 * Every sequence of a batch has two: that in which the step begins, and that in which it ends. They change places when
 * the step is whole, so that a step that is left undone has changed nothing.
 */
#ifndef PHA__CARRY_H
#define PHA__CARRY_H

#include "base/config.h"
#include "program/run_block.h"
#include "runtime/infer/state.h"

typedef struct pha__carry {
    pha__device *device; /* NULL: nothing is carried */
    pha__state layout;
    int32_t batch, micro;
    int64_t position;    /* tokens that every sequence has read before the step */
    char *block[2], *again; /* on the device: `batch` states each, and `micro` for recomputation, else NULL */
    char **now, **before, **spare; /* (batch), (batch), (micro) addresses in them */
} pha__carry;

/* The tokens that a training program's states must hold: the widest window. BAD_INPUT: the model has something that
 * grows with the text; the message says what and what to do. */
pha_status pha__carry_context(int64_t *context, const pha__config *c, int32_t T);
pha_status pha__carry_open(pha__carry *c, const pha__program *p, pha__device *device, int32_t batch);
void pha__carry_close(pha__carry *c); /* a zeroed one is allowed */

pha_status pha__carry_clear(pha__carry *c); /* the states before the first token */
/* Readies sequences [i, i + micro) for a run. */
pha_status pha__carry_begin(pha__carry *c, int32_t i, pha__states *states);
void pha__carry_end(pha__carry *c, int32_t T); /* a step of T tokens is whole */

/* As one tensor (batch, bytes in use / 4) of a file. Reading fails with BAD_INPUT unless it is of `position`. */
pha_status pha__carry_write(const pha__carry *c, const char *path);
pha_status pha__carry_read(pha__carry *c, const char *path, int64_t position);

#endif
