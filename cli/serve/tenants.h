/* tenants.h -- whose turn it is
 *
 * A tenant is the holder of a key, or an address. Each has a clock of the engine's time that was spent on it. A free
 * slot goes to the one with the fewest running sequences, then to the one with the earliest clock; the next part of a
 * prompt likewise by clock. Who comes back after a rest begins at the earliest clock of those who are there: nobody
 * saves up turns, and nobody starves.
 */
#ifndef CLI_SERVE_TENANTS_H
#define CLI_SERVE_TENANTS_H

#include <stdbool.h>

typedef struct Tenant {
    char name[64];
    double used;             /* seconds */
    int requests, running;   /* that are there; sequences that have a slot */
    struct Tenant *next;
} Tenant;

typedef struct Tenants {
    Tenant *first;
} Tenants;

Tenant *tenants_enter(Tenants *t, const char *name); /* of a request that comes; NULL: no memory */
void tenants_leave(Tenants *t, Tenant *tenant);
/* Does a free slot go to a rather than b? Neither: to who came first. */
bool tenant_before(const Tenant *a, const Tenant *b);
void tenants_close(Tenants *t);

#endif
