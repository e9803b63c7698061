/* worker.h -- a thread for what takes longer than a connection's thread may: JSON, tokenising, long answers */
#ifndef CLI_SERVE_WORKER_H
#define CLI_SERVE_WORKER_H

#include <stdbool.h>

typedef struct Worker Worker;

/* Lies in what it works on, and is the worker's until `run` is called. */
typedef struct Job {
    struct Job *next;
    void (*run)(struct Job *job);
} Job;

Worker *worker_open(void); /* NULL: no memory or no thread */
/* In order. False: the worker is closing, and the job stays the caller's. */
bool worker_push(Worker *w, Job *job);
bool worker_idle(Worker *w);  /* nothing waits, and nothing is worked on */
void worker_stop(Worker *w);  /* after everything that was pushed; from then on nothing is taken */
void worker_close(Worker *w); /* nobody pushes any more */

#endif
