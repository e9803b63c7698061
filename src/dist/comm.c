/* comm.c -- what ranks do together, made of exchanges between ranks whose numbers differ in one bit; vectors in parts:
 * parts.c */
#include "dist/comm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/threads.h"

pha_status pha__comm_make(pha__comm *c)
{
    if (c->size < 1 || c->size > PHA__MOST_RANKS || (c->size & (c->size - 1)))
        FAIL(USAGE, "%d ranks: their number must be a power of two (1, 2, 4, 8, ...), at most %d", c->size,
             PHA__MOST_RANKS);
    for (int i = 0; i < 2 && c->size > 1; i++) {
        c->piece[i] = pha__alloc(PHA__COMM_PIECE, 1);
        if (!c->piece[i]) return PHA_NO_MEMORY;
    }
    return PHA_OK;
}

void pha__comm_free(pha__comm *c)
{
    for (int i = 0; i < 2; i++) pha__free(c->piece[i]);
    if (c->transport) c->transport->close(c->self);
    *c = (pha__comm){.size = 1};
}

int pha__comm_threads(const pha__comm *c, int asked)
{
    int may = pha__processors();
    if ((c->size == 1 && c->locals < 2) || asked > 0 || getenv("PHA_THREADS")) return asked;
    if (may < sysconf(_SC_NPROCESSORS_ONLN) || c->locals < 2) return may;
    return may > c->locals ? may / c->locals : 1;
}

static pha_status exchange(pha__comm *c, int peer, const void *out, size_t n_out, void *in, size_t n_in)
{
    return n_out || n_in ? c->transport->exchange(c->self, peer, out, n_out, in, n_in) : PHA_OK;
}

/* ---- memory of the host ---------------------------------------------------------------------------------- */

pha_status pha__comm_all_gather(pha__comm *c, void *each, size_t size)
{
    char *place = each;
    for (int bit = 1; bit < c->size; bit <<= 1) { /* so far everyone has what the ranks of its block of `bit` had */
        size_t mine = (size_t)(c->rank & ~(bit - 1)), theirs = mine ^ (size_t)bit, n = (size_t)bit * size;
        TRY(exchange(c, c->rank ^ bit, place + mine * size, n, place + theirs * size, n));
    }
    return PHA_OK;
}

static bool on_host(const pha__device *d) { return !d || d->backend->host_memory; }

/* n bytes, at most a piece, along a tree that begins at `from`. */
static pha_status broadcast_piece(pha__comm *c, int from, char *data, size_t n)
{
    int distance = c->rank ^ from;
    for (int bit = 1; bit < c->size; bit <<= 1) {
        if (distance < bit) TRY(exchange(c, c->rank ^ bit, data, n, NULL, 0));
        else if (distance < 2 * bit) TRY(exchange(c, c->rank ^ bit, NULL, 0, data, n));
    }
    return PHA_OK;
}

pha_status pha__comm_broadcast(pha__comm *c, int from, pha__device *device, void *data, size_t size)
{
    for (size_t at = 0, n; at < size && c->size > 1; at += n) {
        char *there = (char *)data + at, *here = on_host(device) ? there : c->piece[0];
        n = size - at < PHA__COMM_PIECE ? size - at : PHA__COMM_PIECE;
        if (here != there && c->rank == from) TRY(pha__download(device, here, there, n));
        TRY(broadcast_piece(c, from, here, n));
        if (here != there && c->rank != from) TRY(pha__upload(device, there, here, n));
    }
    return PHA_OK;
}

/* ---- one outcome ----------------------------------------------------------------------------------------- */

static pha_status tell(pha__comm *c, const int32_t *all)
{
    int first = 0;
    bool same = true;
    while (!all[first]) first++;
    for (int r = 0; r < c->size; r++) same = same && all[r] == all[first];
    pha__message message = {0};
    if (c->rank == first) message = pha__message_keep();
    TRY(pha__comm_broadcast(c, first, NULL, &message, sizeof message));
    pha__message_restore(&message);
    if (same || first == 0 || all[first] == PHA_STOPPED) return (pha_status)all[first];
    return pha__fail_in((pha_status)all[first], "rank %d (%s)", first, c->transport->name(c->self, first));
}

pha_status pha__comm_agree(pha__comm *c, pha_status status)
{
    if (c->size == 1) return status;
    int32_t *all = pha__alloc((size_t)c->size, sizeof *all);
    if (!all) return PHA_NO_MEMORY; /* the others notice when this rank ends */
    all[c->rank] = (int32_t)status;
    pha_status failed = pha__comm_all_gather(c, all, sizeof *all);
    bool bad = false;
    for (int r = 0; r < c->size && !failed; r++) bad = bad || all[r];
    if (!failed && bad) failed = tell(c, all);
    pha__free(all);
    if (failed) c->agreed = failed;
    return failed;
}

pha_status pha__comm_end(pha__comm *c, pha_status status)
{
    if (c->size == 1 || !status || status == c->agreed || status == PHA_STOPPED) return status;
    fprintf(stderr, "%s\n", pha_errmsg());
    c->transport->abandon(c->self, (int)status);
    return status;
}
