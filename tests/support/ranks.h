/* ranks.h -- ranks as threads of one process, for tests: a transport by which they hand each other memory */
#ifndef RANKS_H
#define RANKS_H

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "dist/comm.h"

typedef struct ranks_box { /* from one rank to another */
    const void *data;
    size_t size;
    bool full;
} ranks_box;

typedef struct ranks_room {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int size, number;
    int64_t exchanged; /* bytes that went from a rank to another */
    ranks_box box[64][64];
} ranks_room;

typedef struct ranks_one {
    ranks_room *room;
    int rank;
    pha__comm comm;
    void (*body)(pha__comm *comm, void *context);
    void *context;
    pthread_t thread;
} ranks_one;

static inline pha_status ranks_exchange(void *self, int peer, const void *out, size_t n_out, void *in, size_t n_in)
{
    ranks_one *r = self;
    ranks_box *to = &r->room->box[r->rank][peer], *from = &r->room->box[peer][r->rank];
    pthread_mutex_lock(&r->room->mutex);
    if (n_out) *to = (ranks_box){out, n_out, true}, r->room->exchanged += (int64_t)n_out;
    pthread_cond_broadcast(&r->room->changed);
    while (n_in && !from->full) pthread_cond_wait(&r->room->changed, &r->room->mutex);
    if (n_in) {
        assert(from->size == n_in); /* the two do the same call */
        memcpy(in, from->data, n_in);
        from->full = false;
        pthread_cond_broadcast(&r->room->changed);
    }
    while (n_out && to->full) pthread_cond_wait(&r->room->changed, &r->room->mutex);
    pthread_mutex_unlock(&r->room->mutex);
    return PHA_OK;
}

static inline const char *ranks_name(void *self, int rank)
{
    (void)self, (void)rank;
    return "a thread";
}

static inline void ranks_leave(void *self) { (void)self; }

static inline void ranks_abandon(void *self, int code)
{
    (void)self, (void)code;
    abort(); /* the others would wait for ever */
}

static const pha__transport ranks_transport = {ranks_exchange, ranks_name, ranks_leave, ranks_abandon};

static inline void *ranks_main(void *self)
{
    ranks_one *r = self;
    if (!pha__comm_make(&r->comm)) r->body(&r->comm, r->context);
    pha__comm_free(&r->comm);
    return NULL;
}

/* Runs a function as `size` ranks; returns the bytes that were exchanged. */
static inline int64_t ranks_run(int size, void (*body)(pha__comm *comm, void *context), void *context)
{
    static ranks_room room;
    ranks_one *all = calloc((size_t)size, sizeof *all);
    memset(&room, 0, sizeof room);
    pthread_mutex_init(&room.mutex, NULL);
    pthread_cond_init(&room.changed, NULL);
    for (int r = 0; r < size; r++) {
        all[r] = (ranks_one){.room = &room, .rank = r, .body = body, .context = context};
        all[r].comm = (pha__comm){.rank = r, .size = size, .locals = size, .local = r, .any_thread = true,
                                  .transport = &ranks_transport, .self = &all[r]};
        pthread_create(&all[r].thread, NULL, ranks_main, &all[r]);
    }
    for (int r = 0; r < size; r++) pthread_join(all[r].thread, NULL);
    free(all);
    return room.exchanged;
}

#endif
