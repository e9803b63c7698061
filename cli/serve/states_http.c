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

void handle_state(void *server, Exchange *x)
{
    Server *s = server;
    char id[STATE_ID + 1];
    Fault fault;
    StateInfo info;
    exchange_segment(x, id, sizeof id);
    bool good = states_get(&s->states, exchange_tenant(x), id, &info, &fault);
    answer_state(x, good, &info, &fault);
}

void handle_state_delete(void *server, Exchange *x)
{
    Server *s = server;
    char id[STATE_ID + 1];
    Fault fault;
    Text t = {0};
    exchange_segment(x, id, sizeof id);
    if (states_delete(&s->states, exchange_tenant(x), id, &fault)) {
        text_print(&t, "{\"id\":\"%s\",\"object\":\"pha.state\",\"deleted\":true}", id);
        exchange_answer(x, 200, "application/json", &t);
    } else exchange_fault(x, &fault);
}

void handle_state_fork(void *server, Exchange *x)
{
    Server *s = server;
    char id[STATE_ID + 1];
    Fault fault;
    StateInfo info;
    Ask a;
    int32_t *ids = NULL;
    size_t n;
    const char *tenant = exchange_tenant(x);
    exchange_segment(x, id, sizeof id);
    if (!server_read(s, x, ASK_MOVE, &a)) return;
    bool good = states_copy(&s->states, tenant, id, a.position, &ids, &n, &fault);
    good = good && states_put(&s->states, tenant, NULL, ids, n, &info, &fault);
    answer_state(x, good, &info, &fault);
    free(ids);
    request_free(&a);
}

void handle_state_rewind(void *server, Exchange *x)
{
    Server *s = server;
    char id[STATE_ID + 1];
    Fault fault;
    StateInfo info;
    Ask a;
    exchange_segment(x, id, sizeof id);
    if (!server_read(s, x, ASK_MOVE, &a)) return;
    bool good = a.position >= 0 || fault_set(&fault, 400, "position", "position is missing: the number of tokens that "
                                             "are to stay");
    good = good && states_rewind(&s->states, exchange_tenant(x), id, a.position, &info, &fault);
    answer_state(x, good, &info, &fault);
    request_free(&a);
}

/* ---- out and in ------------------------------------------------------------------------------------------- */

/* The tokens mean something to a model of these weights. */
static void weights_of(const Server *s, char text[20])
{
    snprintf(text, 20, "%016llx", (unsigned long long)s->info.fingerprint);
}

void handle_state_export(void *server, Exchange *x)
{
    Server *s = server;
    char id[STATE_ID + 1], weights[20];
    Fault fault;
    Text t = {0};
    int32_t *ids;
    size_t n;
    exchange_segment(x, id, sizeof id);
    if (!states_copy(&s->states, exchange_tenant(x), id, -1, &ids, &n, &fault)) {
        exchange_fault(x, &fault);
        return;
    }
    weights_of(s, weights);
    text_print(&t, "{\"object\":\"pha.state\",\"id\":\"%s\",\"fingerprint\":\"%s\",\"tokens\":[", id, weights);
    for (size_t i = 0; i < n; i++) text_print(&t, "%s%d", i ? "," : "", ids[i]);
    text_put(&t, "]}");
    free(ids);
    exchange_answer(x, 200, "application/json", &t);
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
    Server *s = server;
    char id[STATE_ID + 1];
    Fault fault;
    StateInfo info;
    Ask a;
    exchange_segment(x, id, sizeof id);
    if (!server_read(s, x, ASK_IMPORT, &a)) return;
    bool good = check_import(s, &a, &fault) &&
                states_put(&s->states, exchange_tenant(x), id, a.prompts[0].ids, a.prompts[0].n, &info, &fault);
    answer_state(x, good, &info, &fault);
    request_free(&a);
}
