/* wire.c -- all ranks agree on the way before any of them uses it */
#include "dist/wire.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

/* The first rank that has not come this far; -1: all have. */
static pha_status who_lacks(pha__comm *c, bool mine, int *first)
{
    int32_t *has = pha__alloc((size_t)c->size, sizeof *has);
    if (!has) return PHA_NO_MEMORY;
    has[c->rank] = mine;
    pha_status status = pha__comm_all_gather(c, has, sizeof *has);
    *first = -1;
    for (int r = c->size - 1; r >= 0 && !status; r--)
        if (!has[r]) *first = r;
    pha__free(has);
    return status;
}

/* Do all have what is needed? If not, the way is closed, and the first that lacks it says why. */
static pha_status all_have(pha__wire *w, pha__comm *c, bool mine, bool *all)
{
    int first;
    TRY(who_lacks(c, mine, &first));
    *all = first < 0;
    if (*all) return PHA_OK;
    pha__message why = pha__message_keep();
    pha__wire_close(w);
    TRY(pha__comm_broadcast(c, first, NULL, &why, sizeof why));
    if (c->rank == 0) /* who talks */
        pha__log(PHA__LOG_NOTE, "rank %d: %s; gradients go through the memory of the hosts", first, why.text);
    return PHA_OK;
}

static bool wanted(const pha__device *d)
{
    const char *way = getenv("PHA_WIRE");
    return d->backend->link_id && !(way && !strcmp(way, "host"));
}

pha_status pha__wire_open(pha__wire *w, pha__comm *c, pha__device *d, pha__wire_add *add, void *self)
{
    char id[PHA__LINK_ID] = {0};
    int without;
    bool all;
    *w = (pha__wire){.device = d, .add = add, .self = self};
    TRY(who_lacks(c, wanted(d), &without));
    if (without >= 0) return PHA_OK;
    bool there = !d->backend->link_id(d, c->rank == 0 ? id : NULL);
    TRY(all_have(w, c, there, &all));
    if (!all) return PHA_OK;
    TRY(pha__comm_broadcast(c, 0, NULL, id, sizeof id));
    w->piece = pha__device_alloc(d, PHA__WIRE_PIECE);
    TRY(all_have(w, c, w->piece != NULL, &all));
    if (!all) return PHA_OK;
    bool linked = !d->backend->link_open(d, id, c->rank, c->size, &w->link);
    return all_have(w, c, linked, &all);
}

void pha__wire_close(pha__wire *w)
{
    if (w->link) w->device->backend->link_close(w->device, w->link);
    if (w->piece) pha__device_free(w->device, w->piece);
    w->link = NULL, w->piece = NULL;
}

pha_status pha__wire_exchange(const pha__wire *w, int peer, const void *out, size_t n_out, void *in, size_t n_in)
{
    return n_out || n_in ? w->device->backend->link_exchange(w->device, w->link, peer, out, n_out, in, n_in) : PHA_OK;
}

pha_status pha__wire_aside(const pha__wire *w, bool aside)
{
    return w->device->backend->link_aside(w->device, w->link, aside);
}

pha_status pha__wire_join(const pha__wire *w) { return w->device->backend->link_join(w->device, w->link); }
