/* reduction.h -- a vector summed over ranks section by section, while the device goes on with what it is given
 *
 * All ranks add the same sections in the same order. Between devices that have a way of their own messages go beside
 * the device's other work; from memory of the host a thread sends them; from other memory they are sent in the end.
 */
#ifndef PHA__REDUCTION_H
#define PHA__REDUCTION_H

#include "dist/comm.h"

typedef struct pha__reduction pha__reduction;

/* x: as long as parts->cut says, on parts->device; all that is passed outlives the reduction. most: sections between
 * two waits. */
pha_status pha__reduction_open(pha__reduction **out, pha__comm *c, const pha__division *parts, float *x, int most);
void pha__reduction_close(pha__reduction *r); /* NULL is allowed */

/* This rank's numbers [begin, end) will not change any more once the device has done what it was given so far. */
pha_status pha__reduction_add(pha__reduction *r, int64_t begin, int64_t end);
/* All sections added are summed, as by pha__comm_reduce_section; until then no other call has to do with the ranks. */
pha_status pha__reduction_wait(pha__reduction *r);

#endif
