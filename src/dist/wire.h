/* wire.h -- messages from the memory of one rank's device straight to that of another's, where the devices have a way
 * of their own (NCCL between cards); all else goes through the memory of the hosts
 */
#ifndef PHA__WIRE_H
#define PHA__WIRE_H

#include "dist/comm.h"

/* to = to + from, n numbers on the device. */
typedef pha_status pha__wire_add(void *self, void *to, const void *from, int64_t n);

typedef struct pha__wire {
    pha__device *device;
    void *link;  /* the device's; NULL: through the hosts */
    char *piece; /* PHA__WIRE_PIECE bytes on the device */
    pha__wire_add *add;
    void *self;  /* passed to add */
} pha__wire;

enum { PHA__WIRE_PIECE = 32 << 20 };

/* By all ranks together, whose devices are of one kind. Where a rank has no way, none uses one, and a note says why.
 * PHA_WIRE=host: without. */
pha_status pha__wire_open(pha__wire *w, pha__comm *c, pha__device *device, pha__wire_add *add, void *self);
void pha__wire_close(pha__wire *w); /* a zeroed one is allowed */

/* As the exchange of a transport, with memory of the device; happens in the order of the device's calls. */
pha_status pha__wire_exchange(const pha__wire *w, int peer, const void *out, size_t n_out, void *in, size_t n_in);

/* Between aside(true) and aside(false) what the device is given (messages, sums) happens behind all that it was given
 * before, and beside what it is given afterwards; what it is given behind a join happens behind all that went aside. */
pha_status pha__wire_aside(const pha__wire *w, bool aside);
pha_status pha__wire_join(const pha__wire *w);

#endif
