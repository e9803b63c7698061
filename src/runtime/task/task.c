/* task.c -- pha_task: likelihoods of continuations
 *
 * The tokens of a context are read once for all choices: a session holds its end, and each choice goes on from a copy.
 * A context that must be cut for the longest choice is read for each choice by itself, since they lose different parts.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/print.h"
#include "runtime/infer/session.h"
#include "runtime/stop.h"
#include "runtime/task/task.h"

enum { PIECE = 64, DEFAULT_CONTEXT = 2048 };

typedef struct scoring {
    const pha_task_options *o;
    pha_task_result *result;
    pha__exam task;
    const pha_model *model;
    pha_engine *engine;
    pha_session *context, *choice;
    float *logits; /* (PIECE, V) */
    size_t V;
    pha__writer *out;
    double begin, last_report, hits;
} scoring;

/* ---- one continuation -------------------------------------------------------------------------------------- */

/* The next token of a choice under the logits in front of it. */
static void take_token(pha__choice *c, const float *logits, size_t V, int32_t id)
{
    size_t best = 0;
    double sum = 0;
    for (size_t i = 1; i < V; i++)
        if (logits[i] > logits[best]) best = i;
    for (size_t i = 0; i < V; i++) sum += exp((double)logits[i] - logits[best]);
    c->ll += (double)logits[id] - logits[best] - log(sum);
    c->greedy &= best == (size_t)id;
}

/* `at` has read the context. A copy of it reads all but the last token of the choice. */
static pha_status score_choice(scoring *s, const pha_session *at, pha__choice *c)
{
    c->ll = 0, c->greedy = true;
    take_token(c, at->logits, s->V, c->ids[0]);
    if (c->n > 1) TRY(pha_session_copy(s->choice, at));
    for (int32_t i = 0; i + 1 < c->n;) {
        int32_t n = c->n - 1 - i < PIECE ? c->n - 1 - i : PIECE;
        TRY(pha_session_score(s->choice, c->ids + i, (size_t)n, s->logits));
        for (int32_t k = 0; k < n; k++) take_token(c, s->logits + (size_t)k * s->V, s->V, c->ids[i + k + 1]);
        i += n;
    }
    return PHA_OK;
}

static pha_status read_context(scoring *s, const pha__item *item, int32_t from)
{
    pha_session_reset(s->context);
    s->result->context_tokens += (uint64_t)(item->n_ids - from);
    return pha__session_read(s->context, item->ids + from, (size_t)(item->n_ids - from), true);
}

static pha_status score_item(scoring *s, pha__item *item)
{
    if (!item->dropped) TRY(read_context(s, item, 0));
    for (int i = 0; i < item->n; i++) {
        pha__choice *c = &item->choices[i];
        int32_t over = item->n_ids + c->n - s->result->context - 1;
        if (item->dropped) TRY(read_context(s, item, over > 0 ? over : 0));
        TRY(score_choice(s, s->context, c));
        if (!isfinite(c->ll))
            FAIL(NUMERIC, "%s:%" PRIu64 ": the likelihood of choice %d is %g: the weights are damaged or training "
                 "diverged", s->task.path, item->line, i, c->ll);
        s->result->tokens += (uint64_t)c->n;
    }
    s->result->truncated += item->dropped > 0;
    return PHA_OK;
}

/* ---- scores as a file --------------------------------------------------------------------------------------- */

static void add_scores(json_t **object, const pha__item *item)
{
    json_t *ll = pha__json_list(), *greedy = pha__json_list(), *n = pha__json_list(), *chars = pha__json_list(),
           *bytes = pha__json_list();
    for (int i = 0; i < item->n; i++) {
        const pha__choice *c = &item->choices[i];
        pha__json_add(&ll, pha__json_decimal(c->ll));
        pha__json_add(&greedy, json_boolean(c->greedy));
        pha__json_add(&n, pha__json_number(c->n));
        pha__json_add(&chars, pha__json_number((int64_t)c->chars));
        pha__json_add(&bytes, pha__json_number((int64_t)c->bytes));
    }
    pha__json_set(object, "ll", ll);
    pha__json_set(object, "greedy", greedy);
    pha__json_set(object, "tokens", n);
    if (item->n > 1) pha__json_set(object, "characters", chars);
    else json_decref(chars);
    if (item->n > 1) pha__json_set(object, "bytes", bytes);
    else json_decref(bytes);
}

