/* range.h -- numbers from outside and the range that they must lie in */
#ifndef PHA__RANGE_H
#define PHA__RANGE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Is x a number from low to high? No: what is not finite. It is asked for by its bits: GCC 12 at -O3 -fno-trapping-math
 * turns comparisons around in places, and then lets a NaN through. */
static inline bool pha__in_range(double x, double low, double high)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    bool finite = (bits >> 52 & 0x7FF) != 0x7FF;
    return finite && x >= low && x <= high;
}

#endif
