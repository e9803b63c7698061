/* loader.h -- windows of tokens for training and evaluation, as pure functions of a number
 *
 * Nothing here has a position: what a step reads depends on (seed, step) alone, so resuming and any number of readers
 * see the same order.
 */
#ifndef PHA__LOADER_H
#define PHA__LOADER_H

#include "io/tokens.h"

/* Training: the stream is cut into non-overlapping windows of T inputs; the target of the last input is the first token
 * of the next window. What doesn't fill a window is left out, not always the same: the first epoch begins at the first
 * token, the second ends at the last one, so that two epochs have seen everything, and each later one begins at a place
 * between these that (seed, epoch) draws. */
typedef struct pha__loader {
    const pha__tokens *tokens; /* borrowed */
    int32_t T;
    uint64_t seed, windows, left; /* left: targets of the stream that no window of an epoch has, below T a lane */
    uint64_t lanes;               /* of windows in order, which take turns; 1, and shuffled: the usual way */
    bool in_order;
} pha__loader;

/* Fails if the split is shorter than one window. Nothing to close. */
pha_status pha__loader_open(pha__loader *l, const pha__tokens *tokens, int32_t T, uint64_t seed);
/* For states that go from window to window: an epoch is cut into `lanes` stretches of equal length, side by side in the
 * stream, and sequence i is the next window of stretch i mod lanes. Fails if that is less than a window each. */
pha_status pha__loader_open_lanes(pha__loader *l, const pha__tokens *tokens, int32_t T, uint64_t seed, int32_t lanes);
uint64_t pha__loader_windows(const pha__loader *l); /* sequences per epoch */
/* Sequence number `index` = epoch * windows + position; each epoch is its own permutation of all its windows. */
pha_status pha__loader_get(const pha__loader *l, uint64_t index, int32_t *tokens, int32_t *targets);
/* Of the stream's tokens, how many are targets in none of the first n sequences (the very first can be none). */
uint64_t pha__loader_unseen(const pha__loader *l, uint64_t n);

/* Evaluation: windows in order, window w beginning at token w * stride. Every token of the stream except the first is
 * the target of a scored position exactly once. stride = T: no overlap. stride < T: after window 0 only the last
 * `stride` positions are scored, the others are context. */
typedef struct pha__cursor {
    const pha__tokens *tokens; /* borrowed */
    int32_t T, stride;
    uint64_t windows;
} pha__cursor;

/* stride = 0: T. Fails if the split has fewer than two tokens. */
pha_status pha__cursor_open(pha__cursor *c, const pha__tokens *tokens, int32_t T, int32_t stride);
uint64_t pha__cursor_windows(const pha__cursor *c);
/* Fills T tokens and T targets; targets that are not scored are -1. The last window may have only *length inputs;
 * tokens behind them are 0. *scored is the number of targets >= 0, at least 1. */
pha_status pha__cursor_get(const pha__cursor *c, uint64_t window, int32_t *tokens, int32_t *targets, int32_t *length,
                           int32_t *scored);

#endif
