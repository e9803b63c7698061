/* prefix.h -- texts that have been read, kept as pages of 64 tokens that other sessions can begin with
 *
 * A page has its tokens, its parent (the page before it), the lanes of its tokens, and, where a run ended with it, the
 * fixed part of the state behind it. Given its parents, a page with a fixed part is enough to go on from. Pages belong
 * to a tenant by the root of their chain. They lie in the host's memory, in so many bytes; what was used least recently
 * goes first, children before parents, and to a folder if there is one (prefix_disk.h), from which it is recalled.
 * Adding and finding happen under the engine's lock and never wait for the folder; recalling does without that lock.
 */
#ifndef PHA__PREFIX_H
#define PHA__PREFIX_H

#include "pha.h"
#include "runtime/infer/prefix_disk.h"
#include "runtime/infer/state.h"

typedef struct pha__prefix pha__prefix;

/* The page behind which a session stands; a session keeps one and passes it back. */
typedef struct pha__chain {
    int32_t page;    /* PHA__ROOT: before the first one; PHA__NO_PAGE: its text is not followed */
    uint32_t age;    /* of the page, to know it again */
    pha__key root;   /* of the tenant */
    int64_t position; /* tokens up to the end of the page */
} pha__chain;
enum { PHA__ROOT = -1, PHA__NO_PAGE = -2 };

typedef struct pha__prefix_options {
    size_t bytes;       /* of memory, also for what waits to be written */
    const char *folder; /* NULL: none */
    uint64_t disk;      /* bytes there */
    const char *bits;   /* whatever decides the bits of a state, as text */
} pha__prefix_options;

/* A layout whose rings are too small for a page is kept nothing of. */
pha_status pha__prefix_open(pha__prefix **out, const pha__state *layout, const pha__prefix_options *o);
void pha__prefix_close(pha__prefix *p); /* first writes what fits into the folder; NULL is allowed */

pha__key pha__prefix_root(const char *tenant);

/* Keeps what a session has read since its chain: up to `position`, whose tokens are in ids[i mod n_ids]. Never fails:
 * what there is no room for is not kept. */
void pha__prefix_add(pha__prefix *p, pha__chain *chain, pha__device *d, char *state, const int32_t *ids, int64_t n_ids,
                     int64_t position);

/* The longest beginning of n ids that lies in memory, of at most n - 1 tokens, into a state; *reuse says how long it
 * is, and why it isn't longer. */
pha_status pha__prefix_find(pha__prefix *p, pha__chain *chain, pha__device *d, char *state, const int32_t *ids,
                            size_t n, pha_reuse *reuse);

/* From the folder into memory what it has of the beginning of a text; returns the tokens of it that came. */
int64_t pha__prefix_recall(pha__prefix *p, pha__key root, const int32_t *ids, size_t n);

void pha__prefix_count(pha__prefix *p, pha_texts_info *out);

#endif
