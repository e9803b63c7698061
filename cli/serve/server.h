/* server.h -- what the parts of `pha serve` share
 *
 * Threads: the one of the connections (http.h), a worker for JSON, tokenising and long answers (worker.h), the
 * engine's, which alone owns sessions (scheduler.h), and the main thread, which waits for signals and looks after
 * connections.
 */
#ifndef CLI_SERVE_SERVER_H
#define CLI_SERVE_SERVER_H

#include "pha.h"
#include "serve/http.h"
#include "serve/keys.h"
#include "serve/limits.h"
#include "serve/metrics.h"
#include "serve/request.h"
#include "serve/runs.h"
#include "serve/states.h"
#include "serve/template.h"
#include "serve/tokens.h"
#include "serve/worker.h"

struct Scheduler;

typedef struct Server {
    Limits limits;
    pha_model *model;
    pha_engine *engine;
    const pha_tokenizer *tokenizer; /* the model's */
    pha_model_info about;
    pha_engine_info info;
    const char *folder;    /* of the model */
    const char *runs;      /* folder of training runs that may be watched; NULL: none */
    char name[128];
    char fingerprint[48];  /* of weights, kernels and formats: the same one, the same bits */
    long started;          /* Unix time */
    int slots;             /* sequences that are computed at once */
    bool quiet, log_json;
    Tokens tokens;
    Template template;
    Keys keys;
    Metrics metrics;
    States states;
    Http *http;
    Worker *worker;
    Worker *reader;        /* brings texts from disk; NULL: there are none */
    struct Scheduler *scheduler;
    _Atomic uint64_t next_id;
    pthread_mutex_t told_lock;
    Text told;             /* unknown fields that have been named in the log, each with a zero behind it */
} Server;

extern const Route server_routes[];

/* Names fields that were ignored, once each. */
void server_tell_unknown(Server *s, const Text *names);

/* Handlers: completion.c, tokenize.c, about.c, states_http.c, page.c, train_http.c. */
void handle_completion(void *server, Exchange *x);
void handle_chat(void *server, Exchange *x);
void handle_tokenize(void *server, Exchange *x);
void handle_detokenize(void *server, Exchange *x);
void handle_tokenizer_info(void *server, Exchange *x);
void handle_state_make(void *server, Exchange *x);
void handle_state_list(void *server, Exchange *x);
void handle_state(void *server, Exchange *x);
void handle_state_delete(void *server, Exchange *x);
void handle_state_fork(void *server, Exchange *x);
void handle_state_rewind(void *server, Exchange *x);
void handle_state_export(void *server, Exchange *x);
void handle_state_import(void *server, Exchange *x);
void handle_models(void *server, Exchange *x);
void handle_model(void *server, Exchange *x);
void handle_health(void *server, Exchange *x);
void handle_metrics(void *server, Exchange *x);
void handle_openapi(void *server, Exchange *x);
void handle_page(void *server, Exchange *x);
void handle_page_file(void *server, Exchange *x);
void handle_mixing(void *server, Exchange *x);
void handle_train_list(void *server, Exchange *x);
void handle_train_run(void *server, Exchange *x);
void handle_train_log(void *server, Exchange *x);

/* Reads the body as a request of this kind for this server's model; a failure has been answered. *a is to be freed. */
bool server_read(Server *s, Exchange *x, AskKind kind, Ask *a);

#endif
