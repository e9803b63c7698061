/* comm.c -- what ranks do together, made of exchanges between ranks whose numbers differ in one bit */
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
    if (c->size == 1 || asked > 0 || getenv("PHA_THREADS")) return asked;
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

/* ---- vectors in parts ------------------------------------------------------------------------------------ */

/* In the step of a bit, two ranks that have the parts [low, high) in common cut them in the middle. */
typedef struct halves {
    int64_t mine[2], theirs[2]; /* elements: begin, end */
    int low, high;              /* this rank's parts behind the step */
} halves;

static halves cut(const pha__comm *c, const pha__division *p, int bit, int low, int high)
{
    int middle = (low + high) / 2;
    bool upper = c->rank & bit;
    halves h = {.low = upper ? middle : low, .high = upper ? high : middle};
    int other_low = upper ? low : middle, other_high = upper ? middle : high;
    h.mine[0] = p->cut[h.low], h.mine[1] = p->cut[h.high];
    h.theirs[0] = p->cut[other_low], h.theirs[1] = p->cut[other_high];
    return h;
}

/* As it is behind the steps of all bits below `bit`. */
static halves before(const pha__comm *c, const pha__division *p, int bit)
{
    halves h = {.low = 0, .high = c->size};
    for (int b = 1; b < bit; b <<= 1) h = cut(c, p, b, h.low, h.high);
    return h;
}

int pha__comm_part(const pha__comm *c)
{
    int part = 0;
    for (int bit = 1; bit < c->size; bit <<= 1) part = 2 * part + !!(c->rank & bit);
    return part;
}

static size_t piece_at(const int64_t *range, int64_t at, int64_t most)
{
    int64_t left = range[1] - range[0] - at;
    return left <= 0 ? 0 : (size_t)(left < most ? left : most);
}

/* What goes out and what comes in at place `at` of the halves, in numbers of a vector; addresses of the host. */
typedef struct piece {
    size_t n_out, n_in;
    char *out, *in;
} piece;

static pha_status send_piece(pha__comm *c, const pha__division *p, char *x, size_t width, int bit, const int64_t *from,
                             const int64_t *to, int64_t at, piece *t)
{
    int64_t most = (int64_t)(PHA__COMM_PIECE / width);
    *t = (piece){.n_out = piece_at(from, at, most), .n_in = piece_at(to, at, most), .in = c->piece[1]};
    char *there = x + (size_t)(from[0] + at) * width;
    t->out = on_host(p->device) ? there : c->piece[0];
    if (t->out != there && t->n_out) TRY(pha__download(p->device, t->out, there, t->n_out * width));
    return exchange(c, c->rank ^ bit, t->out, t->n_out * width, t->in, t->n_in * width);
}

static pha_status add(pha__comm *c, const pha__division *p, float *to, const float *from, size_t n)
{
    float *sum = on_host(p->device) ? to : (float *)c->piece[0];
    if (sum != to) TRY(pha__download(p->device, sum, to, n * sizeof *sum));
    for (size_t i = 0; i < n; i++) sum[i] += from[i];
    return sum != to ? pha__upload(p->device, to, sum, n * sizeof *sum) : PHA_OK;
}

static int64_t longer(const int64_t *a, const int64_t *b)
{
    int64_t n = a[1] - a[0], m = b[1] - b[0];
    return n > m ? n : m;
}

pha_status pha__comm_reduce_scatter(pha__comm *c, const pha__division *p, float *x)
{
    int64_t step = (int64_t)(PHA__COMM_PIECE / sizeof *x);
    for (int bit = 1; bit < c->size; bit <<= 1) {
        halves b = before(c, p, bit), h = cut(c, p, bit, b.low, b.high);
        for (int64_t at = 0, n = longer(h.mine, h.theirs); at < n; at += step) {
            piece t;
            TRY(send_piece(c, p, (char *)x, sizeof *x, bit, h.theirs, h.mine, at, &t));
            if (t.n_in) TRY(add(c, p, x + h.mine[0] + at, (const float *)t.in, t.n_in));
        }
    }
    return PHA_OK;
}

static pha_status put(const pha__division *p, void *to, const void *from, size_t size)
{
    if (!on_host(p->device)) return pha__upload(p->device, to, from, size);
    memcpy(to, from, size);
    return PHA_OK;
}

pha_status pha__comm_gather_parts(pha__comm *c, const pha__division *p, void *x, size_t width)
{
    int64_t step = (int64_t)(PHA__COMM_PIECE / width);
    for (int bit = c->size >> 1; bit; bit >>= 1) {
        halves b = before(c, p, bit), h = cut(c, p, bit, b.low, b.high);
        for (int64_t at = 0, n = longer(h.mine, h.theirs); at < n; at += step) {
            piece t;
            TRY(send_piece(c, p, x, width, bit, h.mine, h.theirs, at, &t));
            if (t.n_in) TRY(put(p, (char *)x + (size_t)(h.theirs[0] + at) * width, t.in, t.n_in * width));
        }
    }
    return PHA_OK;
}
