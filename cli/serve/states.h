/* states.h -- named states: texts that a tenant goes on with, forks and takes back, without sending them again
 *
 * A state is the tokens of a text and nothing else. What a model makes of them is a function of them, to the bit, and
 * what has been computed of it lies among the texts that were read (pha_session_begin). So going back to any token and
 * forking are copies of numbers, a state costs no session, and one that is exported can be taken in by any build.
 */
#ifndef CLI_SERVE_STATES_H
#define CLI_SERVE_STATES_H

#include <pthread.h>

#include "serve/fault.h"
#include "serve/limits.h"

enum { STATE_ID = 64 /* bytes of a name at most */ };

typedef struct State {
    char id[STATE_ID + 1], tenant[64];
    int32_t *ids;
    size_t n, reserved; /* tokens; that a request which goes on with it may add */
    long created;
    bool busy;          /* there is such a request */
    struct State *next;
} State;

typedef struct States {
    pthread_mutex_t lock;
    State *first;
    const Limits *limits;
} States;

void states_open(States *s, const Limits *limits);
void states_close(States *s);

/* What is told of a state. */
typedef struct StateInfo {
    char id[STATE_ID + 1];
    size_t n;
    long created;
    bool busy;
} StateInfo;

/* Each is false with *f: there is none of this name, or not this tenant's (404), a request goes on with it (409), or a
 * limit is reached (400). `info` may be NULL. A new state gets the name `id`, which must be free or an idle one's, or,
 * for NULL, one of its own. */
bool states_put(States *s, const char *tenant, const char *id, const int32_t *ids, size_t n, StateInfo *info, Fault *f);
bool states_get(States *s, const char *tenant, const char *id, StateInfo *info, Fault *f);
bool states_delete(States *s, const char *tenant, const char *id, Fault *f);
bool states_rewind(States *s, const char *tenant, const char *id, int64_t position, StateInfo *info, Fault *f);
/* Copies of its tokens, to be freed; of the first `position`, -1: all. */
bool states_copy(States *s, const char *tenant, const char *id, int64_t position, int32_t **ids, size_t *n, Fault *f);
/* The tenant's, oldest first; returns how many of them were put into out. */
size_t states_list(States *s, const char *tenant, StateInfo *out, size_t most);

/* For a request that goes on with it and may add so many tokens: as states_copy, and nobody else may until it is left,
 * with other tokens, or for NULL as it was. */
bool states_take(States *s, const char *tenant, const char *id, int32_t **ids, size_t *n, Fault *f);
bool states_reserve(States *s, const char *tenant, const char *id, size_t more, Fault *f);
void states_leave(States *s, const char *tenant, const char *id, const int32_t *ids, size_t n);

#endif
