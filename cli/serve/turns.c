/* turns.c -- one step of all sequences that decode, and of prompts that end soon; one part of one prompt */
#include "serve/scheduler_impl.h"

#include <string.h>

static void fail_library(Scheduler *s, Request *r, pha_status status)
{
    Fault fault;
    fault_library(&fault, status);
    if (fault.status == 400) fault.status = 500; /* what came in was checked: it is our fault */
    request_fail(s, r, &fault);
}

static double since(double *t)
{
    double before = *t;
    return (*t = http_now()) - before;
}

/* ---- a step ----------------------------------------------------------------------------------------------- */

static bool is_scored(const Choice *c) { return c->request->ask.echo && c->request->ask.logprobs >= 0; }

static size_t count_readers(const Scheduler *s)
{
    size_t n = 0;
    for (int i = 0; i < s->n_slots; i++) {
        const Choice *c = s->slots[i].choice;
        n += c && c->stage == CHOICE_READING && !is_scored(c);
    }
    return n;
}

/* Prompts are read one after another, in runs of their own, each of which reads all weights. Where more of them wait
 * than one has tokens left, it comes to its end sooner, and all of them together, as rows of steps; the bits are the
 * same. */
static bool ends_soon(const Scheduler *s, const Choice *c)
{
    return c->stage == CHOICE_READING && !is_scored(c) && c->prompt->n - 1 - c->read < s->n_readers;
}

/* Those that take part in a step, in order of slots; a stream whose reader is slow waits. */
static size_t gather(Scheduler *s)
{
    size_t n = 0;
    s->n_readers = count_readers(s);
    for (int i = 0; i < s->n_slots; i++) {
        Choice *c = s->slots[i].choice;
        if (!c || !(c->stage == CHOICE_DECODING || ends_soon(s, c))) continue;
        if (c->request->ask.stream && exchange_full(c->request->exchange)) continue;
        s->choices[n] = c, s->sessions[n] = c->session, s->ids[n] = c->ids[c->read];
        n++;
    }
    return n;
}

/* Draw i is of this row of logits. */
static void prepare_draw(Scheduler *s, const Choice *c, size_t row, size_t i)
{
    const Request *r = c->request;
    size_t V = (size_t)s->server->info.vocab_size, k = 1 + (size_t)s->server->limits.at[LIMIT_logprobs];
    s->draws[i] = (pha_draw){.logits = s->logits + row * V,
                             .n_logits = (int32_t)V,
                             .n_ids = s->server->tokens.n,
                             .options = &r->sample,
                             .text = c->ids,
                             .n_text = c->n_ids,
                             .n_new = (size_t)c->made,
                             .count = (uint64_t)c->sample << 40 | (uint64_t)c->made,
                             .n_best = r->ask.logprobs > 0 ? r->ask.logprobs : 0,
                             .best = r->ask.logprobs >= 0 ? s->best + i * k : NULL};
}

static void drew(Scheduler *s, Choice *c, const pha_draw *d)
{
    Request *r = c->request;
    Metrics *m = &s->server->metrics;
    Fault fault;
    double before = c->last, now = c->last = http_now();
    if (r->first_token == 0) r->first_token = now;
    m->tokens_made++;
    metrics_seconds(c->made ? &m->between_tokens : &m->first_token, now - (c->made ? before : r->arrived));
    if (!choice_drew(c, &r->ask, &s->server->tokens, d->id, d->best)) {
        fault_set(&fault, 503, NULL, "no memory for the text");
        request_fail(s, r, &fault);
        return;
    }
    if (!c->finish && (int64_t)c->read >= s->server->info.max_context) c->finish = "length";
    if (c->finish) choice_done(s, c);
    else if (r->ask.stream) stream_tokens(c);
}

/* A failure of one draw is that of its request only. It may take other choices of this step with it. */
static void use(Scheduler *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        Choice *c = s->drawing[i];
        bool there = false; /* the request may have been freed with an earlier choice */
        for (int k = 0; k < s->n_slots; k++) there = there || s->slots[k].choice == c;
        if (!there) continue;
        if (s->draws[i].status) fail_library(s, c->request, pha_sample(&s->draws[i])); /* again, for its message */
        else drew(s, c, &s->draws[i]);
    }
}

