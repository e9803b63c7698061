/* comm.h -- ranks: processes that do one piece of work together
 *
 * All ranks make the same calls in the same order. Who carries the messages (nobody, MPI) is known to launch.c alone.
 * Their number is a power of two, so that ranks pair by the bits of their numbers: a sum over them is a fixed binary
 * tree, ((0 + 1) + (2 + 3)) + ..., whatever the library's own sums would be, and the same numbers spread over fewer
 * ranks have the same sum if each adds its own in a tree.
 */
#ifndef PHA__COMM_H
#define PHA__COMM_H

#include "backend/backend.h"

/* What a library of messages brings. */
typedef struct pha__transport {
    /* Sends n_out bytes to a rank and receives n_in from it, both at once; either may be 0. IO: that rank is lost. */
    pha_status (*exchange)(void *self, int peer, const void *out, size_t n_out, void *in, size_t n_in);
    const char *(*name)(void *self, int rank); /* for a person: its machine */
    void (*close)(void *self);                 /* by all ranks together */
    void (*abandon)(void *self, int code);     /* ends the processes of all ranks, this one too */
} pha__transport;

enum { PHA__MOST_RANKS = 1 << 16 };

typedef struct pha__comm {
    int rank, size;
    int local, locals; /* number of this rank among those of its machine, and how many these are */
    bool any_thread;   /* one thread at a time exchanges, but it need not be the one that joined */
    const pha__transport *transport; /* NULL: one rank */
    void *self;
    char *piece[2];    /* PHA__COMM_PIECE bytes each; not of one rank */
    pha_status agreed; /* the last failure that all ranks know of */
} pha__comm;

enum { PHA__COMM_PIECE = 4 << 20 };

/* Threads for a rank: as many as are asked for (0: PHA_THREADS), or else its share of the processors, unless its
 * starter has bound it to some. 0: one rank, which takes all. */
int pha__comm_threads(const pha__comm *c, int asked);

/* Makes a communicator over a transport whose `rank`, `size` and `self` are set. Fails if the number of ranks is no
 * power of two. */
pha_status pha__comm_make(pha__comm *c);
void pha__comm_free(pha__comm *c); /* closes the transport; a zeroed one is allowed */

/* The ranks that this process was started among, by what its starter left in the environment; one rank: none did.
 * Opened once, until the process ends. PHA_RANKS=1: alone, whatever the environment says. */
pha_status pha__comm_world(pha__comm **out);
/* For work that each rank does for itself: until it is said otherwise, that is one rank, which knows that others share
 * its machine. */
void pha__comm_apart(bool yes);

/* How many processes were started together and the number of this one, without joining them. */
int pha__started_ranks(int *rank);

/* From all to all: `each` holds a place of `size` bytes per rank in the order of ranks; one's own is filled. */
pha_status pha__comm_all_gather(pha__comm *c, void *each, size_t size);
/* From one to all; `device` NULL: memory of the host. */
pha_status pha__comm_broadcast(pha__comm *c, int from, pha__device *device, void *data, size_t size);
/* The same status and message on all ranks: those of the first rank that failed; it is named unless it is the leading
 * one, all failed alike, or they were asked to stop. */
pha_status pha__comm_agree(pha__comm *c, pha_status status);

/* For the end of what ranks do together: a failure that the others don't know of (of memory or of a device, between two
 * agreements) ends all of them with its message, since they wait for this rank. Returns status where there is none. */
pha_status pha__comm_end(pha__comm *c, pha_status status);

/* ---- vectors in parts ------------------------------------------------------------------------------------ */

/* A vector of numbers on a device, cut into as many parts as there are ranks: part p is [cut[p], cut[p + 1]). */
typedef struct pha__division {
    pha__device *device;    /* NULL: memory of the host */
    const int64_t *cut;     /* size + 1 */
    const struct pha__wire *wire; /* between the devices (wire.h); NULL: through the hosts */
} pha__division;

/* The part that is this rank's: its number with the bits in reverse. */
int pha__comm_part(const pha__comm *c);
int pha__comm_owner(const pha__comm *c, int part); /* the rank whose part it is */
/* Of the numbers [begin, end): leaves in this rank's part of x the sum of all ranks' x there; elsewhere x holds no more
 * than partial sums. Sections, one after another, make the whole, for which size - 1 parts are sent and received. */
pha_status pha__comm_reduce_section(pha__comm *c, const pha__division *parts, float *x, int64_t begin, int64_t end);
/* Fills all parts of x with those of the ranks that they belong to; numbers of `width` bytes. */
pha_status pha__comm_gather_parts(pha__comm *c, const pha__division *parts, void *x, size_t width);

#endif
