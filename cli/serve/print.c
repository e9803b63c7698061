/* print.c -- parts that answers and streams have in common: heads, usage, log-probabilities */
#include "serve/completion.h"

#include <string.h>

void print_head(Text *t, const Request *r, const char *object)
{
    text_print(t, "{\"id\":\"%s\",\"object\":\"%s\",\"created\":%ld,\"model\":", r->id, object, r->created);
    text_json(t, r->server->name, strlen(r->server->name));
    text_print(t, ",\"system_fingerprint\":\"%s\"", r->server->fingerprint);
}

void print_usage(Text *t, const Request *r)
{
    long long made = 0;
    for (size_t i = 0; i < r->n_choices; i++) made += (long long)r->choices[i].made;
    text_print(t, "{\"prompt_tokens\":%lld,\"completion_tokens\":%lld,\"total_tokens\":%lld,"
               "\"prompt_tokens_details\":{\"cached_tokens\":%lld}}", (long long)r->prompt_tokens, made,
               (long long)r->prompt_tokens + made, (long long)r->reused);
}

static const pha_logprob *entry(const Choice *c, size_t i)
{
    return c->logprobs + i * (size_t)(1 + c->request->ask.logprobs);
}

static int32_t id_of(const Choice *c, size_t i) { return c->ids[c->first + i]; }

static void print_token(Text *t, const Choice *c, int32_t id)
{
    size_t n;
    const char *bytes = tokens_bytes(&c->request->server->tokens, id, &n);
    text_token(t, bytes, n);
}

/* ---- completions: four lists ------------------------------------------------------------------------------ */

/* Has a token with this text been told of already? Then it was likelier. */
static bool told(const Choice *c, const pha_logprob *p, int32_t upto, int32_t id)
{
    size_t n, m;
    const Tokens *tokens = &c->request->server->tokens;
    const char *bytes = tokens_bytes(tokens, id, &n);
    for (int32_t k = 1; k < upto; k++) {
        const char *other = tokens_bytes(tokens, p[k].id, &m);
        if (n == m && memcmp(bytes, other, n) == 0) return true;
    }
    return false;
}

/* The likeliest tokens, and the token itself if it is not among them. */
static void print_top(Text *t, const Choice *c, const pha_logprob *p)
{
    int32_t k = c->request->ask.logprobs, n = 0;
    if (p->id < 0) {
        text_put(t, "null");
        return;
    }
    text_put(t, "{");
    for (int32_t i = 1; i <= k; i++) {
        if (told(c, p, i, p[i].id)) continue;
        if (n++) text_put(t, ",");
        print_token(t, c, p[i].id);
        text_put(t, ":");
        text_real(t, p[i].value);
    }
    if (!told(c, p, k + 1, p->id)) {
        if (n) text_put(t, ",");
        print_token(t, c, p->id);
        text_put(t, ":");
        text_real(t, p->value);
    }
    text_put(t, "}");
}

static void print_lists(Text *t, Choice *c, size_t first, size_t last)
{
    text_put(t, "{\"tokens\":[");
    for (size_t i = first; i < last; i++) {
        if (i > first) text_put(t, ",");
        print_token(t, c, id_of(c, i));
    }
    text_put(t, "],\"token_logprobs\":[");
    for (size_t i = first; i < last; i++) {
        if (i > first) text_put(t, ",");
        if (entry(c, i)->id < 0) text_put(t, "null");
        else text_real(t, entry(c, i)->value);
    }
    text_put(t, "],\"top_logprobs\":[");
    for (size_t i = first; i < last; i++) {
        if (i > first) text_put(t, ",");
        print_top(t, c, entry(c, i));
    }
    text_put(t, "],\"text_offset\":[");
    for (size_t i = first; i < last; i++) {
        if (i > first) text_put(t, ",");
        text_print(t, "%zu", text_character(&c->counter, c->text.data, c->text.size, c->starts[i]));
    }
    text_put(t, "]}");
}

/* ---- chats: a list of objects ----------------------------------------------------------------------------- */

static void print_one(Text *t, const Choice *c, const pha_logprob *p)
{
    size_t n;
    const char *bytes = tokens_bytes(&c->request->server->tokens, p->id, &n);
    text_put(t, "{\"token\":");
    text_token(t, bytes, n);
    text_put(t, ",\"bytes\":[");
    for (size_t i = 0; i < n; i++) text_print(t, "%s%u", i ? "," : "", (unsigned)(unsigned char)bytes[i]);
    text_put(t, "],\"logprob\":");
    text_real(t, p->value);
}

static void print_objects(Text *t, Choice *c, size_t first, size_t last)
{
    text_put(t, "{\"content\":[");
    for (size_t i = first; i < last; i++) {
        const pha_logprob *p = entry(c, i);
        if (i > first) text_put(t, ",");
        print_one(t, c, p);
        text_put(t, ",\"top_logprobs\":[");
        for (int32_t k = 1; k <= c->request->ask.logprobs; k++) {
            if (k > 1) text_put(t, ",");
            print_one(t, c, p + k);
            text_put(t, "}");
        }
        text_put(t, "]}");
    }
    text_put(t, "],\"refusal\":null}");
}

void print_logprobs(Text *t, Choice *c, size_t first, size_t last)
{
    const Ask *a = &c->request->ask;
    if (a->logprobs < 0) text_put(t, "null");
    else if (a->kind == ASK_CHAT) print_objects(t, c, first, last);
    else print_lists(t, c, first, last);
}
