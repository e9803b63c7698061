/* allocations.h -- every allocation of a call may fail */
#ifndef ALLOCATIONS_H
#define ALLOCATIONS_H

#include "base/mem.h"
#include "support/check.h"

/* Calls `attempt` with its first allocation failing, then with its second, and so on (one by one up to `dense`, then
 * with growing steps), until it succeeds. A failure is PHA_NO_MEMORY with a message, and attempt, which closes what it
 * opened, leaves nothing behind. Returns the number of the allocation that was not reached any more. */
static inline uint64_t fail_allocations(pha_status (*attempt)(void *context), void *context, uint64_t dense)
{
    size_t before = pha__mem_now();
    pha_status status = PHA_NO_MEMORY;
    uint64_t n = 0;
    while (status) {
        n += n < dense ? 1 : 1 + n / 5;
        pha__mem_fail_at(n);
        status = attempt(context);
        pha__mem_fail_at(0);
        if (status && (status != PHA_NO_MEMORY || !*pha_errmsg()))
            fail_msg("allocation %d fails: status %d: %s", (int)n, status, pha_errmsg());
        if (pha__mem_now() != before)
            fail_msg("allocation %d fails: %zu bytes left", (int)n, pha__mem_now() - before);
        assert_true(n < 10000000);
    }
    return n;
}

#endif
