/* tenants.c -- whose turn it is */
#include "serve/tenants.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Tenant *tenants_enter(Tenants *t, const char *name)
{
    double earliest = 0;
    for (Tenant *a = t->first; a; a = a->next) {
        if (strcmp(a->name, name) == 0) return a->requests++, a;
        if (a == t->first || a->used < earliest) earliest = a->used;
    }
    Tenant *a = calloc(1, sizeof *a);
    if (!a) return NULL;
    snprintf(a->name, sizeof a->name, "%s", name);
    a->used = earliest, a->requests = 1, a->next = t->first;
    return t->first = a;
}

void tenants_leave(Tenants *t, Tenant *tenant)
{
    if (--tenant->requests > 0) return;
    for (Tenant **a = &t->first; *a; a = &(*a)->next)
        if (*a == tenant) {
            *a = tenant->next;
            free(tenant);
            return;
        }
}

bool tenant_before(const Tenant *a, const Tenant *b)
{
    if (a->running != b->running) return a->running < b->running;
    return a->used < b->used;
}

void tenants_close(Tenants *t)
{
    while (t->first) {
        Tenant *a = t->first;
        t->first = a->next;
        free(a);
    }
}
