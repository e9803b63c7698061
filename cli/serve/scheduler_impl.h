/* scheduler_impl.h -- what scheduler.c (who runs) and turns.c (the runs) share */
#ifndef CLI_SERVE_SCHEDULER_IMPL_H
#define CLI_SERVE_SCHEDULER_IMPL_H

#include "serve/scheduler.h"
#include "serve/tenants.h"

enum { SCORED = 64 /* tokens of a prompt that are scored at once */, LEAST_PART = 16, MOST_PART = 256,
       PAGE = 64 /* tokens of a page of a stored text */ };

typedef struct Slot {
    pha_session *session; /* opened when it is first wanted */
    Choice *choice;       /* NULL: it is free */
} Slot;

struct Scheduler {
    Server *server;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    Request *inbox, **inbox_end; /* under the lock, as the next five */
    int waiting;                 /* requests that have choices without a slot */
    int there;                   /* requests */
    double a_request;            /* seconds of one, lately */
    bool closing;

    bool joined;                 /* of the thread that opened it */

    /* The engine's thread alone: */
    Tenants tenants;
    Request *first, *last;       /* as they came */
    Slot *slots;
    int n_slots;
    size_t n_readers;            /* of this turn: prompts that are read and not scored */
    double a_step, a_token;      /* seconds of the last step; of a token of a prompt, lately */
    pha_session **sessions;      /* (n_slots), and so the others */
    int32_t *ids;
    Choice **choices, **drawing; /* of a step; of them, those whose next token is drawn */
    pha_draw *draws;
    pha_logprob *best;           /* (n_slots, 1 + the most) */
    float *logits;               /* (n_slots or SCORED, V) */
};

void slot_free(Scheduler *s, Choice *c);
/* A choice has got its `finish`, or ends without one. */
void choice_done(Scheduler *s, Choice *c);
/* The client is told, and every choice of the request ends. */
void request_fail(Scheduler *s, Request *r, const Fault *fault);

/* turns.c: one step of all that decode or whose prompts end soon; one part of another prompt. False: there was none. */
bool turn_step(Scheduler *s);
bool turn_read(Scheduler *s, bool others);

#endif
