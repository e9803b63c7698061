/* states_http.c -- the routes of named states */
#include <stdlib.h>
#include <string.h>

#include "serve/completion.h"

static void print_state(Text *t, const StateInfo *a)
{
    text_print(t, "{\"id\":\"%s\",\"object\":\"pha.state\",\"created\":%ld,\"tokens\":%zu,\"busy\":%s}", a->id,
               a->created, a->n, a->busy ? "true" : "false");
}

static void answer_state(Exchange *x, bool good, const StateInfo *a, const Fault *f)
{
    Text t = {0};
    if (!good) {
        exchange_fault(x, f);
        return;
    }
    print_state(&t, a);
    exchange_answer(x, 200, "application/json", &t);
}

/* Of a text, or of nothing. */
void handle_state_make(void *server, Exchange *x)
{
    Server *s = server;
    Fault fault = {0};
    StateInfo info;
    Ask a;
    Piece p = {0};
    if (!server_read(s, x, ASK_STATE, &a)) return;
    bool good = a.n_prompts <= 1 || fault_set(&fault, 400, "prompt", "a state begins with one text");
    good = good && (a.n_prompts == 0 || request_tokens(s, &p, &a.prompts[0], &fault));
    good = good && states_put(&s->states, exchange_tenant(x), NULL, p.ids, p.n, &info, &fault);
    answer_state(x, good, &info, &fault);
    free(p.ids);
    request_free(&a);
}

void handle_state_list(void *server, Exchange *x)
{
    Server *s = server;
    Text t = {0};
    size_t most = (size_t)s->limits.at[LIMIT_states];
    StateInfo *list = malloc(most * sizeof *list + 1);
    if (!list) {
        Fault fault;
        fault_set(&fault, 503, NULL, "no memory for the list");
        exchange_fault(x, &fault);
        return;
    }
    size_t n = states_list(&s->states, exchange_tenant(x), list, most);
    text_put(&t, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < n; i++) {
        if (i) text_put(&t, ",");
        print_state(&t, &list[i]);
    }
    text_put(&t, "]}");
    free(list);
    exchange_answer(x, 200, "application/json", &t);
}

/* ---- one of them ------------------------------------------------------------------------------------------- */

/* A request about one state: what is asked of which. */
typedef struct OneState {
    Server *server;
    Exchange *exchange;
    const char *tenant;
    char id[STATE_ID + 1];
    Ask ask;
    Fault fault;
    StateInfo info;
} OneState;

/* `kind` of the body, 0: it has none. False: a failure has been answered. */
static bool begin(OneState *t, void *server, Exchange *x, AskKind kind)
{
    *t = (OneState){.server = server, .exchange = x, .tenant = exchange_tenant(x)};
    exchange_segment(x, t->id, sizeof t->id);
    return !kind || server_read(t->server, x, kind, &t->ask);
}

static void end(OneState *t, bool good)
{
    answer_state(t->exchange, good, &t->info, &t->fault);
    request_free(&t->ask);
}

void handle_state(void *server, Exchange *x)
{
    OneState t;
    begin(&t, server, x, 0);
    end(&t, states_get(&t.server->states, t.tenant, t.id, &t.info, &t.fault));
}

void handle_state_delete(void *server, Exchange *x)
{
    OneState t;
    Text text = {0};
    begin(&t, server, x, 0);
    if (!states_delete(&t.server->states, t.tenant, t.id, &t.fault)) {
        exchange_fault(x, &t.fault);
        return;
    }
    text_print(&text, "{\"id\":\"%s\",\"object\":\"pha.state\",\"deleted\":true}", t.id);
    exchange_answer(x, 200, "application/json", &text);
}

void handle_state_fork(void *server, Exchange *x)
{
    OneState t;
    int32_t *ids = NULL;
    size_t n;
    if (!begin(&t, server, x, ASK_MOVE)) return;
    States *states = &t.server->states;
    bool good = states_copy(states, t.tenant, t.id, t.ask.position, &ids, &n, &t.fault);
    good = good && states_put(states, t.tenant, NULL, ids, n, &t.info, &t.fault);
    free(ids);
    end(&t, good);
}

void handle_state_rewind(void *server, Exchange *x)
{
    OneState t;
    if (!begin(&t, server, x, ASK_MOVE)) return;
    bool good = t.ask.position >= 0 || fault_set(&t.fault, 400, "position", "position is missing: the number of tokens "
                                                 "that are to stay");
    good = good && states_rewind(&t.server->states, t.tenant, t.id, t.ask.position, &t.info, &t.fault);
    end(&t, good);
}

/* ---- out and in ------------------------------------------------------------------------------------------- */

/* The tokens mean something to a model of these weights. */
static void weights_of(const Server *s, char text[20])
{
    snprintf(text, 20, "%016llx", (unsigned long long)s->info.fingerprint);
}

void handle_state_export(void *server, Exchange *x)
{
    OneState t;
    char weights[20];
    Text text = {0};
    int32_t *ids;
    size_t n;
    begin(&t, server, x, 0);
    if (!states_copy(&t.server->states, t.tenant, t.id, -1, &ids, &n, &t.fault)) {
        exchange_fault(x, &t.fault);
        return;
    }
    weights_of(t.server, weights);
    text_print(&text, "{\"object\":\"pha.state\",\"id\":\"%s\",\"fingerprint\":\"%s\",\"tokens\":[", t.id, weights);
    for (size_t i = 0; i < n; i++) text_print(&text, "%s%d", i ? "," : "", ids[i]);
    text_put(&text, "]}");
    free(ids);
    exchange_answer(x, 200, "application/json", &text);
}

static bool check_import(const Server *s, Ask *a, Fault *f)
{
    char weights[20];
    weights_of(s, weights);
    if (a->n_prompts == 0) return fault_set(f, 400, "tokens", "tokens is missing");
    if (a->fingerprint && strcmp(a->fingerprint, weights))
        return fault_set(f, 400, "fingerprint", "this state is of the model %.40s, and this server has %s, to which "
                         "its tokens may mean something else; if they do not, send it without fingerprint",
                         a->fingerprint, weights);
    return request_check_ids(s, &a->prompts[0], f);
}

void handle_state_import(void *server, Exchange *x)
{
    OneState t;
    if (!begin(&t, server, x, ASK_IMPORT)) return;
    const Piece *p = &t.ask.prompts[0];
    bool good = check_import(t.server, &t.ask, &t.fault) &&
                states_put(&t.server->states, t.tenant, t.id, p->ids, p->n, &t.info, &t.fault);
    end(&t, good);
}
