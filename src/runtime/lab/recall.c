/* recall.c -- multi-query associative recall (baselines.md 9) and induction */
#include <math.h>

#include "runtime/lab/tasks.h"

/* ---- mqar ------------------------------------------------------------------------------------------------- */

static const double A = 0.01; /* queries lie behind the pairs with probability (slot + 1)^(A - 1) */

static pha_status check_mqar(const pha__lab_sizes *s)
{
    int32_t n = s->n, half = s->V / 2;
    if (s->T % 2) FAIL(USAGE, "mqar: the length %d is odd (nearest: %d, %d)", s->T, s->T - 1, s->T + 1);
    if ((int64_t)4 * n > s->T)
        FAIL(USAGE, "mqar: %d pairs need a length of at least 4 x %d = %lld, not %d; at most %d fit", n, n,
             (long long)4 * n, s->T, s->T / 4);
    if (half - 1 < n)
        FAIL(USAGE, "mqar: %d different keys need a vocabulary of at least %lld tokens, not %d", n,
             2 * (long long)n + 2, s->V);
    return PHA_OK;
}

/* k different slots of `count`, each drawn with a probability in proportion to its weight among those that are left.
 * That is the order in which the first k arrive of which each waits an exponential time with its weight as the rate. */
static void race(pha__lab_task *t, int32_t count, int32_t k, int32_t *out)
{
    if (t->rates[0] == 0)
        for (int32_t i = 0; i < count; i++) t->rates[i] = pow(i + 1, A - 1);
    for (int32_t i = 0; i < count; i++) t->times[i] = -log(pha__draw_unit(&t->draws)) / t->rates[i];
    for (int32_t j = 0; j < k; j++) {
        int32_t first = 0;
        for (int32_t i = 1; i < count; i++)
            if (t->times[i] < t->times[first]) first = i;
        out[j] = first;
        t->times[first] = INFINITY;
    }
}

static void make_mqar(pha__lab_task *t, int32_t *x, int32_t *y)
{
    int32_t T = t->s.T, V = t->s.V, n = t->s.n, half = V / 2;
    int32_t *keys = t->a, *values = t->b, *slots = t->c;
    pha__lab_distinct(t, 1, half - 1, n, keys);
    pha__lab_distinct(t, half, V - half, n, values);
    race(t, (T - 2 * n) / 2, n, slots);
    for (int32_t j = 0; j < n; j++) x[2 * j] = keys[j], x[2 * j + 1] = values[j];
    for (int32_t i = 2 * n; i < T; i++) x[i] = pha__draw_below(&t->draws, V);
    for (int32_t j = 0; j < n; j++) {
        int32_t at = 2 * n + 2 * slots[j];
        x[at] = keys[j], y[at] = values[j];
    }
}

const pha__lab_row pha__lab_mqar = {
    .name = "mqar", .things = "pairs", .T = 64, .V = 8192, .n = 4, .check = check_mqar, .make = make_mqar};

/* ---- induction -------------------------------------------------------------------------------------------- */

static pha_status check_induction(const pha__lab_sizes *s)
{
    if (s->T < 4) FAIL(USAGE, "induction: the length %d is below 4", s->T);
    if (s->V < 3) FAIL(USAGE, "induction: a vocabulary of %d tokens is below 3", s->V);
    if (s->n != 1) FAIL(USAGE, "induction: there is one token to recall, not %d", s->n);
    return PHA_OK;
}

/* The last token of the vocabulary stands at one place and at the end; what followed it comes again. */
static void make_induction(pha__lab_task *t, int32_t *x, int32_t *y)
{
    int32_t T = t->s.T, mark = t->s.V - 1, at = pha__draw_below(&t->draws, T - 2);
    for (int32_t i = 0; i < T; i++) x[i] = pha__draw_below(&t->draws, mark);
    x[at] = x[T - 1] = mark;
    y[T - 1] = x[at + 1];
}

const pha__lab_row pha__lab_induction = {.name = "induction",
                                         .things = "tokens",
                                         .T = 64,
                                         .V = 16,
                                         .n = 1,
                                         .check = check_induction,
                                         .make = make_induction};
