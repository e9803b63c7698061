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
    for (int k = 0; k < PHA__RUN_PIECES; k++)
        if (s->made[k]) r->device->backend->forget(r->device, s->made[k]);
    *s = (pha__recording){0};
}

void pha__recordings_close(pha__recordings *r)
{
    for (int i = 0; i < PHA__RECORDINGS; i++) forget(r, &r->slot[i]);
}

static bool same(const pha__recording *a, const pha__recording *b)
{
    return a->B == b->B && a->T == b->T && a->states == b->states && a->pieces == b->pieces && a->more == b->more;
}

pha__recording *pha__recordings_find(pha__recordings *r, const pha__recording *run, bool *again)
{
    pha__recording *s = r->slot;
    *again = false;
    if (r->off) return NULL;
    for (int i = 0; i < PHA__RECORDINGS; i++) {
        pha__recording *x = &r->slot[i];
        if (x->used && same(x, run)) {
            *again = true;
            x->used = ++r->now;
            return x;
        }
        if (x->used < s->used) s = x;
    }
    forget(r, s);
    *s = *run;
    s->used = ++r->now;
    return s;
}
