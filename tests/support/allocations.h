/* allocations.h -- every allocation of a call may fail */
#ifndef ALLOCATIONS_H
#define ALLOCATIONS_H

#include "base/mem.h"
#include "support/check.h"

/* Calls `attempt` with its first allocation failing, then with its second, and so on, until it makes no more of them:
 * one by one up to `dense`, then with growing steps. Where PHA_ALL_ALLOCATIONS is set, none of the first 6000 is left
 * out, which is all of anything but a run, and behind them the steps grow by a thousandth of what was done. A failure
 * is PHA_NO_MEMORY with a message (of work that is only tidying up, none), and attempt, which closes what it opened,
 * leaves no memory behind; `after`, if any, looks at what else there is after each failure. Returns the number of the
 * allocation that was not reached any more. */
static inline uint64_t fail_allocations_then(pha_status (*attempt)(void *context), void (*after)(void *context),
                                             void *context, uint64_t dense)
{
    size_t before = pha__mem_now();
    const char *all = getenv("PHA_ALL_ALLOCATIONS");
    uint64_t apart = 5;
    if (all && *all) dense = 6000, apart = 1000;
    pha_status status = PHA_NO_MEMORY;
    uint64_t n = 0, made = 1;
    while (status || made >= n) {
        n += n < dense ? 1 : 1 + n / apart;
        made = pha__mem_count();
        pha__mem_fail_at(n);
        status = attempt(context);
        made = pha__mem_count() - made;
        pha__mem_fail_at(0);
        if (status && (status != PHA_NO_MEMORY || !*pha_errmsg()))
            fail_msg("allocation %d fails: status %d: %s", (int)n, status, pha_errmsg());
        if (pha__mem_now() != before)
            fail_msg("allocation %d fails: %zu bytes left", (int)n, pha__mem_now() - before);
        if (status && after) after(context);
        assert_true(n < 10000000);
    }
    return n;
}

static inline uint64_t fail_allocations(pha_status (*attempt)(void *context), void *context, uint64_t dense)
{
    return fail_allocations_then(attempt, NULL, context, dense);
}

#endif
