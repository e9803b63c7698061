/* quantize_measure.c -- a model in fp32 and with smaller weights read the same windows, token by token
 *
 * Errors in a recurrence can add up, so they are kept by position: each window is streamed from an empty state, as long
 * as texts get.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/print.h"
#include "io/loader.h"
#include "runtime/infer/quantize.h"
#include "runtime/infer/sample.h"
#include "runtime/infer/session.h"
#include "runtime/stop.h"

enum { PIECE = 64 /* tokens: two times (PIECE, V) logits are in memory */, DEFAULT_CONTEXT = 16384, EARLY = 64,
       EARLY_END = 1024, LONG = 2048 };

typedef struct moments { /* of the means of pieces */
    double sum, squares, n;
} moments;

typedef struct pair {
    const pha_quantize_options *o;
    pha_quantize_result *r;
    const pha_model *model;
    pha__tokens *tokens;
    pha__cursor cursor;
    pha_session *session[2];  /* fp32, smaller */
    float *logits[2];         /* (PIECE, V) */
    int32_t *ids, *targets;   /* (context) */
    uint64_t wanted, same;
    moments early, late, all;
    double begin, last_report;
} pair;

/* ---- opening ----------------------------------------------------------------------------------------------- */

static pha_status open_data(pair *p)
{
    const pha_quantize_options *o = p->o;
    int64_t most = pha__longest_text(p->model->names);
    if (o->context > most)
        FAIL(USAGE, "the context of %d tokens is more than the %" PRId64 " positions of the model", o->context, most);
    p->r->context = o->context ? o->context : most < DEFAULT_CONTEXT ? (int32_t)most : DEFAULT_CONTEXT;
    TRY(pha__tokens_open(&p->tokens, o->data, o->split ? o->split : "valid", true));
    if (pha__tokens_vocab(p->tokens) > p->model->config.vocab_size)
        FAIL(BAD_INPUT, "the data has a vocabulary of %d tokens but the model one of %d; is it the model's tokenizer?",
             pha__tokens_vocab(p->tokens), p->model->config.vocab_size);
    TRY(pha__cursor_open(&p->cursor, p->tokens, p->r->context, p->r->context));
    uint64_t targets = pha__tokens_count(p->tokens) - 1, limit = o->max_tokens ? (uint64_t)o->max_tokens : 65536;
    p->wanted = limit < targets ? limit : targets;
    return PHA_OK;
}

static pha_status open_sessions(pair *p)
{
    size_t n = (size_t)PIECE * (size_t)p->model->config.vocab_size;
    for (int i = 0; i < 2; i++) {
        pha_session_options o = {.max_context = p->r->context, .threads = p->o->threads,
                                 .weights = i ? p->o->to : PHA_WEIGHTS_FP32};
        TRY(pha_session_open(&p->session[i], p->model, &o));
        p->logits[i] = pha__alloc(n, sizeof *p->logits[i]);
    }
    p->ids = pha__alloc((size_t)p->r->context, sizeof *p->ids);
    p->targets = pha__alloc((size_t)p->r->context, sizeof *p->targets);
    return p->logits[0] && p->logits[1] && p->ids && p->targets ? PHA_OK : PHA_NO_MEMORY;
}

/* ---- one token ---------------------------------------------------------------------------------------------- */

/* Adds a token at position t; *kl is of its next one's distributions. */
static pha_status add(pair *p, const float *x, const float *y, int32_t target, int32_t t, double *kl)
{
    int32_t V = p->model->config.vocab_size, top[2];
    double a = pha__log_sum(x, V, &top[0]), b = pha__log_sum(y, V, &top[1]);
    *kl = 0;
    for (int32_t v = 0; v < V; v++) *kl += exp(x[v] - a) * ((x[v] - a) - (y[v] - b));
    *kl = *kl > 0 ? *kl : isfinite(*kl) ? 0 : *kl; /* it is never below 0 but for rounding */
    double before = a - x[target], after = b - y[target];
    if (!isfinite(before) || !isfinite(after) || !isfinite(*kl))
        FAIL(NUMERIC, "the loss is %g in fp32 and %g with smaller weights at position %d of window %" PRIu64, before,
             after, t, p->r->windows);
    int k = 0;
    while (t >> k) k++;
    p->r->bucket_before[k] += before, p->r->bucket_after[k] += after, p->r->bucket_kl[k] += *kl;
    p->r->bucket_tokens[k]++;
    p->r->loss_before += before, p->r->loss_after += after, p->r->kl += *kl;
    p->r->tokens++;
    p->same += top[0] == top[1];
    return PHA_OK;
}

