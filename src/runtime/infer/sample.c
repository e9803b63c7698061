/* sample.c -- greedy choice, temperature, top-k, top-p, min-p, repetition penalty
 *
 * Nothing is sorted that need not be: under top-k and top-p the choices form a heap, of which only those that stay are
 * taken, in order; without them the weights are walked in order of ids.
 */
#include "runtime/infer/sample.h"

#include <math.h>

#include "base/range.h"
#include "base/rng.h"
#include "base/status.h"

double pha__log_sum(const float *logits, int32_t n, int32_t *top)
{
    double sum = 0;
    *top = 0;
    for (int32_t i = 1; i < n; i++)
        if (logits[i] > logits[*top]) *top = i;
    for (int32_t i = 0; i < n; i++) sum += exp((double)logits[i] - logits[*top]);
    return logits[*top] + log(sum);
}

pha_status pha__sample_check(const pha_sample_options *o)
{
    if (!pha__in_range(o->temperature, 0, 1e6))
        FAIL(USAGE, "temperature is %g, not in 0 to 1e6", o->temperature);
    if (o->top_k < 0) FAIL(USAGE, "top_k is %d; 0 switches it off", o->top_k);
    if (!pha__in_range(o->top_p, 0, 1)) FAIL(USAGE, "top_p is %g, not in 0 to 1", o->top_p);
    if (!pha__in_range(o->min_p, 0, 1)) FAIL(USAGE, "min_p is %g, not in 0 to 1", o->min_p);
    if (!pha__in_range(o->repetition_penalty, 0, 1e6))
        FAIL(USAGE, "repetition_penalty is %g, not above 0", o->repetition_penalty);
    if (!pha__in_range(o->presence_penalty, -1e6, 1e6) || !pha__in_range(o->frequency_penalty, -1e6, 1e6))
        FAIL(USAGE, "a penalty of %g or %g is not in -1e6 to 1e6", o->presence_penalty, o->frequency_penalty);
    if (o->n_bias && !o->bias) FAIL(USAGE, "%zu biases are missing", o->n_bias);
    for (size_t i = 0; i < o->n_bias; i++)
        if (isnan(o->bias[i].value) || o->bias[i].value == INFINITY)
            FAIL(USAGE, "the bias of token %d is %g", o->bias[i].id, o->bias[i].value);
    if (o->repetition_window < 0) FAIL(USAGE, "repetition_window is %d, below 0", o->repetition_window);
    return PHA_OK;
}

static bool before(const pha__choice *a, const pha__choice *b)
{
    return a->value > b->value || (a->value == b->value && a->id < b->id);
}

/* ---- a heap whose top goes before all others ------------------------------------------------------------ */

static void sink(pha__choice *heap, int32_t n, int32_t i)
{
    pha__choice x = heap[i];
    for (int32_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && before(&heap[child + 1], &heap[child])) child++;
        if (!before(&heap[child], &x)) break;
        heap[i] = heap[child];
    }
    heap[i] = x;
}

/* Moves the top behind the end of a heap of n; the heap then has n - 1. */
static pha__choice *take(pha__choice *heap, int32_t n)
{
    pha__choice top = heap[0];
    heap[0] = heap[n - 1];
    heap[n - 1] = top;
    sink(heap, n - 1, 0);
    return &heap[n - 1];
}

/* ---- the steps ------------------------------------------------------------------------------------------ */

/* Fills the choices. */
static pha_status fill(pha__choice *c, const float *logits, int32_t V)
{
    for (int32_t i = 0; i < V; i++) {
        if (isnan(logits[i]) || logits[i] == INFINITY)
            FAIL(NUMERIC, "the logit of token %d is %g: the weights are damaged or training diverged", i,
                 (double)logits[i]);
        c[i] = (pha__choice){logits[i], i};
    }
    return PHA_OK;
}

/* The last of n tokens, as many as are looked at. */
static const int32_t *last(const int32_t *ids, size_t n, size_t *most)
{
    if (*most > n) *most = n;
    return ids ? ids + (n - *most) : NULL;
}

static void repel_repetition(pha__choice *c, const pha_draw *d, int32_t V)
{
    const pha_sample_options *o = d->options;
    double penalty = o->repetition_penalty;
    size_t n = o->repetition_window ? (size_t)o->repetition_window : 256;
    const int32_t *recent = last(d->text, d->n_text, &n);
    for (size_t i = 0; penalty > 0 && penalty != 1 && i < n; i++) {
        int32_t id = recent[i];
        if (id < 0 || id >= V) continue; /* no token here */
        double logit = d->logits[id];
        c[id].value = logit < 0 ? logit * penalty : pha__bounded(logit / penalty); /* once */
    }
}

