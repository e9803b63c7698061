/* scheduler.c -- requests as they come and go, and who gets a slot */
#include "serve/scheduler_impl.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "serve/log.h"

/* ---- the list --------------------------------------------------------------------------------------------- */

static void link_in(Scheduler *s, Request *r)
{
    r->before = s->last, r->after = NULL;
    if (s->last) s->last->after = r;
    else s->first = r;
    s->last = r;
}

static void link_out(Scheduler *s, Request *r)
{
    if (r->before) r->before->after = r->after;
    else s->first = r->after;
    if (r->after) r->after->before = r->before;
    else s->last = r->before;
}

static void count(Scheduler *s, int waiting, int there, double seconds)
{
    pthread_mutex_lock(&s->lock);
    s->waiting += waiting, s->there += there;
    s->server->metrics.waiting = s->waiting;
    if (seconds > 0) s->a_request = s->a_request > 0 ? 0.9 * s->a_request + 0.1 * seconds : seconds;
    pthread_mutex_unlock(&s->lock);
}

void slot_free(Scheduler *s, Choice *c)
{
    if (!c->session) return;
    s->slots[c->slot].choice = NULL;
    c->session = NULL;
    c->request->tenant->running--;
    s->server->metrics.running--;
}

/* Its line of the log. */
static void tell(const Request *r)
{
    double now = http_now(), began = r->began > 0 ? r->began : now, first = r->first_token > 0 ? r->first_token : now;
    LogLine l = {.id = r->id, .tenant = r->tenant->name, .status = r->failed ? r->status : 200,
                 .end = !r->failed ? "ok" : r->status ? "error" : "gone", .reused = r->reused,
                 .waiting = began - r->arrived, .reading = first - began, .decoding = now - first};
    for (size_t i = 0; i < r->n_choices; i++) {
        const Choice *c = &r->choices[i];
        size_t read = c->read < c->prompt->n ? c->read : c->prompt->n;
        l.read += (long long)read - (long long)c->reuse.tokens;
        l.made += (long long)c->made;
    }
    log_tokens(r->server, &l);
}

/* The request goes to the worker, which answers and frees it. */
static void finish(Scheduler *s, Request *r)
{
    Server *server = s->server;
    bool waited = r->admitted < r->n_choices;
    request_leave_state(r);
    if (!r->failed && r->ask.stream) stream_end(r);
    link_out(s, r);
    tell(r);
    tenants_leave(&s->tenants, r->tenant);
    r->tenant = NULL;
    double seconds = http_now() - r->arrived;
    r->job.run = request_answer;
    if (!worker_push(server->worker, &r->job)) request_answer(&r->job);
    count(s, waited ? -1 : 0, -1, seconds);
}

void choice_done(Scheduler *s, Choice *c)
{
    Request *r = c->request;
    if (c->stage == CHOICE_DONE) return;
    slot_free(s, c);
    c->stage = CHOICE_DONE;
    if (!r->failed && r->ask.stream) stream_tokens(c);
    if (--r->left == 0) finish(s, r);
}

void request_fail(Scheduler *s, Request *r, const Fault *fault)
{
    r->failed = true;
    r->status = fault ? fault->status : 0;
    request_leave_state(r); /* who is told may ask again */
    if (fault) exchange_fault(r->exchange, fault);
    for (size_t i = 0, n = r->n_choices; i < n; i++) {
        bool last = r->left == 1 && r->choices[i].stage != CHOICE_DONE;
        choice_done(s, &r->choices[i]);
        if (last) return; /* it is freed */
    }
}

/* ---- coming and going ------------------------------------------------------------------------------------- */

