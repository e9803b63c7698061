/* serve.c -- opening and closing a server; signals, and the loop of the main thread */
#include "serve/serve.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "serve/log.h"
#include "serve/notify.h"
#include "serve/scheduler.h"
#include "serve/server.h"

/* ---- who may ask ------------------------------------------------------------------------------------------ */

static bool known(void *server, const char *key, const char *address, bool open, char *tenant)
{
    Server *s = server;
    snprintf(tenant, 64, "%s", address);
    if (!s->keys.path || open) return true; /* without keys any is as good as none: clients send an empty one */
    return keys_find(&s->keys, key, tenant);
}

/* ---- work that is not brief ------------------------------------------------------------------------------- */

typedef struct Passed {
    Job job;
    Server *server;
    Exchange *exchange;
} Passed;

static void run_passed(Job *job)
{
    Passed *p = (Passed *)(void *)job;
    if (!exchange_gone(p->exchange)) exchange_route(p->exchange)->handle(p->server, p->exchange);
    exchange_release(p->exchange);
    free(p);
}

static void work(void *server, Exchange *x)
{
    Server *s = server;
    Fault fault;
    Passed *p = malloc(sizeof *p);
    if (p) *p = (Passed){.job = {.run = run_passed}, .server = s, .exchange = x};
    if (p && worker_push(s->worker, &p->job)) return;
    fault_set(&fault, 503, NULL, p ? "the server is stopping" : "no memory for the request");
    exchange_fault(x, &fault);
    exchange_release(x);
    free(p);
}

static void finished(void *server, Exchange *x, int status)
{
    Server *s = server;
    Metrics *m = &s->metrics;
    const Route *r = exchange_route(x);
    const char *path, *method = exchange_asked(x, &path);
    if (!exchange_is_told(x) && (!r || !r->brief || status >= 400))
        log_plain(s, exchange_tenant(x), method, path, status);
    if (status == 0 || exchange_gone(x)) m->hung_up++;
    else if (status >= 500) m->failed++;
    else if (status >= 400) m->refused++;
    else m->requests++;
}

/* ---- opening ---------------------------------------------------------------------------------------------- */

static bool is_loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 || strncmp(host, "127.", 4) == 0;
}

/* What can be said before anything is loaded. */
static int check(Call *call, const ServeOptions *o, Server *s)
{
    char why[300];
    limits_default(&s->limits);
    for (size_t i = 0; i < o->limits.n; i++)
        if (!limits_set(&s->limits, o->limits.items[i], why)) return usage_error(call, "--limit: %s", why);
    if (o->state_disk && o->state_ram == 0)
        return usage_error(call, "--state-disk takes what --state-ram has no more room for, and that is 0");
    if (!o->tls_cert != !o->tls_key) return usage_error(call, "--tls-cert and --tls-key go together");
    if (!is_loopback(o->host) && !o->api_key_file && !o->insecure)
        return usage_error(call, "--host %s can be reached by other machines: name keys with --api-key-file, or say "
                           "--insecure if nobody else can get there", o->host);
    if (o->runs && !runs_check(o->runs, why)) return usage_error(call, "--runs %s", why);
    if (!keys_open(&s->keys, o->api_key_file, why)) return usage_error(call, "--api-key-file: %s", why);
    return PHA_OK;
}

/* The last part of the folder's path; of a run folder's model, that of the run. */
static void name_model(Server *s, const ServeOptions *o)
{
    char path[PATH_MAX];
    if (!realpath(o->model, path)) snprintf(path, sizeof path, "%s", o->model);
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(path);
        while (n > 1 && path[n - 1] == '/') path[--n] = 0;
        char *slash = strrchr(path, '/');
        const char *last = slash ? slash + 1 : path;
        snprintf(s->name, sizeof s->name, "%.100s", o->name ? o->name : last);
        if (!slash || slash == path || strcmp(last, "model")) return;
        *slash = 0;
    }
}

static pha_status load(Server *s, const ServeOptions *o)
{
    pha_engine_options engine = o->engine;
    engine.batch = s->slots = o->slots;
    engine.state_ram = room_for_texts(o->state_ram);
    engine.state_disk = o->state_disk, engine.state_disk_bytes = (uint64_t)o->state_disk_budget * 1000000;
    pha_status status = pha_model_open(&s->model, o->model);
    if (!status) status = pha_engine_open(&s->engine, s->model, &engine);
    if (status) return status;
    s->folder = o->model, s->runs = o->runs;
    s->tokenizer = pha_model_tokenizer(s->model);
    pha_model_get_info(s->model, &s->about);
    pha_engine_get_info(s->engine, &s->info);
    snprintf(s->fingerprint, sizeof s->fingerprint, "pha_%016llx_%.12s_%d", (unsigned long long)s->info.fingerprint,
             pha_isa(), (int)engine.weights);
    return PHA_OK;
}

/* A file of PEM text, whole. */
static int read_pem(const Call *call, const char *path, char **text)
{
    size_t size;
    return path ? read_all(call, path, text, &size) : PHA_OK;
}

