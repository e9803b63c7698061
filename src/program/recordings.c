/* recordings.c -- a few places, the longest unused of which is taken */
#include "program/recordings.h"

#include "base/env.h"

void pha__recordings_open(pha__recordings *r, pha__device *device)
{
    *r = (pha__recordings){.device = device};
    r->off = !device->backend->begin || !pha__env_flag("PHA_RECORD", true);
}

static void forget(pha__recordings *r, pha__recording *s)
{
    if (s->made) r->device->backend->forget(r->device, s->made);
    *s = (pha__recording){0};
}

void pha__recordings_close(pha__recordings *r)
{
    for (int i = 0; i < PHA__RECORDINGS; i++) forget(r, &r->slot[i]);
}

pha__recording *pha__recordings_find(pha__recordings *r, int B, int T, bool more, const pha__states *states,
                                     bool *again)
{
    int kinds = states ? !!states->now + 2 * !!states->before + 4 * !!states->again : 0;
    pha__recording *s = r->slot;
    *again = false;
    if (r->off) return NULL;
    for (int i = 0; i < PHA__RECORDINGS; i++) {
        pha__recording *x = &r->slot[i];
        if (x->used && x->B == B && x->T == T && x->more == more && x->states == kinds) {
            *again = true;
            x->used = ++r->now;
            return x;
        }
        if (x->used < s->used) s = x;
    }
    forget(r, s);
    *s = (pha__recording){.B = B, .T = T, .more = more, .states = kinds, .used = ++r->now};
    return s;
}
