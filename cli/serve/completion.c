/* completion.c -- from a body to a request that the scheduler takes */
#include "serve/completion.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "serve/scheduler.h"

static bool no_memory(Fault *f) { return fault_set(f, 503, NULL, "no memory for the request"); }

/* ---- prompts as tokens ------------------------------------------------------------------------------------ */

static bool encode(const Server *s, Piece *out, const Piece *from, Fault *f)
{
    int32_t *ids;
    size_t n;
    pha_status status = pha_tokenizer_encode(s->tokenizer, from->text, from->size, true, &ids, &n);
    if (status) return fault_library(f, status);
    out->ids = malloc((n ? n : 1) * sizeof *ids);
    if (out->ids && n) memcpy(out->ids, ids, n * sizeof *ids);
    out->n = n;
    pha_free(ids);
    return out->ids || no_memory(f);
}

/* An empty prompt is the token that ends a text. */
static bool begin_with_end(const Server *s, Piece *p, Fault *f)
{
    if (p->n) return true;
    if (s->tokens.end < 0)
        return fault_set(f, 400, "prompt", "the prompt is empty, and no token that ends a text is known in the model's "
                         "tokenizer to begin with");
    int32_t *ids = realloc(p->ids, sizeof *ids);
    if (!ids) return no_memory(f);
    ids[0] = s->tokens.end;
    p->ids = ids, p->n = 1;
    return true;
}

static bool check_ids(const Server *s, const Piece *p, size_t number, Fault *f)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->ids[i] >= s->tokens.n_rows)
            return fault_set(f, 400, "prompt", "prompt %zu: token %zu has the id %d, but the model's vocabulary is 0 "
                             "to %d", number, i, p->ids[i], s->tokens.n_rows - 1);
    if ((int64_t)p->n <= s->info.max_context) return true;
    fault_set(f, 400, "prompt", "prompt %zu has %zu tokens, but the context of this server has room for %lld; make it "
              "shorter, or start the server with a larger --max-context", number, p->n,
              (long long)s->info.max_context);
    f->code = "context_length_exceeded";
    return false;
}

bool request_check_ids(const Server *s, const Piece *p, Fault *f) { return check_ids(s, p, 0, f); }

bool request_tokens(const Server *s, Piece *out, Piece *from, Fault *f)
{
    if (from->ids) *out = *from, from->ids = NULL; /* taken over */
    else if (!encode(s, out, from, f)) return false;
    return check_ids(s, out, 0, f);
}

/* ---- states ----------------------------------------------------------------------------------------------- */

/* In front of the prompt, if there is one, what the state says. */
static bool begin_with_state(Request *r, Fault *f)
{
    Piece *p = &r->prompts[0];
    int32_t *ids;
    size_t n;
    if (!states_take(&r->server->states, exchange_tenant(r->exchange), r->ask.state, &ids, &n, f)) return false;
    r->holds_state = true;
    int32_t *all = realloc(ids, (n + p->n + 1) * sizeof *all);
    if (!all) return free(ids), no_memory(f);
    if (p->n) memcpy(all + n, p->ids, p->n * sizeof *all);
    free(p->ids);
    p->ids = all, p->n += n;
    return true;
}

/* It may become longer by the prompt and by what is made. */
static bool reserve_state(const Request *r, Fault *f)
{
    if (!r->holds_state) return true;
    size_t more = r->choices[0].prompt->n + (size_t)r->choices[0].most;
    StateInfo info;
    if (!states_get(&r->server->states, exchange_tenant(r->exchange), r->ask.state, &info, f)) return false;
    return states_reserve(&r->server->states, exchange_tenant(r->exchange), r->ask.state, more - info.n, f);
}

void request_leave_state(Request *r)
{
    if (!r->holds_state) return;
    Choice *c = r->choices;
    bool good = !r->failed && c && c->finish;
    r->holds_state = false;
    r->state_tokens = good ? choice_whole(c, &r->server->tokens) : 0;
    states_leave(&r->server->states, exchange_tenant(r->exchange), r->ask.state, good ? c->ids : NULL, r->state_tokens);
}

