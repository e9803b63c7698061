/* prefix.h -- texts that have been read, kept as pages of 64 tokens that other sessions can begin with
 *
 * A page has its tokens, its parent (the page before it), the lanes of its tokens, and, where a run ended with it, the
 * fixed part of the state behind it. Given its parents, a page with a fixed part is enough to go on from. Pages belong
 * to a tenant by the root of their chain. All of it lies in the host's memory, in so many bytes; what was used least
 * recently goes first, children before parents. Everything is called under the engine's lock.
 */
#ifndef PHA__PREFIX_H
#define PHA__PREFIX_H

#include "pha.h"
#include "runtime/infer/state.h"

enum { PHA__PAGE = 64 /* tokens */ };

typedef struct pha__prefix pha__prefix;

/* The page behind which a session stands; a session keeps one and passes it back. */
typedef struct pha__chain {
    int32_t page;    /* PHA__ROOT: before the first one; PHA__NO_PAGE: its text is not followed */
    uint32_t age;    /* of the page, to know it again */
    uint64_t tenant;
    int64_t position; /* tokens up to the end of the page */
} pha__chain;
enum { PHA__ROOT = -1, PHA__NO_PAGE = -2 };

/* NULL: no memory. A layout whose rings are too small for a page is kept nothing of. */
pha__prefix *pha__prefix_open(const pha__state *layout, size_t bytes);
void pha__prefix_close(pha__prefix *p);

/* Keeps what a session has read since its chain: up to `position`, whose tokens are in ids[i mod n_ids]. Never fails:
 * what there is no room for is not kept. */
void pha__prefix_add(pha__prefix *p, pha__chain *chain, pha__device *d, char *state, const int32_t *ids, int64_t n_ids,
                     int64_t position);

/* The longest stored beginning of n ids, of at most n - 1 tokens, into a state; *reuse says how long it is, and why it
 * isn't longer. */
pha_status pha__prefix_find(pha__prefix *p, pha__chain *chain, pha__device *d, char *state, const int32_t *ids,
                            size_t n, pha_reuse *reuse);
size_t pha__prefix_bytes(const pha__prefix *p);

#endif
