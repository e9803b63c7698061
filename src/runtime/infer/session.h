/* session.h -- one text as it is read: the programs, one block of state, and the logits of the last token */
#ifndef PHA__SESSION_H
#define PHA__SESSION_H

#include "runtime/model.h"
#include "runtime/infer/session_state.h"

enum {
    PHA__SESSION_CHUNK, /* (1, chunk): reads, no head */
    PHA__SESSION_STEP,  /* (1, 1) with logits */
    PHA__SESSION_SCORE, /* (1, min(chunk, 64)) with logits of all; opened when it is first wanted */
    PHA__SESSION_PROGRAMS
};

struct pha_session {
    const pha_model *model;
    pha__device *device;
    pha__weights weights;
    pha__program *program[PHA__SESSION_PROGRAMS];
    pha__exec *exec[PHA__SESSION_PROGRAMS];
    uint64_t fingerprint;  /* of the model */
    int64_t max_context;
    int32_t chunk;
    bool rolling;          /* no layer looks back further than its ring: the text may be longer than max_context */

    char *state;           /* state_bytes of the programs' ops, on the device */
    size_t state_bytes;
    int64_t position;
    bool ready;            /* logits are those of the last token */
    float *logits;         /* (V) */
    int32_t recent[PHA__RECENT]; /* token i lies at i mod PHA__RECENT */
};

/* As pha_session_feed; stoppable: a request to stop ends it between two runs with PHA_STOPPED (what was read stays). */
pha_status pha__session_read(pha_session *s, const int32_t *ids, size_t n, bool stoppable);

int64_t pha__session_room(const pha_session *s); /* tokens that can still be read */

/* Copies the last min(position, n, PHA__RECENT) ids, oldest first, and returns their number. */
size_t pha__session_recent(const pha_session *s, int32_t *out, size_t n);

#endif