static bool chat_prompt(Request *r, Fault *f)
{
    r->n_prompts = 1;
    return template_encode(&r->server->template, &r->ask, &r->prompts[0].ids, &r->prompts[0].n, f);
}

static bool completion_prompts(Request *r, Fault *f)
{
    Ask *a = &r->ask;
    for (size_t i = 0; i < a->n_prompts; i++) {
        Piece *from = &a->prompts[i], *p = &r->prompts[i];
        if (from->ids) p->ids = from->ids, p->n = from->n, from->ids = NULL; /* taken over */
        else if (!encode(r->server, p, from, f)) return false;
        r->n_prompts = i + 1;
    }
    return true;
}

static bool make_prompts(Request *r, Fault *f)
{
    r->prompts = calloc(r->ask.n_prompts + 1, sizeof *r->prompts);
    if (!r->prompts) return no_memory(f);
    if (!(r->ask.kind == ASK_CHAT ? chat_prompt(r, f) : completion_prompts(r, f))) return false;
    if (r->n_prompts == 0) r->n_prompts = 1;
    if (r->ask.state && !begin_with_state(r, f)) return false;
    for (size_t i = 0; i < r->n_prompts; i++) {
        if (!begin_with_end(r->server, &r->prompts[i], f) || !check_ids(r->server, &r->prompts[i], i, f)) return false;
        r->prompt_tokens += (int64_t)r->prompts[i].n;
    }
    return true;
}

/* ---- choices ---------------------------------------------------------------------------------------------- */

/* Tokens that may be drawn behind n: the last one need not be read. */
static int64_t most_new(const Server *s, const Ask *a, size_t n)
{
    int64_t room = s->info.max_context == INT64_MAX ? INT64_MAX : s->info.max_context - (int64_t)n + 1;
    int64_t wanted = a->max_tokens >= 0 ? a->max_tokens : a->kind == ASK_CHAT ? room : 16;
    if (a->kind == ASK_CHAT && a->max_tokens < 0 && room == INT64_MAX) wanted = 4096; /* it has to end somewhere */
    return wanted < room ? wanted : room;
}

static bool make_choices(Request *r, Fault *f)
{
    const Ask *a = &r->ask;
    double entries = 0;
    r->choices = calloc(r->n_prompts * (size_t)a->n, sizeof *r->choices);
    if (!r->choices) return no_memory(f);
    r->n_choices = r->left = r->n_prompts * (size_t)a->n;
    for (size_t i = 0; i < r->n_choices; i++) {
        Choice *c = &r->choices[i];
        const Piece *p = &r->prompts[i / (size_t)a->n];
        *c = (Choice){.request = r, .prompt = p, .index = (int32_t)i, .sample = (int32_t)(i % (size_t)a->n),
                      .most = most_new(r->server, a, p->n)};
        entries += (double)(1 + a->logprobs) * ((double)c->most + (a->echo ? (double)p->n : 0));
    }
    int64_t most = r->server->limits.at[LIMIT_entries];
    if (entries <= (double)most) return true;
    return fault_set(f, 400, "logprobs", "the answer would have up to %.0f log-probabilities; this server allows %lld: "
                     "ask for fewer tokens, prompts or logprobs at once", entries, (long long)most);
}

/* ---- how tokens are drawn --------------------------------------------------------------------------------- */

static uint64_t any_seed(void)
{
    uint64_t x = 0;
    if (getrandom(&x, sizeof x, 0) != (ssize_t)sizeof x) x = (uint64_t)time(NULL);
    return x >> 11; /* a number that every reader of JSON keeps */
}

