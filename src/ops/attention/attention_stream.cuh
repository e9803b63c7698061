// attention_stream.cuh -- attention in sessions on a card, whose keys and values lie in the ring of the state
#ifndef PHA__ATTENTION_STREAM_H
#define PHA__ATTENTION_STREAM_H

#include "backend/cuda/cuda.h"
#include "ops/attention/attention.h"

/* False: not a run of a session, or one whose heads it has no kernel for. Expects the keys and values of this run in
 * the ring, and the count as it was before them. */
bool pha__attention_stream(pha__cuda *c, const pha__args *a);
/* Whether a run of this size goes there: then the ring holds all that its tokens see, once those of the run are in. */
bool pha__attention_streams(const pha__args *a);
size_t pha__attention_stream_work(const pha__args *a); /* bytes */

#endif
