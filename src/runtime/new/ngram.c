/* ngram.c -- see ngram.h: counts of one, two and three tokens in a row, in two tables of open addresses */
#include "runtime/new/ngram.h"

#include <math.h>

#include "base/mem.h"
#include "runtime/stop.h"

#define DISCOUNT 0.75
enum { STRETCHES = 64, PIECE = 4096 }; /* training text is taken from so many places */

/* How often a context was seen, and with how many different tokens behind it. */
typedef struct seen {
    uint32_t count, kinds;
} seen;

typedef struct entry {
    uint64_t key; /* of ids, each plus one so that none is 0; 0: empty */
    seen as;      /* what it is as a context */
    uint32_t count;
} entry;

typedef struct table {
    entry *at;
    uint64_t mask;
} table;

typedef struct counts {
    seen all;  /* of the empty context */
    entry *one; /* by id */
    table two, three;
    int32_t V;
    int32_t *ids;
} counts;

/* ---- tables ---------------------------------------------------------------------------------------------- */

/* At most half full with n entries. */
static pha_status open_table(table *t, uint64_t n)
{
    uint64_t size = 1024;
    while (size < 2 * n) size *= 2;
    t->at = pha__alloc_zero(size, sizeof *t->at);
    t->mask = size - 1;
    if (!t->at) FAIL(NO_MEMORY, "no memory to count %llu tokens", (unsigned long long)n);
    return PHA_OK;
}

static entry *find(const table *t, uint64_t key)
{
    uint64_t h = key * 0x9e3779b97f4a7c15u;
    for (h ^= h >> 29;; h++) {
        entry *e = &t->at[h & t->mask];
        if (e->key == key || e->key == 0) return e;
    }
}

/* 21 bits an id: a vocabulary has at most 2^20. */
static uint64_t pair(int32_t a, int32_t b) { return ((uint64_t)a + 1) << 21 | ((uint64_t)b + 1); }
static uint64_t triple(int32_t a, int32_t b, int32_t c) { return pair(a, b) << 21 | ((uint64_t)c + 1); }

/* ---- counting -------------------------------------------------------------------------------------------- */

static void note(seen *context, entry *e, uint64_t key)
{
    context->count++;
    context->kinds += e->count == 0;
    e->key = key;
    e->count++;
}

static void count(counts *c, const int32_t *w, int before)
{
    note(&c->all, &c->one[w[0]], 1);
    if (before < 1) return;
    note(&c->one[w[-1]].as, find(&c->two, pair(w[-1], w[0])), pair(w[-1], w[0]));
    if (before < 2) return;
    entry *context = find(&c->two, pair(w[-2], w[-1]));
    note(&context->as, find(&c->three, triple(w[-2], w[-1], w[0])), triple(w[-2], w[-1], w[0]));
}

/* Tokens [begin, end) of the text, PIECE at a time; the two before a piece are its context. */
static pha_status each(counts *c, const pha__tokens *t, uint64_t begin, uint64_t end,
                       void (*use)(counts *, const int32_t *, int, void *), void *with)
{
    for (uint64_t i = begin; i < end; i += PIECE) {
        uint64_t n = end - i < PIECE ? end - i : PIECE, back = i - begin < 2 ? i - begin : 2;
        if (pha__stop_requested()) FAIL(STOPPED, "asked to stop while the text was measured");
        TRY(pha__tokens_read(t, i - back, (size_t)(n + back), c->ids));
        for (uint64_t k = 0; k < n; k++)
            use(c, c->ids + back + k, (int)(k + back < 2 ? k + back : 2), with);
    }
    return PHA_OK;
}

static void count_one(counts *c, const int32_t *w, int before, void *with)
{
    (void)with;
    count(c, w, before);
}