bool scheduler_submit(Scheduler *s, Request *r, Fault *fault)
{
    bool taken = false;
    pthread_mutex_lock(&s->lock);
    if (s->closing) fault_set(fault, 503, NULL, "the server is stopping");
    else if (s->waiting >= s->server->limits.at[LIMIT_queue]) {
        double seconds = (double)s->waiting * s->a_request / (double)s->n_slots;
        fault_set(fault, 429, NULL, "%d requests wait already; try again later", s->waiting);
        fault->retry = seconds < 1 ? 1 : seconds > 60 ? 60 : (int)(seconds + 0.5);
    } else {
        taken = true;
        exchange_told(r->exchange);
        r->after = NULL;
        *s->inbox_end = r, s->inbox_end = &r->after;
        s->waiting++, s->there++;
        s->server->metrics.waiting = s->waiting;
        pthread_cond_signal(&s->more);
    }
    pthread_mutex_unlock(&s->lock);
    return taken;
}

bool scheduler_idle(Scheduler *s)
{
    pthread_mutex_lock(&s->lock);
    bool idle = s->there == 0;
    pthread_mutex_unlock(&s->lock);
    return idle;
}

static void take_in(Scheduler *s, Request *list)
{
    Fault fault;
    for (Request *r = list, *after; r; r = after) {
        after = r->after;
        r->tenant = tenants_enter(&s->tenants, exchange_tenant(r->exchange));
        if (r->tenant) {
            link_in(s, r);
            if (r->ask.stream) stream_begin(r);
            continue;
        }
        fault_set(&fault, 503, NULL, "no memory for the request");
        exchange_fault(r->exchange, &fault);
        request_destroy(r);
        count(s, -1, -1, 0);
    }
}

/* Waits until there is something to do: `busy` says that there is. False: the thread is to end. */
static bool wait(Scheduler *s, bool busy)
{
    struct timespec until;
    pthread_mutex_lock(&s->lock);
    while (!busy && !s->inbox && !s->closing) {
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += 20000000; /* a slow reader may have made room, a waiting client have gone */
        if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
        if (s->there == 0) pthread_cond_wait(&s->more, &s->lock);
        else pthread_cond_timedwait(&s->more, &s->lock, &until), busy = true;
    }
    Request *list = s->inbox;
    bool go_on = !s->closing;
    s->inbox = NULL, s->inbox_end = &s->inbox;
    pthread_mutex_unlock(&s->lock);
    take_in(s, list);
    return go_on;
}

static void sweep(Scheduler *s)
{
    Fault fault;
    double now = http_now(), most = (double)s->server->limits.at[LIMIT_seconds];
    for (Request *r = s->first, *after; r; r = after) {
        after = r->after;
        if (exchange_gone(r->exchange)) {
            request_fail(s, r, NULL);
        } else if (now - r->arrived > most) {
            s->server->metrics.timed_out++;
            fault_set(&fault, 504, NULL, "the request took longer than %.0f seconds", most);
            request_fail(s, r, &fault);
        }
    }
}

/* ---- slots ------------------------------------------------------------------------------------------------ */

static Request *next_waiting(const Scheduler *s)
{
    Request *best = NULL;
    for (Request *r = s->first; r; r = r->after)
        if (r->admitted < r->n_choices && (!best || tenant_before(r->tenant, best->tenant))) best = r;
    return best;
}

static int free_slot(const Scheduler *s)
{
    for (int i = 0; i < s->n_slots; i++)
        if (!s->slots[i].choice) return i;
    return -1;
}

static bool any_runs(const Scheduler *s)
{
    for (int i = 0; i < s->n_slots; i++)
        if (s->slots[i].choice) return true;
    return false;
}

/* To the longest beginning of the prompt that is known; of a scored one every token is wanted, so none is passed over,
 * but what is read is kept for others. False: the library's reason is its message. */
static bool begin(pha_session *session, Choice *c)
{
    Request *r = c->request;
    bool scored = r->ask.echo && r->ask.logprobs >= 0;
    const char *tenant = exchange_tenant(r->exchange);
    if (pha_session_begin(session, c->prompt->ids, scored ? 1 : c->prompt->n, tenant, &c->reuse)) return false;
    c->read = (size_t)c->reuse.tokens;
    if (c->sample == 0) r->reused += c->reuse.tokens;
    r->server->metrics.tokens_reused += (uint64_t)c->reuse.tokens;
    r->server->metrics.misses[c->reuse.miss]++;
    return true;
}

