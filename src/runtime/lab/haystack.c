/* haystack.c -- a pass key in text that repeats itself, and a needle among others in text that does not
 *
 * They are written in ordinary words (tasks.h), so that a model of any vocabulary can be asked.
 */
#include "runtime/lab/tasks.h"

enum { PHRASE = 4, SENTENCE = 16, DIGITS = 10, MARK = 0 }; /* words: the phrase, the sentence, the digits */

/* ---- passkey ---------------------------------------------------------------------------------------------- */

static int64_t passkey_hay(const pha__lab_sizes *s) { return (int64_t)s->T - 2 * PHRASE - 2 * (int64_t)s->n + 1; }

static pha_status check_passkey(const pha__lab_sizes *s)
{
    if (passkey_hay(s) < 0)
        FAIL(USAGE, "passkey: %d digits need a length of at least %lld, not %d", s->n, s->T - (long long)passkey_hay(s),
             s->T);
    if (pha__lab_words(s) < PHRASE + SENTENCE + DIGITS)
        FAIL(USAGE, "passkey: a vocabulary of %d words is below %d (a phrase, a sentence, ten digits)",
             pha__lab_words(s), PHRASE + SENTENCE + DIGITS);
    return PHA_OK;
}

/* A sentence over and over; at the depth the phrase and the key; at the end the phrase, then the key again, of which
 * each digit is asked for. */
static void make_passkey(pha__lab_task *t, int32_t *x, int32_t *y)
{
    int32_t n = t->s.n, hay = (int32_t)passkey_hay(&t->s), at = pha__lab_depth(t, hay + 1), i = 0;
    const int32_t *phrase = t->word, *sentence = phrase + PHRASE, *digits = sentence + SENTENCE;
    int32_t *key = t->a;
    for (int32_t j = 0; j < n; j++) key[j] = digits[pha__draw_below(&t->draws, DIGITS)];
    for (int32_t told = 0; told <= hay; told++) {
        for (int32_t j = 0; told == at && j < PHRASE; j++) x[i++] = phrase[j];
        for (int32_t j = 0; told == at && j < n; j++) x[i++] = key[j];
        if (told < hay) x[i++] = sentence[told % SENTENCE];
    }
    for (int32_t j = 0; j < PHRASE; j++) x[i++] = phrase[j];
    for (int32_t j = 0; j < n; j++) {
        y[i - 1] = key[j];
        if (j + 1 < n) x[i++] = key[j];
    }
}

const pha__lab_row pha__lab_passkey = {.name = "passkey",
                                       .things = "digits",
                                       .T = 128,
                                       .V = 64,
                                       .n = 5,
                                       .has_depth = true,
                                       .check = check_passkey,
                                       .make = make_passkey};

/* ---- needle ----------------------------------------------------------------------------------------------- */

static int64_t needle_hay(const pha__lab_sizes *s) { return (int64_t)s->T - 3 * (int64_t)s->n - 2; }

static pha_status check_needle(const pha__lab_sizes *s)
{
    if (needle_hay(s) < 0)
        FAIL(USAGE, "needle: %d needles need a length of at least %lld, not %d", s->n, s->T - (long long)needle_hay(s),
             s->T);
    if (pha__lab_words(s) < 3 || pha__lab_words(s) - 1 < s->n)
        FAIL(USAGE, "needle: %d different keys need a vocabulary of at least %d words, not %d", s->n,
             s->n < 2 ? 3 : s->n + 1, pha__lab_words(s));
    return PHA_OK;
}

/* Any word but the mark. */
static int32_t hay(pha__lab_task *t)
{
    int32_t id = pha__draw_below(&t->draws, pha__lab_words(&t->s) - 1), mark = t->word[MARK];
    int32_t low = mark, high = t->s.avoid; /* what is left out, ascending */
    if (high >= 0 && high < low) low = t->s.avoid, high = mark;
    id += id >= low;
    return id + (high >= 0 && id >= high);
}

/* Needles are "mark key value" with different keys, in any text. The end asks for the value of one, which lies at the
 * depth; the others lie anywhere. */
static void make_needle(pha__lab_task *t, int32_t *x, int32_t *y)
{
    int32_t n = t->s.n, T = t->s.T, all = (int32_t)needle_hay(&t->s) + n, at = pha__lab_depth(t, all), i = 0;
    int32_t *keys = t->a, *places = t->b, mark = t->word[MARK], asked = 0, next = 0;
    pha__lab_distinct(t, 1, pha__lab_words(&t->s) - 1, n, keys); /* numbers of words; the mark is 0 */
    pha__lab_places(t, all - 1, n - 1, places);
    for (int32_t place = 0, other = 0; place < all; place++) {
        bool here = place == at;
        bool needle = here || (other < n - 1 && places[other] + (places[other] >= at) == place);
        if (needle) x[i++] = mark, x[i++] = pha__lab_word(t, keys[next++]);
        x[i++] = hay(t);
        if (here) asked = x[i - 2], y[T - 1] = x[i - 1];
        other += needle && !here;
    }
    x[T - 2] = mark, x[T - 1] = asked;
}

const pha__lab_row pha__lab_needle = {.name = "needle",
                                      .things = "needles",
                                      .T = 128,
                                      .V = 256,
                                      .n = 4,
                                      .has_depth = true,
                                      .check = check_needle,
                                      .make = make_needle};
