/* recordings.h -- runs that a device has recorded, to be repeated with other contents of the same memory
 *
 * All that changes from run to run is in the run block, so a run of the same size over the same kinds of state is the
 * same sequence of launches. A size is recorded when it comes for the second time, in as many pieces as a visitor
 * (program.h) cuts it into. PHA_RECORD=0: never.
 */
#ifndef PHA__RECORDINGS_H
#define PHA__RECORDINGS_H

#include "backend/backend.h"
#include "program/program.h"

enum { PHA__RECORDINGS = 8 }; /* kept at a time */

typedef struct pha__recording {
    int B, T, states, pieces;
    bool more;
    int64_t used;                /* when; 0: free */
    void *made[PHA__RUN_PIECES]; /* NULL: not recorded yet */
} pha__recording;

typedef struct pha__recordings {
    pha__device *device;
    pha__recording slot[PHA__RECORDINGS];
    int64_t now;
    bool off;
} pha__recordings;

void pha__recordings_open(pha__recordings *r, pha__device *device);
void pha__recordings_close(pha__recordings *r); /* a zeroed one is allowed */

/* The place of a run like this (B, T, states, pieces, more), whether it has been recorded or not; in another place the
 * longest unused one is forgotten. NULL: nothing is to be recorded. *again: the run has been here before. */
pha__recording *pha__recordings_find(pha__recordings *r, const pha__recording *run, bool *again);

#endif