/* Every row has been read. Of a prompt only the last token brings a draw. Returns the number of draws. */
static size_t prepare_draws(Scheduler *s, size_t n)
{
    size_t n_draws = 0;
    for (size_t i = 0; i < n; i++) {
        Choice *c = s->choices[i];
        c->read++;
        if (c->stage == CHOICE_DECODING) {
            prepare_draw(s, c, i, n_draws);
            s->drawing[n_draws++] = c;
            continue;
        }
        s->server->metrics.tokens_read++;
        if (c->read + 1 == c->prompt->n) c->stage = CHOICE_DECODING;
    }
    return n_draws;
}

bool turn_step(Scheduler *s)
{
    Server *server = s->server;
    double t = http_now();
    size_t n = gather(s), n_draws = 0;
    if (n == 0) return false;
    pha_status status = pha_engine_step(server->engine, s->sessions, s->ids, n, s->logits);
    if (!status) {
        n_draws = prepare_draws(s, n);
        status = pha_engine_sample(server->engine, s->draws, n_draws);
        if (status == PHA_NUMERIC || status == PHA_USAGE) status = PHA_OK; /* of one draw */
    }
    s->a_step = since(&t);
    server->metrics.steps++;
    metrics_seconds(&server->metrics.step, s->a_step);
    for (size_t i = 0; i < n; i++) s->choices[i]->request->tenant->used += s->a_step / (double)n;
    if (!status) use(s, n_draws);
    for (int i = 0; i < s->n_slots && status; i++) {
        const Choice *c = s->slots[i].choice;
        if (c && (c->stage == CHOICE_DECODING || ends_soon(s, c))) fail_library(s, c->request, status);
    }
    return true;
}

/* ---- a part of a prompt ----------------------------------------------------------------------------------- */

static Choice *next_reader(const Scheduler *s)
{
    Choice *best = NULL;
    for (int i = 0; i < s->n_slots; i++) {
        Choice *c = s->slots[i].choice;
        if (!c || c->stage != CHOICE_READING || ends_soon(s, c)) continue;
        double a = c->request->tenant->used, b = best ? best->request->tenant->used : 0;
        if (!best || a < b || (a == b && c->started < best->started)) best = c;
    }
    return best;
}

/* As long as a step, so that those who decode go half as fast at worst; alone as much as is efficient. */
static size_t part(const Scheduler *s, const Choice *c, bool others)
{
    size_t left = c->prompt->n - 1 - c->read;
    double n = others ? s->a_step / s->a_token : MOST_PART;
    size_t most = n < LEAST_PART ? LEAST_PART : n > MOST_PART ? MOST_PART : (size_t)n;
    if (most > left) most = left;
    size_t end = (c->read + most) / PAGE * PAGE; /* at the end of a page, whose state can then be kept */
    return end > c->read ? end - c->read : most;
}

static pha_status score(Scheduler *s, Choice *c, size_t n)
{
    const Ask *a = &c->request->ask;
    const int32_t *ids = c->ids + c->read;
    pha_status status = pha_session_score(c->session, ids, n, s->logits);
    if (!status)
        status = pha_engine_logprobs(s->server->engine, s->logits, ids + 1, n, a->logprobs, s->best);
    if (!status) choice_scored(c, a, c->read + 1, n, s->best);
    return status;
}

bool turn_read(Scheduler *s, bool others)
{
    Choice *c = next_reader(s);
    if (!c) return false;
    bool scored = is_scored(c);
    size_t n = part(s, c, others);
    if (scored && n > SCORED) n = SCORED;
    double t = http_now();
    pha_status status = scored ? score(s, c, n) : pha_session_read(c->session, c->ids + c->read, n);
    double seconds = since(&t);
    s->a_token = 0.8 * s->a_token + 0.2 * seconds / (double)n;
    s->server->metrics.tokens_read += n;
    c->request->tenant->used += seconds;
    c->read += n;
    if (status) fail_library(s, c->request, status);
    else if (c->read + 1 == c->prompt->n && c->most > 0) c->stage = CHOICE_DECODING;
    else if (c->read + 1 == c->prompt->n) c->finish = "length", choice_done(s, c);
    return true;
}
