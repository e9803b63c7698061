/* parts.c -- vectors in parts, straight between devices or through the memory of the hosts */
#include <string.h>

#include "dist/wire.h"

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

int pha__comm_owner(const pha__comm *c, int part)
{
    int rank = 0;
    for (int bit = 1; bit < c->size; bit <<= 1) rank = 2 * rank + !!(part & bit);
    return rank;
}

int pha__comm_part(const pha__comm *c) { return pha__comm_owner(c, c->rank); } /* the other way round is the same */

static size_t piece_at(const int64_t *range, int64_t at, int64_t most)
{
    int64_t left = range[1] - range[0] - at;
    return left <= 0 ? 0 : (size_t)(left < most ? left : most);
}

static bool straight(const pha__division *p) { return p->wire && p->wire->link; }
static bool on_host(const pha__division *p) { return !p->device || p->device->backend->host_memory; }
static size_t piece_size(const pha__division *p) { return straight(p) ? PHA__WIRE_PIECE : PHA__COMM_PIECE; }

/* Sends n_out bytes of the vector and receives n_in, all in the memory that the way between the ranks knows. */
static pha_status swap(pha__comm *c, const pha__division *p, int peer, char *out, size_t n_out, char *in, size_t n_in)
{
    if (straight(p)) return pha__wire_exchange(p->wire, peer, out, n_out, in, n_in);
    if (!on_host(p) && n_out) {
        TRY(pha__download(p->device, c->piece[0], out, n_out));
        out = c->piece[0];
    }
    return n_out || n_in ? c->transport->exchange(c->self, peer, out, n_out, in, n_in) : PHA_OK;
}

/* Where a piece comes in that is not yet in its place. */
static char *room(const pha__comm *c, const pha__division *p) { return straight(p) ? p->wire->piece : c->piece[1]; }

static pha_status add(pha__comm *c, const pha__division *p, float *to, const float *from, size_t n)
{
    if (straight(p)) return p->wire->add(p->wire->self, to, from, (int64_t)n);
    float *sum = on_host(p) ? to : (float *)c->piece[0];
    if (sum != to) TRY(pha__download(p->device, sum, to, n * sizeof *sum));
    for (size_t i = 0; i < n; i++) sum[i] += from[i];
    return sum != to ? pha__upload(p->device, to, sum, n * sizeof *sum) : PHA_OK;
}

static int64_t longer(const int64_t *a, const int64_t *b)
{
    int64_t n = a[1] - a[0], m = b[1] - b[0];
    return n > m ? n : m;
}

/* The numbers of a range that are of a section too. */
static void limit(int64_t *range, int64_t begin, int64_t end)
{
    if (range[0] < begin) range[0] = begin;
    if (range[1] > end) range[1] = end;
}

pha_status pha__comm_reduce_section(pha__comm *c, const pha__division *p, float *x, int64_t begin, int64_t end)
{
    int64_t step = (int64_t)(piece_size(p) / sizeof *x);
    for (int bit = 1; bit < c->size; bit <<= 1) {
        halves b = before(c, p, bit), h = cut(c, p, bit, b.low, b.high);
        limit(h.mine, begin, end), limit(h.theirs, begin, end);
        for (int64_t at = 0, n = longer(h.mine, h.theirs); at < n; at += step) {
            size_t out = piece_at(h.theirs, at, step), in = piece_at(h.mine, at, step);
            char *came = room(c, p);
            TRY(swap(c, p, c->rank ^ bit, (char *)(x + h.theirs[0] + at), out * sizeof *x, came, in * sizeof *x));
            if (in) TRY(add(c, p, x + h.mine[0] + at, (const float *)came, in));
        }
    }
    return PHA_OK;
}

/* What came in goes to its place, if it did not come there. */
static pha_status put(const pha__division *p, char *to, const char *from, size_t size)
{
    if (to == from || !size) return PHA_OK;
    return pha__upload(p->device, to, from, size);
}

pha_status pha__comm_gather_parts(pha__comm *c, const pha__division *p, void *x, size_t width)
{
    int64_t step = (int64_t)(piece_size(p) / width);
    for (int bit = c->size >> 1; bit; bit >>= 1) {
        halves b = before(c, p, bit), h = cut(c, p, bit, b.low, b.high);
        for (int64_t at = 0, n = longer(h.mine, h.theirs); at < n; at += step) {
            size_t out = piece_at(h.mine, at, step) * width, in = piece_at(h.theirs, at, step) * width;
            char *from = (char *)x + (size_t)(h.mine[0] + at) * width;
            char *to = (char *)x + (size_t)(h.theirs[0] + at) * width;
            char *came = straight(p) || on_host(p) ? to : room(c, p);
            TRY(swap(c, p, c->rank ^ bit, from, out, came, in));
            TRY(put(p, to, came, in));
        }
    }
    return PHA_OK;
}
