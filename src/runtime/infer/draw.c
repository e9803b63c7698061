/* draw.c -- choices of next tokens and log-probabilities for callers: checks, one draw, many of them at once */
#include <math.h>

#include "base/mem.h"
#include "runtime/infer/engine.h"
#include "runtime/infer/sample.h"

/* ---- log-probabilities ------------------------------------------------------------------------------------ */

static pha_status log_sum(double *out, const float *logits, int32_t n)
{
    int32_t top;
    for (int32_t i = 0; i < n; i++)
        if (isnan(logits[i]) || logits[i] == INFINITY)
            FAIL(NUMERIC, "the logit of token %d is %g: the weights are damaged or training diverged", i,
                 (double)logits[i]);
    *out = pha__log_sum(logits, n, &top);
    if (logits[top] == -INFINITY) FAIL(NUMERIC, "every token has the logit -inf");
    return PHA_OK;
}

/* Puts an id among the `n` best so far, of at most k; by insertion, since k is small and few ids get so far. */
static int32_t insert(pha_logprob *best, int32_t n, int32_t k, int32_t id, double value)
{
    int32_t at = n < k ? n : k - 1;
    if (n == k && best[at].value >= value) return n;
    for (; at > 0 && best[at - 1].value < value; at--) best[at] = best[at - 1];
    best[at] = (pha_logprob){value, id};
    return n < k ? n + 1 : n;
}

pha_status pha_logprobs(const float *logits, int32_t n_logits, int32_t id, int32_t k, pha_logprob *out)
{
    double sum = 0;
    if (!logits || !out || n_logits < 1) FAIL(USAGE, "log-probabilities need logits and a place for the result");
    if (id < 0 || id >= n_logits) FAIL(USAGE, "token %d is not in 0 to %d", id, n_logits - 1);
    if (k < 0 || k > n_logits) FAIL(USAGE, "%d likeliest tokens of %d", k, n_logits);
    TRY(log_sum(&sum, logits, n_logits));
    out[0] = (pha_logprob){(double)logits[id] - sum, id};
    int32_t n = 0;
    for (int32_t i = 0; k > 0 && i < n_logits; i++) n = insert(out + 1, n, k, i, (double)logits[i]);
    for (int32_t i = 0; i < n; i++) out[1 + i].value -= sum;
    return PHA_OK;
}

/* ---- draws ------------------------------------------------------------------------------------------------ */

static pha_status check(const pha_draw *d)
{
    if (!d || !d->logits || !d->options || d->n_logits < 1) FAIL(USAGE, "a draw needs logits and options");
    if (d->n_ids < 0 || d->n_ids > d->n_logits) FAIL(USAGE, "%d ids of %d logits", d->n_ids, d->n_logits);
    if ((d->n_text && !d->text) || d->n_new > d->n_text) FAIL(USAGE, "the text of a draw is missing");
    if (d->best && (d->n_best < 0 || d->n_best > d->n_logits))
        FAIL(USAGE, "%d likeliest tokens of %d", d->n_best, d->n_logits);
    return pha__sample_check(d->options);
}

static pha_status draw(pha_draw *d, pha__choice *work)
{
    d->id = -1;
    TRY(check(d));
    TRY(pha__draw(&d->id, d, work));
    return d->best ? pha_logprobs(d->logits, d->n_logits, d->id, d->n_best, d->best) : PHA_OK;
}

pha_status pha_sample(pha_draw *d)
{
    if (!d) FAIL(USAGE, "a draw is missing");
    pha__choice *work = pha__alloc(d->n_logits > 0 ? (size_t)d->n_logits : 1, sizeof *work);
    d->status = work ? draw(d, work) : PHA_NO_MEMORY;
    pha__free(work);
    return d->status;
}

typedef struct draws {
    pha_engine *engine;
    pha_draw *draw;
    size_t V;
} draws;

static void task(void *context, int64_t begin, int64_t end, int worker)
{
    draws *all = context;
    for (int64_t i = begin; i < end; i++)
        all->draw[i].status = draw(&all->draw[i], all->engine->work + (size_t)worker * all->V);
}

static pha_status open_pool(pha_engine *e)
{
    if (e->work) return PHA_OK;
    if (!e->pool) TRY(pha__pool_open(&e->pool, e->threads));
    e->work = pha__alloc((size_t)pha__pool_threads(e->pool) * (size_t)e->model->config.vocab_size, sizeof *e->work);
    return e->work ? PHA_OK : PHA_NO_MEMORY;
}

pha_status pha_engine_sample(pha_engine *e, pha_draw *d, size_t n)
{
    if (!e || (n && !d)) FAIL(USAGE, "draws need an engine and a place for the result");
    int32_t V = e->model->config.vocab_size;
    for (size_t i = 0; i < n; i++)
        if (d[i].n_logits > V) FAIL(USAGE, "draw %zu has %d logits, the model's vocabulary %d", i, d[i].n_logits, V);
    pthread_mutex_lock(&e->lock);
    pha_status status = open_pool(e);
    if (!status) pha__pool_run(e->pool, (int64_t)n, task, &(draws){e, d, (size_t)V});
    for (size_t i = 0; i < n && !status; i++) /* again, for its message: those of other threads are lost */
        if (d[i].status) status = d[i].status = draw(&d[i], e->work);
    pthread_mutex_unlock(&e->lock);
    return status;
}

typedef struct rows {
    const float *logits;
    const int32_t *ids;
    int32_t V, k;
    pha_logprob *out;
    _Atomic bool failed;
} rows;

static pha_status row(const rows *r, size_t i)
{
    return pha_logprobs(r->logits + i * (size_t)r->V, r->V, r->ids[i], r->k, r->out + i * (1 + (size_t)r->k));
}

static void row_task(void *context, int64_t begin, int64_t end, int worker)
{
    rows *r = context;
    (void)worker;
    for (int64_t i = begin; i < end; i++)
        if (row(r, (size_t)i)) r->failed = true;
}

pha_status pha_engine_logprobs(pha_engine *e, const float *logits, const int32_t *ids, size_t n, int32_t k,
                               pha_logprob *out)
{
    if (!e || (n && (!logits || !ids || !out)))
        FAIL(USAGE, "log-probabilities need an engine, logits, ids and a place for the result");
    rows r = {logits, ids, e->model->config.vocab_size, k, out, false};
    pthread_mutex_lock(&e->lock);
    pha_status status = open_pool(e);
    if (!status) pha__pool_run(e->pool, (int64_t)n, row_task, &r);
    pthread_mutex_unlock(&e->lock);
    for (size_t i = 0; r.failed && i < n && !status; i++) status = row(&r, i); /* for the message */
    return status;
}
