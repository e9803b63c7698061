/* Any bytes as the body of a request, the first one saying of which kind: an error that can be told, or a request
 * within the limits */
#include <string.h>

#include "input.h"
#include "serve/request.h"

static void check_pieces(const Piece *p, size_t n, int64_t most)
{
    if ((int64_t)n > most) abort();
    for (size_t i = 0; i < n; i++) {
        if (!p[i].text == !p[i].ids) abort();
        if (p[i].text && p[i].text[p[i].size]) abort();
        for (size_t k = 0; k < p[i].n; k++)
            if (p[i].ids[k] < 0) abort();
    }
}

static void check(const Ask *a, const Limits *l)
{
    check_pieces(a->prompts, a->n_prompts, l->at[LIMIT_prompts]);
    check_pieces(a->stop, a->n_stop, l->at[LIMIT_stop]);
    for (size_t i = 0; i < a->n_stop; i++)
        if (a->stop[i].size == 0 || (int64_t)a->stop[i].size > l->at[LIMIT_stop_bytes]) abort();
    if (a->n < 1 || a->n > l->at[LIMIT_n] || a->logprobs < -1 || a->logprobs > l->at[LIMIT_logprobs]) abort();
    if ((int64_t)a->n_messages > l->at[LIMIT_messages] || (int64_t)a->n_bias > l->at[LIMIT_bias]) abort();
    if (!(a->temperature >= 0) || !(a->top_p > 0 && a->top_p <= 1) || a->max_tokens < -1) abort();
    if (a->kind == ASK_CHAT && !a->n_messages) abort();
    if (a->position < -1) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const AskKind kinds[8] = {ASK_COMPLETION, ASK_CHAT,   ASK_TOKENIZE, ASK_DETOKENIZE,
                                     ASK_STATE,      ASK_IMPORT, ASK_MOVE,     ASK_COMPLETION};
    Limits limits;
    Fault fault = {0};
    Ask a;
    Text told = {0};
    limits_default(&limits);
    limits.at[LIMIT_values] = 4096, limits.at[LIMIT_prompts] = 8, limits.at[LIMIT_stop] = 3;
    AskKind kind = kinds[size ? data[0] % 8 : 0];
    const char *body = size ? (const char *)data + 1 : "";
    if (request_read(&a, kind, body, size ? size - 1 : 0, &limits, &fault)) check(&a, &limits);
    else if (fault.status < 400 || !*fault.message) abort();
    fault_print(&told, &fault);
    json_t *read = json_loadb(told.data, told.size, 0, NULL); /* what clients are told is JSON, whatever came in */
    if (!read) abort();
    json_decref(read);
    text_free(&told);
    request_free(&a);
    return 0;
}
