/* copies.c -- copying after a gap, and selective copying: n tokens among blanks, then n marks in whose places they come
 * again, in their order. Blank: 0; tokens: 1 to V - 2; mark: V - 1. */
#include "runtime/lab/tasks.h"

static pha_status check(const pha__lab_sizes *s, const char *name)
{
    if ((int64_t)2 * s->n > s->T)
        FAIL(USAGE, "%s: %d tokens and as many marks need a length of at least %lld, not %d; at most %d fit", name,
             s->n, 2 * (long long)s->n, s->T, s->T / 2);
    if (s->V < 4) FAIL(USAGE, "%s: a vocabulary of %d tokens is below 4 (a blank, a mark, two to copy)", name, s->V);
    return PHA_OK;
}

static pha_status check_copy(const pha__lab_sizes *s) { return check(s, "copy"); }
static pha_status check_selective(const pha__lab_sizes *s) { return check(s, "selective"); }

static void put(pha__lab_task *t, const int32_t *places, int32_t *x, int32_t *y)
{
    int32_t first = t->s.T - t->s.n;
    for (int32_t i = 0; i < t->s.n; i++) {
        int32_t token = 1 + pha__draw_below(&t->draws, t->s.V - 2);
        x[places[i]] = y[first + i] = token;
        x[first + i] = t->s.V - 1;
    }
}

static void make_copy(pha__lab_task *t, int32_t *x, int32_t *y)
{
    for (int32_t i = 0; i < t->s.n; i++) t->a[i] = i;
    put(t, t->a, x, y);
}

static void make_selective(pha__lab_task *t, int32_t *x, int32_t *y)
{
    pha__lab_places(t, t->s.T - t->s.n, t->s.n, t->a);
    put(t, t->a, x, y);
}

const pha__lab_row pha__lab_copy = {
    .name = "copy", .things = "tokens", .T = 64, .V = 16, .n = 8, .check = check_copy, .make = make_copy};
const pha__lab_row pha__lab_selective = {.name = "selective",
                                         .things = "tokens",
                                         .T = 64,
                                         .V = 16,
                                         .n = 8,
                                         .check = check_selective,
                                         .make = make_selective};