static void add_piece(moments *m, double mean)
{
    m->sum += mean, m->squares += mean * mean, m->n++;
}

static double mean_of(const moments *m) { return m->n > 0 ? m->sum / m->n : NAN; }

/* The standard error of the mean, squared; of one piece alone as large as itself. */
static double variance_of(const moments *m)
{
    double mean = mean_of(m);
    return m->n > 1 ? fmax(0, m->squares / m->n - mean * mean) / (m->n - 1) : mean * mean;
}

/* ---- windows ------------------------------------------------------------------------------------------------ */

static void report(pair *p)
{
    char line[160], kl[24];
    double at = pha__seconds(), done = (double)p->r->tokens, total = (double)p->wanted;
    if (!p->o->progress || (at - p->last_report < 0.2 && p->r->tokens < p->wanted)) return;
    p->last_report = at;
    double rate = done / (at - p->begin);
    pha__print_number(kl, sizeof kl, p->r->kl / done, 6);
    pha__print(line, sizeof line, "quantize %3.0f%%  KL %s  %.0f tokens/s", 100 * done / total, kl, rate);
    pha_progress progress = {.phase = "quantize", .unit = "tokens", .line = line, .done = done, .total = total,
                             .rate = rate, .seconds_left = (total - done) / rate};
    p->o->progress(p->o->user, &progress);
}

static pha_status measure_piece(pair *p, int32_t from, int32_t n, int32_t length)
{
    size_t V = (size_t)p->model->config.vocab_size;
    double sum = 0;
    if (pha__stop_requested())
        FAIL(STOPPED, "asked to stop with %" PRIu64 " of %" PRIu64 " tokens measured", p->r->tokens, p->wanted);
    for (int i = 0; i < 2; i++) TRY(pha_session_score(p->session[i], p->ids + from, (size_t)n, p->logits[i]));
    for (int32_t i = 0; i < n; i++) {
        double kl;
        TRY(add(p, p->logits[0] + (size_t)i * V, p->logits[1] + (size_t)i * V, p->targets[from + i], from + i, &kl));
        sum += kl;
    }
    add_piece(&p->all, sum / n);
    if (length >= LONG && from >= EARLY && from < EARLY_END) add_piece(&p->early, sum / n);
    if (length >= LONG && from >= length / 2) add_piece(&p->late, sum / n);
    report(p);
    return PHA_OK;
}

static pha_status measure_windows(pair *p)
{
    for (uint64_t left = p->wanted; left > 0; p->r->windows++) {
        int32_t length, scored;
        TRY(pha__cursor_get(&p->cursor, p->r->windows, p->ids, p->targets, &length, &scored));
        if ((uint64_t)length > left) length = (int32_t)left;
        for (int i = 0; i < 2; i++) pha_session_reset(p->session[i]);
        for (int32_t at = 0; at < length; at += PIECE)
            TRY(measure_piece(p, at, length - at < PIECE ? length - at : PIECE, length));
        left -= (uint64_t)length;
    }
    return PHA_OK;
}

static void finish(pair *p)
{
    pha_quantize_result *r = p->r;
    double n = (double)r->tokens;
    r->loss_before /= n, r->loss_after /= n, r->kl /= n;
    r->same_choice = (double)p->same / n;
    r->kl_error = sqrt(variance_of(&p->all));
    for (int k = 0; k < PHA_POSITION_BUCKETS; k++) {
        double m = r->bucket_tokens[k] ? (double)r->bucket_tokens[k] : NAN;
        r->bucket_before[k] /= m, r->bucket_after[k] /= m, r->bucket_kl[k] /= m;
    }
    r->kl_early = mean_of(&p->early), r->kl_late = mean_of(&p->late);
    double noise = sqrt(2.25 * variance_of(&p->early) + variance_of(&p->late));
    r->grows = r->kl_late > 1.5 * r->kl_early + 3 * noise; /* not where they are NaN */
}

pha_status pha__quantize_measure(const pha_model *model, const pha_quantize_options *o, pha_quantize_result *r)
{
    pair p = {.o = o, .r = r, .model = model, .begin = pha__seconds()};
    pha_status status = open_data(&p);
    if (!status) status = open_sessions(&p);
    if (!status) status = measure_windows(&p);
    if (!status) finish(&p);
    for (int i = 0; i < 2; i++) {
        pha_session_close(p.session[i]);
        pha__free(p.logits[i]);
    }
    pha__tokens_close(p.tokens);
    pha__free(p.ids);
    pha__free(p.targets);
    return status;
}
