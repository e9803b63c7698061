/* clock.h -- time that passes */
#ifndef PHA__CLOCK_H
#define PHA__CLOCK_H

#include <time.h>

/* Seconds since some fixed moment; never goes back. */
static inline double pha__seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#endif