/* A choice whose id is turned has been seen. */
static void repel_new(pha__choice *c, const pha_draw *d, int32_t V)
{
    const pha_sample_options *o = d->options;
    size_t n = d->n_new;
    const int32_t *fresh = last(d->text, d->n_text, &n);
    if (o->presence_penalty == 0 && o->frequency_penalty == 0) return;
    for (size_t i = 0; i < n; i++) {
        int32_t id = fresh[i];
        if (id < 0 || id >= V) continue;
        c[id].value -= o->frequency_penalty;
        if (c[id].id >= 0) c[id].value -= o->presence_penalty, c[id].id = ~c[id].id;
    }
    for (size_t i = 0; i < n; i++)
        if (fresh[i] >= 0 && fresh[i] < V) c[fresh[i]].id = fresh[i];
}

/* Fills the choices, with penalties and biases; *best is the first of them. */
static pha_status start(pha__choice *c, const pha_draw *d, int32_t V, int32_t *best)
{
    const pha_sample_options *o = d->options;
    TRY(fill(c, d->logits, V));
    repel_repetition(c, d, V);
    repel_new(c, d, V);
    for (size_t i = 0; i < o->n_bias; i++) {
        int32_t id = o->bias[i].id;
        if (id >= 0 && id < V) c[id].value = pha__bounded(c[id].value + o->bias[i].value);
    }
    *best = 0;
    for (int32_t i = 1; i < V; i++)
        if (before(&c[i], &c[*best])) *best = i;
    if (c[*best].value == -INFINITY) FAIL(NUMERIC, "every token has the logit -inf");
    return PHA_OK;
}

/* Takes the choices that top_k and top_p leave, falling, to the end of c; returns where they begin. */
static pha__choice *cut(pha__choice *c, int32_t V, const pha_sample_options *o)
{
    int32_t most = o->top_k > 0 && o->top_k < V ? o->top_k : V, left = V;
    double total = 0, sum = 0;
    for (int32_t i = V / 2 - 1; i >= 0; i--) sink(c, V, i);
    bool nucleus = o->top_p > 0 && o->top_p < 1;
    if (nucleus && most == V)
        for (int32_t i = 0; i < V; i++) total += c[i].value;
    bool lazy = nucleus && most == V; /* the sum is known: take no more than needed */
    for (int32_t n = 0; n < most && !(lazy && n > 0 && sum >= o->top_p * total); n++) sum += take(c, left--)->value;
    if (!nucleus || lazy) return c + left;
    total = sum, sum = 0;
    int32_t keep = 0;
    for (; keep < most && (keep == 0 || sum < o->top_p * total); keep++) sum += c[V - 1 - keep].value;
    return c + V - keep;
}

static double uniform(uint64_t seed, uint64_t count)
{
    uint32_t counter[4] = {(uint32_t)count, (uint32_t)(count >> 32), 0, PHA__STREAM_SAMPLE}, x[4];
    pha__philox(seed, counter, x);
    return (double)(((uint64_t)x[0] << 32 | x[1]) >> 11) * 0x1p-53;
}

/* A draw by weight among [first, end), from the end (the most likely first, if they are sorted). */
static int32_t draw(const pha__choice *first, const pha__choice *end, double u)
{
    double total = 0, sum = 0;
    for (const pha__choice *c = end; c-- > first;) total += c->value;
    int32_t id = -1;
    for (const pha__choice *c = end; c-- > first;) {
        if (!(c->value > 0)) continue;
        sum += c->value;
        id = c->id; /* the last with a weight, should rounding leave sum <= u total */
        if (sum > u * total) break;
    }
    return id;
}

pha_status pha__draw(int32_t *id, const pha_draw *d, pha__choice *work)
{
    int32_t best = 0, V = d->n_ids ? d->n_ids : d->n_logits;
    const pha_sample_options *o = d->options;
    double u = uniform(o->seed, d->count);
    if (pha__draw_is_plain(o, V) && pha__draw_soon(id, d->logits, V, o, u, (double *)(void *)work))
        return PHA_OK;
    TRY(start(work, d, V, &best));
    *id = best;
    if (o->temperature == 0 || o->top_k == 1) return PHA_OK;
    double top = work[best].value;
    for (int32_t i = 0; i < V; i++) work[i].value = exp((work[i].value - top) / o->temperature); /* the best: 1 */
    bool sorted = (o->top_k > 0 && o->top_k < V) || (o->top_p > 0 && o->top_p < 1);
    pha__choice *first = sorted ? cut(work, V, o) : work;
    for (pha__choice *c = first; o->min_p > 0 && c < work + V; c++)
        if (c->value < o->min_p) c->value = 0;
    *id = draw(first, work + V, u);
    return PHA_OK;
}

pha_status pha__sample(int32_t *id, const float *logits, int32_t V, const pha_sample_options *o, const int32_t *recent,
                       size_t n_recent, uint64_t count, pha__choice *work)
{
    pha_draw d = {.logits = logits, .n_logits = V, .options = o, .text = recent, .n_text = n_recent, .count = count};
    return pha__draw(id, &d, work);
}