static int listen_for(Call *call, Server *s, const ServeOptions *o)
{
    char why[300];
    char *cert = NULL, *key = NULL;
    int code = read_pem(call, o->tls_cert, &cert);
    if (!code) code = read_pem(call, o->tls_key, &key);
    HttpOptions h = {.host = o->host, .port = o->port, .listener = notify_listener(),
                     .alone = !o->api_key_file && !o->insecure, .cert = cert, .key = key,
                     .cors = o->cors, .limits = &s->limits, .routes = server_routes, .server = s, .known = known,
                     .work = work, .finished = finished};
    if (!code && !http_open(&s->http, &h, why)) {
        if (h.listener >= 0) log_note("pha serve: the socket of LISTEN_FDS: %s", why);
        else log_note("pha serve: %s port %d: %s", o->host, o->port, why);
        code = PHA_IO;
    }
    if (key) explicit_bzero(key, strlen(key)); /* the library has a copy */
    free(cert);
    free(key);
    return code;
}

static int open_all(Call *call, Server *s, const ServeOptions *o)
{
    char why[500];
    pha_status status = load(s, o);
    if (status) return library_error(call, status);
    if (!s->tokenizer) {
        log_note("pha serve: %s has no tokenizer.json, so it can't read or write text", o->model);
        return PHA_BAD_INPUT;
    }
    name_model(s, o);
    s->started = (long)time(NULL);
    s->quiet = o->quiet, s->log_json = o->log_json;
    bool good = tokens_open(&s->tokens, s->tokenizer, s->info.vocab_size);
    if (good && !template_open(&s->template, o->template, o->model, &s->tokens, s->tokenizer, why)) {
        log_note("pha serve: the chat template %s; --chat-template plain, chatml or FILE names another", why);
        return PHA_BAD_INPUT;
    }
    good = good && (s->worker = worker_open()) &&
                scheduler_open(&s->scheduler, s) && (!o->state_disk || (s->reader = worker_open()));
    if (good) return listen_for(call, s, o);
    log_note("pha serve: no memory for the server");
    return PHA_NO_MEMORY;
}

/* ---- closing ---------------------------------------------------------------------------------------------- */

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

/* What runs may finish; then the engine stops, what it had is told so, and the answers get a moment to leave. */
static void drain(Server *s)
{
    double end = http_now() + (double)s->limits.at[LIMIT_drain];
    http_drain(s->http);
    while (!(worker_idle(s->worker) && worker_idle(s->reader) && scheduler_idle(s->scheduler)) && http_now() < end)
        http_watch(s->http), nap();
    worker_stop(s->reader);
    scheduler_stop(s->scheduler);
    worker_stop(s->worker);
    for (end = http_now() + 2; http_under_way(s->http) > 0 && http_now() < end;) http_watch(s->http), nap();
}

static void close_all(Server *s)
{
    worker_stop(s->reader);
    scheduler_stop(s->scheduler);
    worker_stop(s->worker);
    http_close(s->http); /* until here its thread may ask them */
    worker_close(s->worker);
    worker_close(s->reader);
    scheduler_close(s->scheduler);
    template_close(&s->template);
    tokens_close(&s->tokens);
    keys_close(&s->keys);
    states_close(&s->states);
    text_free(&s->told);
    pthread_mutex_destroy(&s->told_lock);
    pha_engine_close(s->engine);
    pha_model_close(s->model);
}

/* ---- the main thread -------------------------------------------------------------------------------------- */

/* They are taken by the main thread, one after another, where anything may be done. */
static void block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void reread_keys(Server *s)
{
    char why[300];
    if (!s->keys.path) return;
    if (keys_reread(&s->keys, why)) log_note("pha serve: read the keys again");
    else log_note("pha serve: the keys stay as they were: %s", why);
}

static void watch(Server *s, const sigset_t *set)
{
    for (;;) {
        int number = sigtimedwait(set, NULL, &(struct timespec){.tv_nsec = 250000000});
        if (number == SIGHUP && s->keys.path) reread_keys(s);
        else if (number > 0) return;
        http_watch(s->http);
    }
}

static void announce(const Server *s, const ServeOptions *o)
{
    bool six = strchr(o->host, ':') != NULL;
    printf("http%s://%s%s%s:%d/v1\n", o->tls_cert ? "s" : "", six ? "[" : "", o->host, six ? "]" : "",
           http_port(s->http));
    fflush(stdout);
    if (!o->quiet)
        log_note("pha serve: %s (%s, %llu parameters), %d at once, chats by the template %s", s->name, s->about.arch,
                  (unsigned long long)s->about.parameters, s->slots, s->template.name);
    notify_tell("READY=1");
}

int serve(Call *call, ServeOptions *o)
{
    static Server s; /* threads of the library may outlive a failed start by a moment */
    sigset_t set;
    int code = check(call, o, &s);
    if (code) return code;
    pthread_mutex_init(&s.told_lock, NULL);
    states_open(&s.states, &s.limits);
    block_signals(&set);
    code = open_all(call, &s, o);
    if (!code) {
        announce(&s, o);
        watch(&s, &set);
        notify_tell("STOPPING=1");
        if (!o->quiet) log_note("pha serve: stopping when what runs has finished; a second signal ends at once");
        pthread_sigmask(SIG_UNBLOCK, &set, NULL); /* its default action */
        drain(&s);
    }
    close_all(&s);
    return code;
}
