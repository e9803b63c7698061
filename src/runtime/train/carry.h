/* carry.h -- the states in which the windows of a batch begin, where they go on from those of the step before
 *
 * Every sequence of a batch has two: that in which the step begins, and that in which it ends. They change places when
 * the step is whole, so that a step that is left undone has changed nothing.
 */
#ifndef PHA__CARRY_H
#define PHA__CARRY_H

#include "base/config.h"
#include "dist/comm.h"
#include "program/run_block.h"
#include "runtime/infer/state.h"
#include "runtime/train/ranks_file.h"

typedef struct pha__carry {
    pha__device *device; /* NULL: nothing is carried */
    pha__state layout;
    pha__comm *comm;
    int32_t batch, micro; /* sequences of this rank; of a run */
    int64_t position;    /* tokens that every sequence has read before the step */
    char *block[2], *again; /* on the device: `batch` states each, and `micro` for recomputation, else NULL */
    char **now, **before, **spare; /* (batch), (batch), (micro) addresses in them */
    char *all;           /* on the way to or from a file: the states in use of all ranks' sequences, or of one's own */
    int32_t first;       /* of them */
} pha__carry;

/* The tokens that a training program's states must hold: the widest window. BAD_INPUT: the model has something that
 * grows with the text; the message says what and what to do. */
pha_status pha__carry_context(int64_t *context, const pha__config *c, int32_t T);
pha_status pha__carry_open(pha__carry *c, const pha__program *p, pha__device *device, int32_t batch, pha__comm *comm);
void pha__carry_close(pha__carry *c); /* a zeroed one is allowed */

pha_status pha__carry_clear(pha__carry *c); /* the states before the first token */
/* Readies sequences [i, i + micro) for a run. */
pha_status pha__carry_begin(pha__carry *c, int32_t i, pha__states *states);
void pha__carry_end(pha__carry *c, int32_t T); /* a step of T tokens is whole */

/* A file has one tensor (sequences of all ranks, bytes in use / 4). All ranks collect, then the leading one writes; it
 * reads, BAD_INPUT unless it is of `position`, then all spread. Whoever collected drops. */
pha_status pha__carry_collect(pha__carry *c);
pha_status pha__carry_write(const pha__carry *c, const char *path);
pha_status pha__carry_read(pha__carry *c, const char *path, int64_t position);
pha_status pha__carry_spread(pha__carry *c, int64_t position);
void pha__carry_drop(pha__carry *c);
pha__tensor pha__carry_tensor(const pha__carry *c, int64_t position); /* name and shape */
/* BAD_INPUT: the file is not of `position`, or what it holds are no states. */
pha_status pha__carry_check(const pha__carry *c, const pha__safetensors *file, int64_t position);
/* By all ranks (ranks_file.h): each takes its own states, or makes room for them and puts what has come there. */
pha_status pha__carry_take(pha__carry *c);
pha_status pha__carry_room(pha__carry *c, int64_t position);
pha_status pha__carry_put(pha__carry *c, int64_t position);
pha_status pha__carry_pieces(const pha__carry *c, int64_t position, pha__ranks_file *f);

#endif
