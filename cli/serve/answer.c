/* answer.c -- the answer of a request that has been run, or the events of its stream */
#include "serve/completion.h"

#include <stdlib.h>
#include <string.h>

static const char *object_of(const Request *r, bool stream)
{
    if (r->ask.kind != ASK_CHAT) return "text_completion";
    return stream ? "chat.completion.chunk" : "chat.completion";
}

static void print_finish(Text *t, const Choice *c)
{
    if (c->finish) text_print(t, ",\"finish_reason\":\"%s\"", c->finish);
    else text_put(t, ",\"finish_reason\":null");
}

/* What this server adds: the seed that was drawn where none was given; tokens of the first prompt that were known, and
 * why not more. */
static void print_ours(Text *t, const Request *r)
{
    const pha_reuse *reuse = &r->choices[0].reuse;
    bool scored = r->ask.echo && r->ask.logprobs >= 0;
    text_print(t, ",\"pha\":{\"seed\":%llu,\"reused\":%lld,\"miss\":\"%s\",\"at\":%lld",
               (unsigned long long)r->sample.seed, (long long)reuse->tokens,
               scored ? "scored" : pha_miss_text(reuse->miss), (long long)reuse->at);
    if (r->ask.state) text_print(t, ",\"state\":\"%s\",\"state_tokens\":%zu", r->ask.state, r->state_tokens);
    text_put(t, "}");
}

/* ---- one answer ------------------------------------------------------------------------------------------- */

static void print_choice(Text *t, Choice *c)
{
    text_print(t, "{\"index\":%d,", c->index);
    bool chat = c->request->ask.kind == ASK_CHAT;
    text_put(t, chat ? "\"message\":{\"role\":\"assistant\",\"content\":" : "\"text\":");
    text_json(t, c->text.data, c->text.size);
    text_put(t, chat ? ",\"refusal\":null},\"logprobs\":" : ",\"logprobs\":");
    print_logprobs(t, c, 0, c->n_entries);
    print_finish(t, c);
    text_put(t, "}");
}

static void answer(Request *r)
{
    Text t = {0};
    print_head(&t, r, object_of(r, false));
    text_put(&t, ",\"choices\":[");
    for (size_t i = 0; i < r->n_choices; i++) {
        if (i) text_put(&t, ",");
        print_choice(&t, &r->choices[i]);
        choice_free(&r->choices[i]); /* of a long answer there is no second copy */
    }
    text_put(&t, "],\"usage\":");
    print_usage(&t, r);
    print_ours(&t, r);
    text_put(&t, "}");
    exchange_answer(r->exchange, 200, "application/json", &t);
}

void request_answer(Job *job)
{
    Request *r = (Request *)(void *)job;
    if (!r->failed && !r->ask.stream && !exchange_gone(r->exchange)) answer(r);
    request_destroy(r);
}

void request_destroy(Request *r)
{
    request_leave_state(r);
    for (size_t i = 0; r->choices && i < r->n_choices; i++) choice_free(&r->choices[i]);
    for (size_t i = 0; r->prompts && i < r->n_prompts; i++) free(r->prompts[i].ids);
    free(r->choices);
    free(r->prompts);
    request_free(&r->ask);
    text_free(&r->event);
    exchange_release(r->exchange);
    free(r);
}

/* ---- a stream --------------------------------------------------------------------------------------------- */

static Text *event(Request *r)
{
    r->event.size = 0;
    print_head(&r->event, r, object_of(r, true));
    text_put(&r->event, ",\"choices\":[");
    return &r->event;
}

static void send_event(Request *r, bool choice)
{
    text_put(&r->event, choice ? "}]" : "]");
    if (r->ask.usage && choice) text_put(&r->event, ",\"usage\":null");
    text_put(&r->event, "}");
    exchange_event(r->exchange, &r->event);
}

void stream_begin(Request *r)
{
    exchange_stream(r->exchange);
    for (size_t i = 0; i < r->n_choices && r->ask.kind == ASK_CHAT; i++) {
        text_print(event(r), "{\"index\":%d,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,"
                   "\"finish_reason\":null", r->choices[i].index);
        send_event(r, true);
    }
}

/* Entries go with the text in which they begin; at the end, all. */
static size_t entries_before(const Choice *c, size_t byte)
{
    size_t n = c->sent_entries;
    while (n < c->n_entries && (c->finish || c->starts[n] < byte)) n++;
    return n;
}

void stream_tokens(Choice *c)
{
    Request *r = c->request;
    size_t certain = choice_certain(c, &r->ask), last = entries_before(c, certain);
    bool chat = r->ask.kind == ASK_CHAT;
    if (certain <= c->sent && !c->finish) return;
    Text *t = event(r);
    text_print(t, "{\"index\":%d,", c->index);
    if (!chat) text_put(t, "\"text\":");
    else text_put(t, certain > c->sent ? "\"delta\":{\"content\":" : "\"delta\":{");
    if (!chat || certain > c->sent) text_json(t, c->text.data + c->sent, certain - c->sent);
    text_put(t, chat ? "},\"logprobs\":" : ",\"logprobs\":");
    if (last > c->sent_entries) print_logprobs(t, c, c->sent_entries, last);
    else text_put(t, "null");
    print_finish(t, c);
    send_event(r, true);
    c->sent = certain > c->sent ? certain : c->sent, c->sent_entries = last;
}

void stream_end(Request *r)
{
    char last[] = "[DONE]";
    const Text done = {.data = last, .size = strlen(last)};
    if (r->ask.usage) {
        Text *t = event(r);
        text_put(t, "],\"usage\":");
        print_usage(t, r);
        print_ours(t, r);
        text_put(t, "}");
        exchange_event(r->exchange, t);
    }
    exchange_event(r->exchange, &done);
    exchange_end(r->exchange);
}
