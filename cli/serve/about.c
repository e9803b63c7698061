/* about.c -- what the server says of itself: models, health, metrics; and the table of routes */
#include <string.h>

#include "serve/log.h"

static void print_model(Text *t, const Server *s)
{
    text_put(t, "{\"id\":");
    text_json(t, s->name, strlen(s->name));
    text_print(t, ",\"object\":\"model\",\"created\":%ld,\"owned_by\":\"pha\",\"max_model_len\":", s->started);
    if (s->info.max_context == INT64_MAX) text_put(t, "null");
    else text_print(t, "%lld", (long long)s->info.max_context);
    text_print(t, ",\"pha\":{\"arch\":\"%s\",\"parameters\":%llu,\"chat_template\":", s->about.arch,
               (unsigned long long)s->about.parameters);
    text_json(t, s->template.name, strlen(s->template.name));
    text_print(t, ",\"fingerprint\":\"%s\"}}", s->fingerprint);
}

void handle_models(void *server, Exchange *x)
{
    Text t = {0};
    text_put(&t, "{\"object\":\"list\",\"data\":[");
    print_model(&t, server);
    text_put(&t, "]}");
    exchange_answer(x, 200, "application/json", &t);
}

void handle_model(void *server, Exchange *x)
{
    Server *s = server;
    char name[128];
    Text t = {0};
    Fault fault;
    exchange_segment(x, name, sizeof name);
    if (strcmp(name, s->name) == 0) {
        print_model(&t, s);
        exchange_answer(x, 200, "application/json", &t);
        return;
    }
    fault_set(&fault, 404, "model", "the model %.100s is not here; this server has %s", name, s->name);
    fault.code = "model_not_found";
    exchange_fault(x, &fault);
}

void handle_health(void *server, Exchange *x)
{
    Text t = {0};
    Fault fault;
    (void)server;
    if (exchange_draining(x)) {
        fault_set(&fault, 503, NULL, "the server is stopping");
        exchange_fault(x, &fault);
        return;
    }
    text_put(&t, "{\"status\":\"ok\"}");
    exchange_answer(x, 200, "application/json", &t);
}

static void count_texts(Server *s)
{
    pha_texts_info texts;
    Metrics *m = &s->metrics;
    pha_engine_get_texts(s->engine, &texts);
    m->state_written = texts.written;
    m->state_read = texts.read;
    m->state_dropped = texts.dropped;
    m->state_failed = texts.failed;
    m->state_damaged = texts.damaged;
    m->state_ram_bytes = (int64_t)texts.ram;
    m->state_disk_bytes = (int64_t)texts.disk;
}

void handle_metrics(void *server, Exchange *x)
{
    Server *s = server;
    Text t = {0}, name = {0};
    count_texts(s);
    text_json(&name, s->name, strlen(s->name));
    metrics_print(&t, &s->metrics, name.data ? name.data : "\"\"");
    text_free(&name);
    exchange_answer(x, 200, "text/plain; version=0.0.4; charset=utf-8", &t);
}

void server_tell_unknown(Server *s, const Text *names)
{
    pthread_mutex_lock(&s->told_lock);
    for (size_t i = 0; i < names->size; i += strlen(names->data + i) + 1) {
        const char *name = names->data + i;
        size_t k = 0;
        while (k < s->told.size && strcmp(s->told.data + k, name)) k += strlen(s->told.data + k) + 1;
        if (k < s->told.size || s->told.size > 4096) continue;
        text_add(&s->told, name, strlen(name) + 1);
        if (!s->told.failed) log_note("pha serve: a request has the field %.80s, which is ignored", name);
    }
    pthread_mutex_unlock(&s->told_lock);
}

#define POST_(path_, handle_) {.method = "POST", .path = path_, .body = true, .handle = handle_}
#define OPEN_(path_, handle_) {.method = "GET", .path = path_, .open = true, .brief = true, .handle = handle_}
#define GET_(path_, handle_) {.method = "GET", .path = path_, .brief = true, .handle = handle_}

const Route server_routes[] = {
    POST_("/v1/completions", handle_completion),
    POST_("/v1/chat/completions", handle_chat),
    GET_("/v1/models", handle_models),
    GET_("/v1/models/*", handle_model),
    GET_("/tokenizer_info", handle_tokenizer_info),
    GET_("/v1/tokenizer_info", handle_tokenizer_info),
    POST_("/tokenize", handle_tokenize),
    POST_("/v1/tokenize", handle_tokenize),
    POST_("/detokenize", handle_detokenize),
    POST_("/v1/detokenize", handle_detokenize),
    POST_("/v1/states", handle_state_make),
    {.method = "GET", .path = "/v1/states", .handle = handle_state_list},
    {.method = "GET", .path = "/v1/states/*", .brief = true, .handle = handle_state},
    {.method = "DELETE", .path = "/v1/states/*", .brief = true, .handle = handle_state_delete},
    {.method = "PUT", .path = "/v1/states/*", .body = true, .handle = handle_state_import},
    {.method = "GET", .path = "/v1/states/*/export", .handle = handle_state_export},
    POST_("/v1/states/*/fork", handle_state_fork),
    POST_("/v1/states/*/rewind", handle_state_rewind),
    {.method = "GET", .path = "/health", .open = true, .brief = true, .even_draining = true, .handle = handle_health},
    {.method = "GET", .path = "/metrics", .brief = true, .even_draining = true, .handle = handle_metrics},
    GET_("/openapi.json", handle_openapi),
    {.method = "GET", .path = "/mixing", .handle = handle_mixing},
    {.method = "GET", .path = "/train", .handle = handle_train_list},
    {.method = "GET", .path = "/train/*", .handle = handle_train_run},
    {.method = "GET", .path = "/train/*/log", .number = "from", .handle = handle_train_log},
    OPEN_("/", handle_page),
    OPEN_("/page/*", handle_page_file),
    {0},
};
