/* task_stats.c -- means with their standard errors
 *
 * That of a perplexity comes from 100,000 samples with replacement, drawn by the generator of Python's random module
 * (MT19937) from the seeds 0 to 99: the numbers that the harness draws.
 */
#include <math.h>

#include "base/threads.h"
#include "runtime/task/task.h"

enum { WORDS = 624, SHIFT = 397, SEEDS = 100, SAMPLES = 1000 /* of each seed */ };

static double mean_of(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    return sum / (double)n;
}

static double deviation(const double *x, size_t n)
{
    double mean = mean_of(x, n), sum = 0;
    for (size_t i = 0; i < n; i++) sum += (x[i] - mean) * (x[i] - mean);
    return sqrt(sum / (double)(n - 1));
}

void pha__task_mean(double *mean, double *error, const double *x, size_t n)
{
    *mean = mean_of(x, n);
    *error = n > 1 ? deviation(x, n) / sqrt((double)n) : NAN;
}

/* ---- MT19937 ---------------------------------------------------------------------------------------------- */

typedef struct twister {
    uint32_t word[WORDS];
    int at;
} twister;

/* Seeded by the one word `seed`, in the way of arrays of words. */
static void seed_twister(twister *t, uint32_t seed)
{
    uint32_t *w = t->word;
    w[0] = 19650218;
    for (uint32_t i = 1; i < WORDS; i++) w[i] = 1812433253u * (w[i - 1] ^ w[i - 1] >> 30) + i;
    int i = 1;
    for (int k = 0; k < WORDS; k++) {
        w[i] = (w[i] ^ (w[i - 1] ^ w[i - 1] >> 30) * 1664525u) + seed;
        if (++i == WORDS) w[0] = w[WORDS - 1], i = 1;
    }
    for (int k = 0; k < WORDS - 1; k++) {
        w[i] = (w[i] ^ (w[i - 1] ^ w[i - 1] >> 30) * 1566083941u) - (uint32_t)i;
        if (++i == WORDS) w[0] = w[WORDS - 1], i = 1;
    }
    w[0] = 0x80000000u;
    t->at = WORDS;
}

static void turn(uint32_t *w)
{
    for (int i = 0; i < WORDS; i++) {
        uint32_t y = (w[i] & 0x80000000u) | (w[(i + 1) % WORDS] & 0x7fffffffu);
        w[i] = w[(i + SHIFT) % WORDS] ^ y >> 1 ^ (y & 1 ? 0x9908b0dfu : 0);
    }
}

static uint32_t next(twister *t)
{
    if (t->at == WORDS) turn(t->word), t->at = 0;
    uint32_t y = t->word[t->at++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
}

static double uniform(twister *t) /* 53 bits, in [0, 1) */
{
    uint32_t high = next(t) >> 5, low = next(t) >> 6;
    return (high * 67108864.0 + low) / 9007199254740992.0;
}

/* ---- samples with replacement ------------------------------------------------------------------------------ */

typedef struct samples {
    const double *ll;
    size_t n;
    double *ppl; /* (SEEDS, SAMPLES) */
} samples;

static void draw(void *context, int64_t begin, int64_t end, int worker)
{
    const samples *s = context;
    (void)worker;
    for (int64_t seed = begin; seed < end; seed++) {
        twister t;
        seed_twister(&t, (uint32_t)seed);
        for (int k = 0; k < SAMPLES; k++) {
            double sum = 0;
            for (size_t i = 0; i < s->n; i++) sum += s->ll[(size_t)(uniform(&t) * (double)s->n)];
            s->ppl[seed * SAMPLES + k] = exp(-sum / (double)s->n);
        }
    }
}

pha_status pha__task_perplexity(double *ppl, double *error, const double *ll, size_t n, int threads)
{
    samples s = {.ll = ll, .n = n};
    pha__pool *pool;
    *ppl = exp(-mean_of(ll, n)), *error = NAN;
    if (n < 2) return PHA_OK;
    s.ppl = pha__alloc(SEEDS * SAMPLES, sizeof *s.ppl);
    if (!s.ppl) return PHA_NO_MEMORY;
    pha_status status = pha__pool_open(&pool, threads);
    if (!status) {
        pha__pool_run(pool, SEEDS, draw, &s);
        pha__pool_close(pool);
        *error = deviation(s.ppl, SEEDS * SAMPLES);
    }
    pha__free(s.ppl);
    return status;
}
