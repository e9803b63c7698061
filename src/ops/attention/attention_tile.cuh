// attention_tile.cuh -- the fast form of attention on a card: bf16, without dropout or chunks
#ifndef PHA__ATTENTION_TILE_H
#define PHA__ATTENTION_TILE_H

#include "backend/cuda/cuda.h"
#include "ops/attention/attention.h"

/* False: this step is not one of those. With a state: as pha__attention_stream. Backward expects delta, sum of do o of
 * each row and head, in a->work. */
bool pha__attention_tile(pha__cuda *c, const pha__args *a, pha__pass pass);

#endif
