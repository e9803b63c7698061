/* ranks.c -- the processes that were started together, for the public interface */
#include "dist/comm.h"
#include "pha.h"

int pha_ranks(void)
{
    int rank;
    return pha__started_ranks(&rank);
}

int pha_rank(void)
{
    int rank;
    pha__started_ranks(&rank);
    return rank;
}
