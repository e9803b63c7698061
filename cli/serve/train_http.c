/* train_http.c -- the routes that show training runs */
#include <stdlib.h>
#include <string.h>

#include "serve/server.h"

/* False: it has been answered that there are none. */
static bool may_watch(const Server *s, Exchange *x)
{
    Fault fault;
    if (s->runs) return true;
    fault_set(&fault, 404, NULL, "this server was started without --runs DIR, so there are no training runs to watch");
    exchange_fault(x, &fault);
    return false;
}

static void print_run(Text *t, const Run *r)
{
    text_put(t, "{\"id\":");
    text_json(t, r->name, strlen(r->name));
    text_print(t, ",\"object\":\"pha.run\",\"size\":%lld,\"changed\":%.3f", (long long)r->size, r->changed);
}

void handle_train_list(void *server, Exchange *x)
{
    Server *s = server;
    Text t = {0};
    if (!may_watch(s, x)) return;
    Run *list = malloc(RUNS_MOST * sizeof *list);
    size_t n = list ? runs_list(s->runs, list) : 0;
    t.failed = !list;
    text_put(&t, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < n; i++) {
        if (i) text_put(&t, ",");
        print_run(&t, &list[i]);
        text_put(&t, "}");
    }
    text_put(&t, "]}");
    free(list);
    exchange_answer(x, 200, "application/json", &t);
}

/* Of run.json only what tells one run from another; its paths and its host are nobody's business here. */
static void print_about(Text *t, const json_t *about)
{
    const json_t *values[] = {json_object_get(about, "config"), json_object_get(about, "parameters"),
                              json_object_get(about, "started"),
                              json_object_get(json_object_get(about, "options"), "steps")};
    static const char *const names[] = {"config", "parameters", "started", "steps"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *text = values[i] ? json_dumps(values[i], JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
        text_print(t, ",\"%s\":", names[i]);
        text_put(t, text ? text : "null");
        free(text);
    }
}

void handle_train_run(void *server, Exchange *x)
{
    Server *s = server;
    char name[RUN_NAME];
    Fault fault;
    Run run;
    json_t *about;
    Text t = {0};
    if (!may_watch(s, x)) return;
    exchange_segment(x, name, sizeof name);
    if (!runs_get(s->runs, name, &run, &about, &fault)) {
        exchange_fault(x, &fault);
        return;
    }
    print_run(&t, &run);
    print_about(&t, about);
    text_put(&t, "}");
    json_decref(about);
    exchange_answer(x, 200, "application/json", &t);
}

void handle_train_log(void *server, Exchange *x)
{
    Server *s = server;
    char name[RUN_NAME];
    Fault fault;
    RunLog l;
    Text t = {0};
    if (!may_watch(s, x)) return;
    exchange_segment(x, name, sizeof name);
    if (!runs_log(s->runs, name, exchange_number(x), &l, &fault)) {
        exchange_fault(x, &fault);
        return;
    }
    text_put(&t, "{\"id\":");
    text_json(&t, name, strlen(name));
    text_print(&t, ",\"object\":\"pha.log\",\"file\":\"%s\",\"from\":%lld,\"next\":%lld,\"size\":%lld,"
               "\"unreadable\":%zu,\"lines\":[", l.file, (long long)l.from, (long long)l.next, (long long)l.size,
               l.unreadable);
    text_add(&t, l.lines.data, l.lines.size);
    text_put(&t, "]}");
    t.failed = t.failed || l.lines.failed;
    text_free(&l.lines);
    exchange_answer(x, 200, "application/json", &t);
}
