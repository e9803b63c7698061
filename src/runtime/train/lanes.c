/* lanes.c -- sums of lanes in a binary tree, and what ranks tell each other in a step */
#include "runtime/train/lanes.h"

#include <string.h>

#include "base/mem.h"

static bool power_of_two(int n) { return n > 0 && !(n & (n - 1)); }

pha_status pha__lanes_open(pha__lanes *l, pha__comm *comm, int lanes, int32_t batch, int losses)
{
    if (!power_of_two(lanes)) FAIL(USAGE, "lanes = %d is no power of two (1, 2, 4, 8, ...)", lanes);
    if (batch % lanes)
        FAIL(USAGE, "batch = %d can't be cut into %d lanes of equal size; make it a multiple of %d", batch, lanes,
             lanes);
    if (lanes < comm->size)
        FAIL(USAGE, "%d ranks need at least as many lanes, not %d: each has whole ones", comm->size, lanes);
    *l = (pha__lanes){.comm = comm, .here = lanes / comm->size, .sequences = batch / lanes, .losses = losses};
    l->first = comm->rank * l->here;
    while (1 << l->levels < l->here) l->levels++;
    if (l->levels > PHA__MOST_LEVELS) FAIL(USAGE, "lanes = %d is more than 2^%d a rank", lanes, PHA__MOST_LEVELS);
    size_t each = sizeof(double) * (1 + (size_t)l->here * (size_t)losses);
    l->meeting = pha__alloc_zero((size_t)comm->size, each);
    return l->meeting ? PHA_OK : PHA_NO_MEMORY;
}

pha_status pha__lanes_place(pha__lanes *l, pha__store *store)
{
    pha__device *d = store->device;
    l->store = store;
    if (!l->levels) return PHA_OK;
    size_t size = (size_t)store->names->trainable * sizeof(float);
    for (int k = 0; k < l->levels; k++) {
        l->held[k] = pha__device_alloc(d, size);
        if (!l->held[k])
            FAIL(NO_MEMORY, "no memory for the gradients of %d lanes (%.1f GB each of %d); more ranks have fewer each",
                 l->here, (double)size * 1e-9, l->levels);
    }
    return pha__adder_open(&l->adder, d, store->names->trainable);
}

void pha__lanes_close(pha__lanes *l)
{
    if (l->store)
        for (int k = 0; k < l->levels; k++) pha__device_free(l->store->device, l->held[k]);
    pha__adder_close(&l->adder);
    pha__free(l->meeting);
    *l = (pha__lanes){0};
}

pha_status pha__lanes_add(pha__lanes *l, int k, int64_t begin, int64_t end)
{
    int level = 0;
    if (!l->levels) return PHA_OK;
    size_t at = (size_t)begin * sizeof(float);
    char *gradient = (char *)l->store->block[PHA__GRADIENT] + at;
    for (; k >> level & 1; level++)
        TRY(pha__adder_add(&l->adder, gradient, (char *)l->held[level] + at, end - begin));
    if (k + 1 == l->here) return PHA_OK;
    pha__device *d = l->store->device;
    return d->backend->copy(d, (char *)l->held[level] + at, gradient, (size_t)(end - begin) * sizeof(float));
}

/* ---- what ranks tell each other --------------------------------------------------------------------------- */

/* What this rank tells, behind its outcome. */
static double *own(pha__lanes *l, size_t n)
{
    return (double *)(l->meeting + (size_t)l->comm->rank * (1 + n) * sizeof(double)) + 1;
}

/* n numbers of each rank, behind its outcome. */
static pha_status meet(pha__lanes *l, pha_status status, size_t n)
{
    size_t each = (1 + n) * sizeof(double);
    bool bad = false;
    own(l, n)[-1] = (double)status;
    TRY(pha__comm_all_gather(l->comm, l->meeting, each));
    for (int r = 0; r < l->comm->size; r++) bad = bad || *(double *)(l->meeting + (size_t)r * each) != 0;
    return bad ? pha__comm_agree(l->comm, status) : PHA_OK;
}

static const double *told(const pha__lanes *l, int rank, size_t n)
{
    return (const double *)(l->meeting + (size_t)rank * (1 + n) * sizeof(double)) + 1;
}

pha_status pha__lanes_count(pha__lanes *l, pha_status status, int64_t *count)
{
    *own(l, 1) = (double)*count;
    TRY(meet(l, status, 1));
    double sum = 0;
    for (int r = 0; r < l->comm->size; r++) sum += *told(l, r, 1);
    *count = (int64_t)sum;
    return PHA_OK;
}

/* The tree over lanes [begin, begin + n). */
static double branch(const pha__lanes *l, int begin, int n, int which)
{
    if (n > 1) return branch(l, begin, n / 2, which) + branch(l, begin + n / 2, n / 2, which);
    size_t numbers = (size_t)l->here * (size_t)l->losses;
    return told(l, begin / l->here, numbers)[(begin % l->here) * l->losses + which];
}

pha_status pha__lanes_total(pha__lanes *l, pha_status status, double *sums, double *total)
{
    size_t numbers = (size_t)l->here * (size_t)l->losses;
    memcpy(own(l, numbers), sums, numbers * sizeof *sums);
    TRY(meet(l, status, numbers));
    for (int k = 0; k < l->losses; k++) total[k] = branch(l, 0, l->here * l->comm->size, k);
    return PHA_OK;
}
