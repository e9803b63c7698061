/* prepare_sample.c -- which part of the training text a vocabulary is trained on
 *
 * The text is divided into equal stretches, and one run of each is taken, at a random place in it: so the sample has
 * the size that was asked for and comes from all over the text, whatever the documents are like.
 */
#include "base/rng.h"
#include "base/utf8.h"
#include "runtime/data/prepare_impl.h"

enum { RUN = 4096, LEAST_RUN = 256, LEAST_RUNS = 16, SEARCH = 64 };

/* total * i / n, exactly */
static uint64_t part(uint64_t total, uint64_t i, uint64_t n) { return total / n * i + total % n * i / n; }

static void place_run(pha__sample *s)
{
    uint64_t i = s->run, begin = part(s->total, i, s->runs), end = part(s->total, i + 1, s->runs);
    uint64_t size = part(s->want, i + 1, s->runs) - part(s->want, i, s->runs), room = end - begin - size;
    uint32_t counter[4] = {(uint32_t)i, (uint32_t)(i >> 32), 1, PHA__STREAM_DOCUMENT}, random[4];
    pha__philox(s->seed, counter, random);
    double u = (double)((uint64_t)random[0] << 21 | random[1] >> 11) * 0x1p-53;
    s->from = begin + (uint64_t)(u * (double)room);
    s->to = s->from + size;
}

void pha__sample_begin(pha__sample *s, uint64_t seed, uint64_t total, uint64_t want)
{
    *s = (pha__sample){.seed = seed, .total = total, .want = want < total ? want : total, .runs = 1};
    if (s->want < total) s->runs = s->want / RUN;
    if (s->want < total && s->runs < LEAST_RUNS) s->runs = s->want / LEAST_RUN;
    if (s->want < total && s->want / RUN < LEAST_RUNS && s->runs > LEAST_RUNS) s->runs = LEAST_RUNS;
    if (s->runs == 0) s->runs = 1;
    place_run(s);
}

/* From `at` on, the next place to begin or end at: before white space, or between characters where there is none. */
static size_t align(const char *text, size_t at, size_t size)
{
    if (at == 0 || at >= size) return at < size ? at : size;
    size_t limit = size - at > SEARCH ? at + SEARCH : size;
    for (size_t p = at; p < limit; p++)
        if ((unsigned char)text[p] <= ' ' && (unsigned char)text[p - 1] > ' ') return p;
    size_t whole = pha__utf8_whole((const unsigned char *)text, limit);
    return whole > at ? whole : limit;
}

bool pha__sample_next(pha__sample *s, const char *text, size_t size, size_t *begin, size_t *end)
{
    uint64_t here = s->position;
    while (s->run < s->runs && s->from < here + size) {
        uint64_t from = s->from, to = s->to;
        *begin = from > here ? align(text, (size_t)(from - here), size) : 0;
        *end = to < here + size ? align(text, (size_t)(to - here), size) : size;
        if (to <= here + size) {
            if (++s->run < s->runs) place_run(s);
        } else {
            s->from = here + size; /* goes on in the next piece of text */
        }
        if (*begin < *end) return true;
    }
    s->position += size;
    return false;
}
