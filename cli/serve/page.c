/* page.c -- the page and what it shows of the model; its files are open to everybody, what they ask for is not */
#include "serve/page.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "serve/server.h"

static void answer_file(Exchange *x, const char *name, const char *type)
{
    Text t = {0};
    const PageFile *f = page_files;
    while (f->name && strcmp(f->name, name)) f++;
    if (f->name) {
        text_add(&t, f->data, f->size);
        exchange_answer(x, 200, type, &t);
        return;
    }
    Fault fault;
    fault_set(&fault, 404, NULL, "the page has no file %s", name);
    exchange_fault(x, &fault);
}

void handle_page(void *server, Exchange *x)
{
    (void)server;
    answer_file(x, "index.html", "text/html; charset=utf-8");
}

void handle_page_file(void *server, Exchange *x)
{
    char name[64];
    (void)server;
    exchange_segment(x, name, sizeof name);
    const char *ending = strrchr(name, '.');
    bool style = ending && strcmp(ending, ".css") == 0;
    answer_file(x, name, style ? "text/css; charset=utf-8" : "text/javascript; charset=utf-8");
}

/* Mixing weights by layer, as `pha inspect --mixing --json` has them, without the folder's name. */
void handle_mixing(void *server, Exchange *x)
{
    Server *s = server;
    Text t = {0};
    char *text = NULL;
    pha_inspect_options o = {.model = s->folder, .what = PHA_INSPECT_MIXING, .json = true};
    bool none = pha_inspect(&o, &text) != PHA_OK; /* a model without branches that are mixed */
    json_t *about = none ? NULL : json_loads(text, 0, NULL), *layers = json_object_get(about, "layers");
    char *printed = layers ? json_dumps(layers, JSON_COMPACT) : NULL;
    text_put(&t, "{\"layers\":");
    text_put(&t, printed ? printed : "[]");
    text_put(&t, "}");
    free(printed);
    json_decref(about);
    pha_free(text);
    exchange_answer(x, 200, "application/json", &t);
}