/* False: there is no memory for another session now. */
static bool admit(Scheduler *s, int at, Request *r)
{
    Fault fault;
    Slot *slot = &s->slots[at];
    Choice *c = &r->choices[r->admitted];
    pha_status status = slot->session ? PHA_OK : pha_engine_session(s->server->engine, &slot->session);
    if (status && any_runs(s)) return false;
    r->admitted++;
    if (r->admitted == r->n_choices) count(s, -1, 0, 0);
    if (status || !choice_begin(c, &r->ask, &s->server->tokens)) {
        fault_set(&fault, 503, NULL, "no memory for another sequence");
        request_fail(s, r, &fault);
        return true;
    }
    if (!begin(slot->session, c)) {
        fault_library(&fault, PHA_FAILED);
        request_fail(s, r, &fault);
        return true;
    }
    slot->choice = c;
    c->session = slot->session, c->slot = at, c->started = c->last = http_now();
    if (r->began == 0) r->began = c->started;
    c->stage = c->read + 1 < c->prompt->n ? CHOICE_READING : CHOICE_DECODING;
    r->tenant->running++;
    s->server->metrics.running++;
    bool scored = r->ask.echo && r->ask.logprobs >= 0;
    if (c->most == 0 && (!scored || c->prompt->n == 1)) c->finish = "length", choice_done(s, c);
    return true;
}

static void admit_all(Scheduler *s)
{
    for (int at; (at = free_slot(s)) >= 0;) {
        Request *r = next_waiting(s);
        if (!r || !admit(s, at, r)) return;
    }
}

/* ---- the thread ------------------------------------------------------------------------------------------- */

static void *run(void *context)
{
    Scheduler *s = context;
    for (bool busy = false; wait(s, busy);) {
        sweep(s);
        admit_all(s);
        bool stepped = turn_step(s), read = turn_read(s, stepped);
        busy = stepped || read;
    }
    Fault fault;
    fault_set(&fault, 503, NULL, "the server is stopping");
    while (s->first) request_fail(s, s->first, &fault);
    return NULL;
}

static bool make(Scheduler *s)
{
    size_t n = (size_t)s->n_slots, rows = n > SCORED ? n : SCORED;
    size_t k = 1 + (size_t)s->server->limits.at[LIMIT_logprobs];
    s->slots = calloc(n, sizeof *s->slots);
    s->sessions = calloc(n, sizeof(pha_session *));
    s->ids = calloc(n, sizeof *s->ids);
    s->choices = calloc(n, sizeof(Choice *));
    s->drawing = calloc(n, sizeof(Choice *));
    s->draws = calloc(n, sizeof *s->draws);
    s->best = calloc(rows * k, sizeof *s->best);
    s->logits = malloc(rows * (size_t)s->server->info.vocab_size * sizeof *s->logits);
    return s->slots && s->sessions && s->ids && s->choices && s->drawing && s->draws && s->best && s->logits;
}

static void unmake(Scheduler *s)
{
    for (int i = 0; s->slots && i < s->n_slots; i++) pha_session_close(s->slots[i].session);
    tenants_close(&s->tenants);
    free(s->slots);
    free(s->sessions);
    free(s->ids);
    free(s->choices);
    free(s->drawing);
    free(s->draws);
    free(s->best);
    free(s->logits);
    pthread_cond_destroy(&s->more);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

bool scheduler_open(Scheduler **out, Server *server)
{
    Scheduler *s = calloc(1, sizeof *s);
    pthread_condattr_t monotonic;
    *out = NULL;
    if (!s) return false;
    s->server = server, s->n_slots = server->slots, s->inbox_end = &s->inbox, s->a_token = 0.001;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->more, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (make(s) && pthread_create(&s->thread, NULL, run, s) == 0) return *out = s, true;
    unmake(s);
    return false;
}

void scheduler_stop(Scheduler *s)
{
    if (!s || s->joined) return;
    pthread_mutex_lock(&s->lock);
    s->closing = true;
    pthread_cond_signal(&s->more);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    s->joined = true;
}

void scheduler_close(Scheduler *s)
{
    if (!s) return;
    scheduler_stop(s);
    unmake(s);
}
