/* session.h -- one text as it is read: a state on the device, the logits of the last token, what can be gone back to */
#ifndef PHA__SESSION_H
#define PHA__SESSION_H

#include <stdatomic.h>

#include "runtime/infer/engine.h"
#include "runtime/infer/session_state.h"

enum { PHA__MARK_EVERY = 64 /* tokens */, PHA__MOST_MARKS = 256 };

/* What a state cannot give back by itself: the fixed parts of earlier positions, multiples of PHA__MARK_EVERY. The mark
 * of position p is number p / PHA__MARK_EVERY mod n. */
typedef struct pha__marks {
    char *memory;      /* n times the fixed bytes, on the device */
    int64_t *position; /* of each mark, -1: none */
    int n;
} pha__marks;

struct pha_session {
    pha_engine *engine;
    char *state;          /* on the device */
    int64_t position;
    int64_t highest;      /* position ever reached: what its tokens overwrote in a ring is lost */
    bool ready;           /* logits are those of the last token */
    bool in_step;         /* seen by the step being checked */
    _Atomic bool stop;    /* asked to stop */
    float *logits;        /* (V) */
    int32_t *ids;         /* the last n_ids; token i lies at i mod n_ids */
    int64_t n_ids, known; /* ids of tokens before `known` are lost */
    pha__marks marks;
    pha__chain chain;     /* where its text is among those that are stored */
};

/* As pha_session_reset, under the engine's lock. */
pha_status pha__session_clear(pha_session *s);

/* Are these ids of tokens for which there is room? */
pha_status pha__session_check(const pha_session *s, const int32_t *ids, size_t n);

/* After a run that has read n tokens: remembers them and moves on. */
pha_status pha__session_advance(pha_session *s, const int32_t *ids, int n);

/* As pha_session_feed; stoppable: a request to the process to stop ends it between two runs with PHA_STOPPED (what was
 * read stays), as one to the session always does. */
pha_status pha__session_read(pha_session *s, const int32_t *ids, size_t n, bool stoppable);

int64_t pha__session_room(const pha_session *s); /* tokens that can still be read */

/* Copies the last min(position, n, known ones) ids, oldest first, and returns their number. */
size_t pha__session_recent(const pha_session *s, int32_t *out, size_t n);

/* Forgets marks behind a position; -1: all. */
void pha__session_forget(pha_session *s, int64_t position);

#endif
