/* reduction.c -- sections wait in a list; a thread or the device sends one after another */
#include "dist/reduction.h"

#include <pthread.h>

#include "base/mem.h"
#include "dist/wire.h"

typedef struct section {
    int64_t begin, end;
} section;

struct pha__reduction {
    pha__comm *comm;
    pha__division parts;
    float *x;
    section *sections;
    int most, added, sent;

    /* where memory of the host is sent by a thread; all below and `added` and `sent` under the mutex */
    bool beside, over;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t more, done;
    pha_status status;
    pha__message message; /* with it */
};

static bool by_wire(const pha__reduction *r) { return r->parts.wire && r->parts.wire->link; }

static pha_status sum(pha__reduction *r, const section *s)
{
    return pha__comm_reduce_section(r->comm, &r->parts, r->x, s->begin, s->end);
}

static void *send_all(void *self)
{
    pha__reduction *r = self;
    pthread_mutex_lock(&r->mutex);
    for (;;) {
        while (r->sent == r->added && !r->over) pthread_cond_wait(&r->more, &r->mutex);
        if (r->sent == r->added) break;
        section next = r->sections[r->sent];
        pha_status status = r->status;
        pthread_mutex_unlock(&r->mutex);
        if (!status && (status = sum(r, &next))) r->message = pha__message_keep();
        pthread_mutex_lock(&r->mutex);
        r->status = status; /* what follows a failure is not sent: the ranks are lost to each other */
        r->sent++;
        pthread_cond_signal(&r->done);
    }
    pthread_mutex_unlock(&r->mutex);
    return NULL;
}

static pha_status open_thread(pha__reduction *r)
{
    const pha__device *d = r->parts.device;
    if (by_wire(r) || !r->comm->any_thread || (d && !d->backend->host_memory)) return PHA_OK;
    pthread_mutex_init(&r->mutex, NULL);
    pthread_cond_init(&r->more, NULL);
    pthread_cond_init(&r->done, NULL);
    r->beside = !pthread_create(&r->thread, NULL, send_all, r);
    if (!r->beside) FAIL(NO_MEMORY, "no thread to send gradients with");
    return PHA_OK;
}

pha_status pha__reduction_open(pha__reduction **out, pha__comm *c, const pha__division *parts, float *x, int most)
{
    pha__reduction *r = pha__alloc_zero(1, sizeof *r);
    *out = NULL;
    if (!r) return PHA_NO_MEMORY;
    *r = (pha__reduction){.comm = c, .parts = *parts, .x = x, .most = most};
    r->sections = pha__alloc((size_t)most, sizeof *r->sections);
    pha_status status = r->sections ? open_thread(r) : PHA_NO_MEMORY;
    if (status) pha__reduction_close(r);
    else *out = r;
    return status;
}

void pha__reduction_close(pha__reduction *r)
{
    if (!r) return;
    if (r->beside) {
        pthread_mutex_lock(&r->mutex);
        r->over = true;
        pthread_cond_signal(&r->more);
        pthread_mutex_unlock(&r->mutex);
        pthread_join(r->thread, NULL);
        pthread_cond_destroy(&r->done);
        pthread_cond_destroy(&r->more);
        pthread_mutex_destroy(&r->mutex);
    }
    pha__free(r->sections);
    pha__free(r);
}

pha_status pha__reduction_add(pha__reduction *r, int64_t begin, int64_t end)
{
    if (r->added == r->most) FAIL(FAILED, "more than %d sections of a sum", r->most);
    if (r->beside) pthread_mutex_lock(&r->mutex);
    r->sections[r->added++] = (section){begin, end};
    if (r->beside) {
        pthread_cond_signal(&r->more);
        pthread_mutex_unlock(&r->mutex);
        return PHA_OK;
    }
    if (!by_wire(r)) return PHA_OK;
    TRY(pha__wire_aside(r->parts.wire, true));
    pha_status status = sum(r, &r->sections[r->sent++]);
    pha_status back = pha__wire_aside(r->parts.wire, false);
    return status ? status : back;
}

static pha_status wait_for_thread(pha__reduction *r)
{
    pthread_mutex_lock(&r->mutex);
    while (r->sent < r->added) pthread_cond_wait(&r->done, &r->mutex);
    pha_status status = r->status;
    r->added = r->sent = 0;
    pthread_mutex_unlock(&r->mutex);
    if (status) pha__message_restore(&r->message);
    return status;
}

pha_status pha__reduction_wait(pha__reduction *r)
{
    if (r->beside) return wait_for_thread(r);
    for (; r->sent < r->added; r->sent++) TRY(sum(r, &r->sections[r->sent]));
    r->added = r->sent = 0;
    return by_wire(r) ? pha__wire_join(r->parts.wire) : PHA_OK;
}
