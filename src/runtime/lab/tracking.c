/* tracking.c -- chains of assignments: which variables have this value? (RULER, in tokens)
 *
 * "VAR x1 value", "VAR x2 x1", "VAR x3 x2" ... lie in this order among words of a sentence, chains in between one
 * another. The end is "QUERY value x1 x2 ...", each of whose variables is asked for.
 */
#include "runtime/lab/tasks.h"

enum { VAR, QUERY, SENTENCE, WORDS = 16, NAMES = SENTENCE + WORDS }; /* numbers of words */

static int64_t statements(const pha__lab_sizes *s) { return (int64_t)s->chains * s->n; }
static int64_t hay(const pha__lab_sizes *s) { return s->T - 3 * statements(s) - 1 - s->n; }
static int64_t names(const pha__lab_sizes *s) { return statements(s) + s->chains; }

static pha_status check_tracking(const pha__lab_sizes *s)
{
    if (hay(s) < 0)
        FAIL(USAGE, "tracking: %d chains of %d variables need a length of at least %lld, not %d", s->chains, s->n,
             s->T - (long long)hay(s), s->T);
    if (pha__lab_words(s) < NAMES + names(s))
        FAIL(USAGE, "tracking: %lld different variables and values need a vocabulary of at least %lld words, not %d",
             (long long)names(s), (long long)(NAMES + names(s)), pha__lab_words(s));
    return PHA_OK;
}

/* Of which chain the next statement is: any order of the statements that leaves each chain's own is as likely. */
static int32_t next_chain(pha__lab_task *t, const int32_t *told, int32_t left)
{
    int32_t draw = pha__draw_below(&t->draws, left), chain = 0;
    for (; draw >= t->s.n - told[chain]; chain++) draw -= t->s.n - told[chain];
    return chain;
}

static void make_tracking(pha__lab_task *t, int32_t *x, int32_t *y)
{
    int32_t n = t->s.n, all = (int32_t)statements(&t->s), items = (int32_t)hay(&t->s) + all, i = 0;
    int32_t *name = t->a, *places = t->b, *told = t->c; /* a chain: its value and its variables */
    pha__lab_distinct(t, NAMES, pha__lab_words(&t->s) - NAMES, (int32_t)names(&t->s), name);
    pha__lab_places(t, items, all, places);
    for (int32_t chain = 0; chain < t->s.chains; chain++) told[chain] = 0;
    for (int32_t item = 0, made = 0; item < items; item++) {
        if (made == all || places[made] != item) {
            x[i++] = t->word[SENTENCE + (item - made) % WORDS];
            continue;
        }
        int32_t chain = next_chain(t, told, all - made++), which = chain * (n + 1) + told[chain]++;
        x[i++] = t->word[VAR];
        x[i++] = pha__lab_word(t, name[which + 1]);
        x[i++] = pha__lab_word(t, name[which]);
    }
    x[i++] = t->word[QUERY];
    for (int32_t j = 0; j < n; j++) {
        x[i] = pha__lab_word(t, name[j]);
        y[i++] = pha__lab_word(t, name[j + 1]);
    }
}

const pha__lab_row pha__lab_tracking = {.name = "tracking",
                                        .things = "variables",
                                        .T = 64,
                                        .V = 128,
                                        .n = 5,
                                        .has_chains = true,
                                        .check = check_tracking,
                                        .make = make_tracking};
