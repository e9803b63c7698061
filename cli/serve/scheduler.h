/* scheduler.h -- the engine's thread: which sequences run, and the runs
 *
 * A tick: take what has come and what has gone; give free slots to waiting choices; one step of all sequences that
 * decode; one part of one prompt. What a sequence gets does not depend on what runs beside it: a step and a part of a
 * prompt give each session the bits that it would get alone, and draws are functions of logits, seed and number.
 */
#ifndef CLI_SERVE_SCHEDULER_H
#define CLI_SERVE_SCHEDULER_H

#include "serve/completion.h"

typedef struct Scheduler Scheduler;

bool scheduler_open(Scheduler **out, Server *s); /* false: no memory or no thread */
/* Takes the request over. False: it stays the caller's, and *fault says why (429: too many wait). */
bool scheduler_submit(Scheduler *s, Request *r, Fault *fault);
bool scheduler_idle(Scheduler *s);
/* Ends what is under way, with an error to those who wait; from then on nothing is taken. */
void scheduler_stop(Scheduler *s);
void scheduler_close(Scheduler *s); /* nobody submits any more */

#endif
