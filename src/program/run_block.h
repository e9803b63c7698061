/* run_block.h -- what changes from run to run, as one block in the memory of the device
 *
 *   pha__run | char *state[3 B] | int32_t tokens[B T] | targets[B T] | order[B T]
 *
 * It is made on the host and uploaded in one piece; on a device whose memory is the host's it is made in its place.
 */
#ifndef PHA__RUN_BLOCK_H
#define PHA__RUN_BLOCK_H

#include "backend/backend.h"
#include "program/program.h"

typedef struct pha__run_block {
    pha__device *device;
    char *made, *there; /* of the host, and of the device; the same if the host may write there */
    int32_t *spare;     /* (B T), for sorting; NULL: no order is made */
} pha__run_block;

/* For runs of up to B sequences and B T tokens. sorts: `order` is made. */
pha_status pha__run_block_open(pha__run_block *r, pha__device *device, int B, int T, bool sorts);
void pha__run_block_close(pha__run_block *r); /* a zeroed one is allowed */

/* Puts one run where args->run and args->state can point. tokens, targets in run, states and members may be NULL. */
pha_status pha__run_block_fill(pha__run_block *r, int B, int T, const pha__run *run, const pha__states *states,
                               const pha__run **run_there, pha__states *states_there);

#endif
