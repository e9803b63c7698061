/* state.h -- the state of a session as bytes on a device: what of it has been used, copied or moved
 *
 * The ops of a program keep a fixed part each and rings with room for tokens (pha__state_layout in op.h). A copy moves
 * the fixed parts and the tokens that have been read, not the room for others.
 */
#ifndef PHA__STATE_H
#define PHA__STATE_H

#include "backend/backend.h"
#include "program/program.h"

typedef struct pha__state_part { /* of one op */
    const pha__node *node;
    size_t offset;
    pha__state_layout layout;
    int64_t lookback; /* tokens that it reads of its lanes; PHA__ALL_TOKENS: all */
} pha__state_part;

typedef struct pha__state {
    pha__state_part *part;
    int n;
    size_t bytes, fixed;  /* of all of it, and of the fixed parts */
} pha__state;

pha_status pha__state_measure(pha__state *s, const pha__program *p);
void pha__state_free(pha__state *s); /* a zeroed one is allowed */

/* Does every layer find all it looks back at in its ring, however long the text is? */
bool pha__state_rolls(const pha__state *s);

/* After `highest` tokens, does every layer still find what it looks back at from `position`? */
bool pha__state_reaches(const pha__state *s, int64_t highest, int64_t position);

/* Bytes that are in use after `position` tokens: the size of a copy. */
size_t pha__state_used(const pha__state *s, int64_t position);

/* Zeroes the fixed parts: the state before the first token. */
pha_status pha__state_clear(const pha__state *s, pha__device *d, char *state);
/* The used bytes from one session to another, from a device to dense memory of the host, and back. */
pha_status pha__state_copy(const pha__state *s, pha__device *d, char *to, const char *from, int64_t position);
pha_status pha__state_download(const pha__state *s, pha__device *d, char *to, const char *state, int64_t position);
pha_status pha__state_upload(const pha__state *s, pha__device *d, char *state, const char *from, int64_t position);
/* The fixed parts alone, to and from a dense mark of s->fixed bytes on the device. */
pha_status pha__state_mark(const pha__state *s, pha__device *d, char *mark, const char *state);
pha_status pha__state_return(const pha__state *s, pha__device *d, char *state, const char *mark);

/* Does every op that counts tokens say `position` in a dense copy on the host? */
pha_status pha__state_check(const pha__state *s, const char *dense, int64_t position, const char *path);

#endif