static pha_status write_scores(scoring *s, const pha__item *item)
{
    if (!s->out) return PHA_OK;
    pha__str line = {0};
    json_t *object = pha__json_object();
    pha__json_set(&object, "line", pha__json_number((int64_t)item->line));
    if (item->n > 1) pha__json_set(&object, "gold", pha__json_number(item->gold));
    pha__json_set(&object, "context_tokens", pha__json_number(item->n_ids));
    pha__json_set(&object, "dropped", pha__json_number(item->dropped));
    add_scores(&object, item);
    pha__json_print(&line, object, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(object);
    pha__str_puts(&line, "\n");
    pha_status status = line.failed ? PHA_NO_MEMORY : pha__writer_write(s->out, line.data, line.size);
    pha__str_free(&line);
    return status;
}

/* ---- numbers ------------------------------------------------------------------------------------------------ */

typedef enum measure { RAW, BY_CHARACTER, BY_BYTE } measure;

/* Is the choice of the highest likelihood the right one? Of equals the first counts. */
static double right(const pha__item *item, measure by)
{
    int best = 0;
    double highest = -INFINITY;
    for (int i = 0; i < item->n; i++) {
        const pha__choice *c = &item->choices[i];
        double length = by == BY_CHARACTER ? c->chars : by == BY_BYTE ? c->bytes : 1, x = c->ll / length;
        if (x > highest) best = i, highest = x;
    }
    return best == item->gold;
}

static pha_status finish(scoring *s)
{
    pha_task_result *r = s->result;
    const pha__exam *t = &s->task;
    bool words = t->items[0].n == 1;
    double *x = pha__alloc(t->n, sizeof *x);
    if (!x) return PHA_NO_MEMORY;
    pha_status status = PHA_OK;
    for (size_t i = 0; i < t->n; i++) x[i] = words ? t->items[i].choices[0].greedy : right(&t->items[i], RAW);
    pha__task_mean(&r->accuracy, &r->accuracy_error, x, t->n);
    if (words) {
        for (size_t i = 0; i < t->n; i++) x[i] = t->items[i].choices[0].ll;
        status = pha__task_perplexity(&r->ppl, &r->ppl_error, x, t->n, s->o->threads);
    } else {
        for (size_t i = 0; i < t->n; i++) x[i] = right(&t->items[i], BY_CHARACTER);
        pha__task_mean(&r->accuracy_norm, &r->accuracy_norm_error, x, t->n);
        for (size_t i = 0; i < t->n; i++) x[i] = right(&t->items[i], BY_BYTE);
        pha__task_mean(&r->accuracy_bytes, &r->accuracy_bytes_error, x, t->n);
    }
    pha__free(x);
    r->seconds = pha__seconds() - s->begin;
    r->peak_bytes = pha__mem_peak();
    return status;
}

static void report(scoring *s, size_t done)
{
    char line[160], hits[24];
    double at = pha__seconds(), spent = at - s->begin, total = (double)s->task.n;
    if (!s->o->progress || (done < s->task.n && at - s->last_report < 0.2)) return;
    s->last_report = at;
    pha_progress p = {.phase = "task", .unit = "items", .line = line, .done = (double)done, .total = total,
                      .rate = (double)done / spent, .seconds_left = spent * (total / (double)done - 1)};
    pha__print_number(hits, sizeof hits, 100 * s->hits / (double)done, 2);
    pha__print(line, sizeof line, "task %3.0f%%  accuracy %s %%  %.1f items/s  %.0f s left", 100 * (double)done / total,
               hits, p.rate, p.seconds_left);
    s->o->progress(s->o->user, &p);
}

static pha_status score(scoring *s)
{
    for (size_t i = 0; i < s->task.n; i++) {
        pha__item *item = &s->task.items[i];
        if (pha__stop_requested())
            FAIL(STOPPED, "asked to stop with %zu of %zu items scored", i, s->task.n);
        TRY(score_item(s, item));
        TRY(write_scores(s, item));
        s->hits += item->n == 1 ? item->choices[0].greedy : right(item, RAW);
        report(s, i + 1);
    }
    return finish(s);
}

/* ---- opening ------------------------------------------------------------------------------------------------ */

/* The tokens that the longest text needs, so that no more memory is taken. */
static int64_t longest(const pha__exam *t, int32_t most)
{
    int64_t n = 1;
    for (size_t i = 0; i < t->n; i++)
        for (int k = 0; k < t->items[i].n; k++) {
            int64_t one = (int64_t)t->items[i].n_ids + t->items[i].choices[k].n - 1;
            n = one > n ? one : n;
        }
    return n < most ? n : most;
}

static pha_status choose_context(scoring *s)
{
    int64_t most = pha__longest_text(s->model->names);
    int32_t wanted = s->o->context;
    if (wanted > most)
        FAIL(USAGE, "the context of %d tokens is more than the %" PRId64 " positions of the model", wanted, most);
    s->result->context = wanted ? wanted : most < INT32_MAX ? (int32_t)most : DEFAULT_CONTEXT;
    return PHA_OK;
}

static pha_status open_all(scoring *s)
{
    const pha_task_options *o = s->o;
    const pha__tokenizer *tokenizer = s->model->tokenizer;
    if (!tokenizer) FAIL(BAD_INPUT, "%s: has no tokenizer, and a task is text", s->model->folder);
    TRY(choose_context(s));
    TRY(pha__task_read(&s->task, o->file, (uint64_t)o->max_items));
    s->result->form = s->task.form, s->result->items = s->task.n;
    s->result->context_key = s->task.context_key, s->result->choices_key = s->task.choices_key;
    s->result->gold_key = s->task.gold_key;
    s->result->tokenizer_hash = pha__tokenizer_hash(tokenizer);
    TRY(pha__task_encode(&s->task, tokenizer, s->result->context));
    pha_engine_options e = {.max_context = longest(&s->task, s->result->context), .batch = 1, .threads = o->threads,
                            .weights = o->weights};
    TRY(pha_engine_open(&s->engine, s->model, &e));
    TRY(pha_engine_session(s->engine, &s->context));
    TRY(pha_engine_session(s->engine, &s->choice));
    s->V = (size_t)s->model->config.vocab_size;
    s->logits = pha__alloc(PIECE * s->V, sizeof *s->logits);
    if (!s->logits) return PHA_NO_MEMORY;
    return o->scores ? pha__writer_open(&s->out, o->scores) : PHA_OK;
}

static pha_status check(const pha_task_options *o)
{
    if (!o->model || !o->file) FAIL(USAGE, "a task needs a model folder and a file");
    if (o->context < 0) FAIL(USAGE, "the context of a task is %d tokens, below 1", o->context);
    if (o->max_items < 0) FAIL(USAGE, "max_items is %" PRId64 ", below 0", o->max_items);
    return PHA_OK;
}

static pha_status run(scoring *s)
{
    TRY(open_all(s));
    TRY(score(s));
    pha__writer *out = s->out;
    s->out = NULL; /* commit frees it */
    return out ? pha__writer_commit(out) : PHA_OK;
}

pha_status pha_task(const pha_task_options *o, pha_task_result *result)
{
    pha_task_result unused;
    pha_model *model = NULL;
    if (!result) result = &unused;
    *result = (pha_task_result){.accuracy_norm = NAN, .accuracy_norm_error = NAN, .accuracy_bytes = NAN,
                                .accuracy_bytes_error = NAN, .ppl = NAN, .ppl_error = NAN};
    NEED(o, "options");
    TRY(check(o));
    TRY(pha_model_open(&model, o->model));
    scoring s = {.o = o, .result = result, .model = model, .begin = pha__seconds()};
    pha_status status = run(&s);
    pha__writer_abort(s.out);
    pha_session_close(s.context);
    pha_session_close(s.choice);
    pha_engine_close(s.engine);
    pha__free(s.logits);
    pha__task_free(&s.task);
    pha_model_close(model);
    return status;
}