static bool set_sampling(Request *r, Fault *f)
{
    const Ask *a = &r->ask;
    for (size_t i = 0; i < a->n_bias; i++)
        if (a->bias[i].id >= r->server->tokens.n)
            return fault_set(f, 400, "logit_bias", "logit_bias: token %d is not in the vocabulary, 0 to %d",
                             a->bias[i].id, r->server->tokens.n - 1);
    r->sample = (pha_sample_options){.temperature = a->temperature,
                                     .top_k = a->top_k > 0 ? a->top_k : 0,
                                     .top_p = a->top_p,
                                     .min_p = a->min_p,
                                     .repetition_penalty = a->repetition_penalty,
                                     .presence_penalty = a->presence_penalty,
                                     .frequency_penalty = a->frequency_penalty,
                                     .bias = a->bias,
                                     .n_bias = a->n_bias,
                                     .seed = a->seeded ? (uint64_t)a->seed : any_seed()};
    return true;
}

static bool check_logprobs(const Request *r, Fault *f)
{
    if (r->ask.logprobs <= r->server->tokens.n_rows) return true;
    return fault_set(f, 400, "logprobs", "logprobs is %d, but the vocabulary has %d tokens", r->ask.logprobs,
                     r->server->tokens.n_rows);
}

static bool prepare(Request *r, Fault *f)
{
    return check_logprobs(r, f) && make_prompts(r, f) && make_choices(r, f) && reserve_state(r, f) &&
           set_sampling(r, f);
}

bool server_read(Server *s, Exchange *x, AskKind kind, Ask *a)
{
    Fault fault = {0};
    size_t size;
    const char *body = exchange_body(x, &size);
    bool good = request_read(a, kind, body, size, &s->limits, &fault);
    if (good && a->model && *a->model && strcmp(a->model, s->name)) {
        good = fault_set(&fault, 404, "model", "the model %.100s is not here; this server has %s", a->model, s->name);
        fault.code = "model_not_found";
    }
    if (good) server_tell_unknown(s, &a->unknown);
    if (good) return true;
    exchange_fault(x, &fault);
    request_free(a);
    return false;
}

/* ---- what is known of the prompts -------------------------------------------------------------------------- */

static void submit(Request *r)
{
    Fault fault = {0};
    if (scheduler_submit(r->server->scheduler, r, &fault)) return;
    request_leave_state(r);
    exchange_fault(r->exchange, &fault);
    request_destroy(r);
}

/* From disk into memory, on a thread that nobody computes on. */
static void recall(Job *job)
{
    Request *r = (Request *)(void *)job;
    const char *tenant = exchange_tenant(r->exchange);
    for (size_t i = 0; i < r->n_prompts && !exchange_gone(r->exchange); i++)
        pha_engine_recall(r->server->engine, r->prompts[i].ids, r->prompts[i].n, tenant, NULL);
    submit(r);
}

/* Of a text that is scored every token is wanted, so nothing of it. */
static void begin(Request *r)
{
    bool scored = r->ask.echo && r->ask.logprobs >= 0;
    r->job.run = recall;
    if (!r->server->reader || scored || !worker_push(r->server->reader, &r->job)) submit(r);
}

/* ---- handlers --------------------------------------------------------------------------------------------- */

static void handle(Server *s, Exchange *x, AskKind kind)
{
    Fault fault = {0};
    Request *r = calloc(1, sizeof *r);
    if (!r) {
        no_memory(&fault);
        exchange_fault(x, &fault);
        return;
    }
    r->server = s, r->exchange = x, r->arrived = http_now(), r->created = (long)time(NULL);
    exchange_hold(x);
    snprintf(r->id, sizeof r->id, "%s-%016llx", kind == ASK_CHAT ? "chatcmpl" : "cmpl",
             (unsigned long long)s->next_id++);
    bool read = server_read(s, x, kind, &r->ask);
    if (read && prepare(r, &fault)) {
        begin(r);
        return;
    }
    request_leave_state(r);
    if (read) exchange_fault(x, &fault);
    request_destroy(r);
}

void handle_completion(void *server, Exchange *x) { handle(server, x, ASK_COMPLETION); }
void handle_chat(void *server, Exchange *x) { handle(server, x, ASK_CHAT); }
