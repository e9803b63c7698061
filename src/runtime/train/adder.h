/* adder.h -- sums of two vectors of gradients on a device: to = to + from, in fp32 */
#ifndef PHA__ADDER_H
#define PHA__ADDER_H

#include "program/run_block.h"

enum { PHA__ADDER_UNIT = PHA__ALIGN / 2 }; /* lengths are multiples of it */

typedef struct pha__adder {
    pha__device *device;
    pha__run_block run;
    void *scratch;
} pha__adder;

pha_status pha__adder_open(pha__adder *s, pha__device *device, int64_t most); /* most: the longest vector */
void pha__adder_close(pha__adder *s); /* a zeroed one is allowed */
/* Allocates nothing; happens in the order of the device's calls. */
pha_status pha__adder_add(pha__adder *s, void *to, const void *from, int64_t n);

#endif
