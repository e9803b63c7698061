/* worker.c -- one thread and its queue */
#include "serve/worker.h"

#include <pthread.h>
#include <stdlib.h>

struct Worker {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    Job *first, **last; /* under the lock */
    bool busy, closing, joined;
};

static Job *pop(Worker *w)
{
    pthread_mutex_lock(&w->lock);
    w->busy = false;
    while (!w->first && !w->closing) pthread_cond_wait(&w->more, &w->lock);
    Job *job = w->first;
    if (job && !(w->first = job->next)) w->last = &w->first;
    w->busy = job != NULL;
    pthread_mutex_unlock(&w->lock);
    return job;
}

static void *work(void *context)
{
    for (Job *job; (job = pop(context));) job->run(job);
    return NULL;
}

Worker *worker_open(void)
{
    Worker *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    w->last = &w->first;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->more, NULL);
    if (pthread_create(&w->thread, NULL, work, w) == 0) return w;
    pthread_cond_destroy(&w->more);
    pthread_mutex_destroy(&w->lock);
    free(w);
    return NULL;
}

bool worker_push(Worker *w, Job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&w->lock);
    bool open = !w->closing;
    if (open) {
        *w->last = job, w->last = &job->next;
        pthread_cond_signal(&w->more);
    }
    pthread_mutex_unlock(&w->lock);
    return open;
}

bool worker_idle(Worker *w)
{
    if (!w) return true;
    pthread_mutex_lock(&w->lock);
    bool idle = !w->busy && !w->first;
    pthread_mutex_unlock(&w->lock);
    return idle;
}

void worker_stop(Worker *w)
{
    if (!w || w->joined) return;
    pthread_mutex_lock(&w->lock);
    w->closing = true;
    pthread_cond_signal(&w->more);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    w->joined = true;
}

void worker_close(Worker *w)
{
    if (!w) return;
    worker_stop(w);
    pthread_cond_destroy(&w->more);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
