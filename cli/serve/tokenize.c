/* tokenize.c -- text to tokens and back, for clients that count and cut by themselves */
#include <stdlib.h>
#include <string.h>

#include "serve/server.h"

static void answer_ids(Server *s, Exchange *x, const int32_t *ids, size_t n)
{
    Text t = {0};
    text_put(&t, "{\"tokens\":[");
    for (size_t i = 0; i < n; i++) text_print(&t, "%s%d", i ? "," : "", ids[i]);
    text_print(&t, "],\"count\":%zu,\"max_model_len\":", n);
    if (s->info.max_context == INT64_MAX) text_put(&t, "null}");
    else text_print(&t, "%lld}", (long long)s->info.max_context);
    exchange_answer(x, 200, "application/json", &t);
}

/* A chat as its template makes it. */
static void answer_chat(Server *s, Exchange *x, const Ask *a)
{
    Fault fault;
    int32_t *ids;
    size_t n;
    if (template_encode(&s->template, a, &ids, &n, &fault)) answer_ids(s, x, ids, n), free(ids);
    else exchange_fault(x, &fault);
}

void handle_tokenize(void *server, Exchange *x)
{
    Server *s = server;
    Fault fault;
    Ask a;
    int32_t *ids;
    size_t n;
    if (!server_read(s, x, ASK_TOKENIZE, &a)) return;
    const Piece *p = &a.prompts[0];
    if (a.n_messages) answer_chat(s, x, &a);
    else if (p->ids) {
        fault_set(&fault, 400, "prompt", "prompt must be text");
        exchange_fault(x, &fault);
    } else {
        pha_status status = pha_tokenizer_encode(s->tokenizer, p->text, p->size, true, &ids, &n);
        if (status) fault_library(&fault, status), exchange_fault(x, &fault);
        else answer_ids(s, x, ids, n), pha_free(ids);
    }
    request_free(&a);
}

void handle_detokenize(void *server, Exchange *x)
{
    Server *s = server;
    Fault fault;
    Ask a;
    char *text;
    size_t size;
    if (!server_read(s, x, ASK_DETOKENIZE, &a)) return;
    pha_status status = pha_tokenizer_decode(s->tokenizer, a.prompts[0].ids, a.prompts[0].n, &text, &size);
    if (status) {
        fault_set(&fault, 400, "tokens", "%s", pha_errmsg());
        exchange_fault(x, &fault);
    } else {
        Text t = {0};
        text_put(&t, "{\"prompt\":");
        text_json(&t, text, size);
        text_put(&t, "}");
        exchange_answer(x, 200, "application/json", &t);
        pha_free(text);
    }
    request_free(&a);
}

void handle_tokenizer_info(void *server, Exchange *x)
{
    Server *s = server;
    Text t = {0}, end = {0};
    size_t n = 0;
    const char *bytes = s->tokens.end >= 0 ? tokens_bytes(&s->tokens, s->tokens.end, &n) : "", *template;
    if (s->tokens.end >= 0) text_token(&end, bytes, n);
    else text_put(&end, "null");
    template = s->template.text;
    text_print(&t, "{\"eos_token\":%s,\"bos_token\":%s,\"pad_token\":%s,\"vocab_size\":%d,\"chat_template\":",
               end.data ? end.data : "null", end.data ? end.data : "null", end.data ? end.data : "null", s->tokens.n);
    text_json(&t, template, strlen(template));
    text_put(&t, "}");
    t.failed = t.failed || end.failed;
    text_free(&end);
    exchange_answer(x, 200, "application/json", &t);
}