/* n tokens in equal stretches from all over the text. */
static pha_status train(counts *c, const pha__tokens *t, uint64_t n)
{
    uint64_t all = pha__tokens_count(t);
    for (uint64_t s = 0; s < STRETCHES; s++) {
        uint64_t size = n * (s + 1) / STRETCHES - n * s / STRETCHES, at = (all - n) / STRETCHES * s + n * s / STRETCHES;
        TRY(each(c, t, at, at + size, count_one, NULL));
    }
    return PHA_OK;
}

/* ---- scoring --------------------------------------------------------------------------------------------- */

typedef struct sums {
    double loss[3];
    uint64_t n;
} sums;

static double smoothed(const seen *context, uint32_t count, double below)
{
    if (context->count == 0) return below;
    double c = context->count, here = count > DISCOUNT ? count - DISCOUNT : 0;
    return here / c + DISCOUNT * context->kinds / c * below;
}

static void score(counts *c, const int32_t *w, int before, void *with)
{
    sums *s = with;
    double p[3];
    p[0] = p[1] = p[2] = smoothed(&c->all, c->one[w[0]].count, 1.0 / c->V);
    if (before >= 1) p[1] = p[2] = smoothed(&c->one[w[-1]].as, find(&c->two, pair(w[-1], w[0]))->count, p[0]);
    if (before >= 2)
        p[2] = smoothed(&find(&c->two, pair(w[-2], w[-1]))->as, find(&c->three, triple(w[-2], w[-1], w[0]))->count,
                        p[1]);
    for (int i = 0; i < 3; i++) s->loss[i] -= log(p[i]);
    s->n++;
}

/* ---- the measure ----------------------------------------------------------------------------------------- */

static pha_status open_counts(counts *c, int32_t V, uint64_t n)
{
    *c = (counts){.V = V, .one = pha__alloc_zero((size_t)V, sizeof *c->one),
                  .ids = pha__alloc(PIECE + 2, sizeof *c->ids)};
    if (!c->one || !c->ids) FAIL(NO_MEMORY, "no memory to count tokens");
    TRY(open_table(&c->two, n));
    return open_table(&c->three, n);
}

static void close_counts(counts *c)
{
    pha__free(c->one);
    pha__free(c->ids);
    pha__free(c->two.at);
    pha__free(c->three.at);
}

static pha_status measure_at(sums *s, const pha__tokens *tokens, uint64_t n, const pha__tokens *valid, uint64_t scored)
{
    counts c;
    *s = (sums){.n = 0};
    pha_status status = open_counts(&c, pha__tokens_vocab(tokens), n);
    if (!status) status = train(&c, tokens, n);
    if (!status) status = each(&c, valid, 0, scored, score, s);
    close_counts(&c);
    return status;
}

pha_status pha__ngram_measure(pha__ngram *out, const pha__tokens *tokens, const pha__tokens *valid, uint64_t scored)
{
    uint64_t all = pha__tokens_count(tokens), held = pha__tokens_count(valid);
    uint64_t most = all < PHA__NGRAM_MOST ? all : PHA__NGRAM_MOST;
    *out = (pha__ngram){.scored = scored && scored < held ? scored : held};
    for (int i = 0; i < PHA__NGRAM_SIZES; i++) {
        sums s;
        out->trained[i] = most >> 2 * (PHA__NGRAM_SIZES - 1 - i);
        TRY(measure_at(&s, tokens, out->trained[i], valid, out->scored));
        for (int k = 0; k < 3; k++) out->order[k] = s.loss[k] / (double)s.n;
        out->loss[i] = out->order[2];
    }
    return PHA_OK;
}

double pha__ngram_at(const pha__ngram *m, double tokens)
{
    int i = tokens > (double)m->trained[1] ? 1 : 0;
    double a = (double)m->trained[i], b = (double)m->trained[i + 1];
    if (!(a > 0 && b > a)) return m->loss[PHA__NGRAM_SIZES - 1];
    double slope = log(m->loss[i + 1] / m->loss[i]) / log(b / a);
    return m->loss[i + 1] * pow(tokens / b, slope);
}
