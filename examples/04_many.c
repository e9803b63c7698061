/* 04_many.c -- several texts at once: pha_engine_open, pha_engine_session, pha_engine_step
 *
 *     04_many MODEL TEXT TEXT [...]
 *
 * Reads every text, then goes on with all of them greedily; each gets what it would get alone.
 */
#include <stdio.h>
#include <string.h>

#include "pha.h"

enum { MOST = 16, TOKENS = 12 };

static int32_t best(const float *logits, int32_t V)
{
    int32_t at = 0;
    for (int32_t i = 1; i < V; i++) at = logits[i] > logits[at] ? i : at;
    return at;
}

static pha_status read_text(const pha_model *model, pha_session *session, const char *text, int32_t *next)
{
    pha_model_info info;
    int32_t *ids;
    size_t n;
    const float *logits;
    pha_model_get_info(model, &info);
    pha_status status = pha_tokenizer_encode(pha_model_tokenizer(model), text, strlen(text), false, &ids, &n);
    if (status) return status;
    status = pha_session_feed(session, ids, n, &logits);
    if (!status) *next = best(logits, info.vocab_size);
    pha_free(ids);
    return status;
}

static pha_status go_on(const pha_model *model, pha_engine *engine, pha_session **sessions, int32_t *next, int n)
{
    static int32_t made[MOST][TOKENS];
    static float logits[MOST * 65536];
    pha_model_info info;
    pha_model_get_info(model, &info);
    if (info.vocab_size > 65536) return PHA_USAGE;
    pha_status status = PHA_OK;
    for (int k = 0; k < TOKENS && !status; k++) {
        for (int i = 0; i < n; i++) made[i][k] = next[i];
        status = pha_engine_step(engine, sessions, next, (size_t)n, logits);
        for (int i = 0; i < n; i++) next[i] = best(logits + (size_t)i * (size_t)info.vocab_size, info.vocab_size);
    }
    for (int i = 0; i < n && !status; i++) {
        size_t size;
        char *text;
        status = pha_tokenizer_decode(pha_model_tokenizer(model), made[i], TOKENS, &text, &size);
        if (status) break;
        printf("%d:%.*s\n", i + 1, (int)size, text);
        pha_free(text);
    }
    return status;
}

int main(int argc, char **argv)
{
    pha_model *model = NULL;
    pha_engine *engine = NULL;
    pha_session *sessions[MOST] = {NULL};
    int32_t next[MOST], n = argc - 2;
    if (n < 1 || n > MOST) return fprintf(stderr, "usage: %s MODEL TEXT [TEXT ...]\n", argv[0]), 2;
    pha_status status = pha_model_open(&model, argv[1]);
    if (!status) status = pha_engine_open(&engine, model, &(pha_engine_options){.max_context = 512});
    for (int i = 0; i < n && !status; i++) {
        status = pha_engine_session(engine, &sessions[i]);
        if (!status) status = read_text(model, sessions[i], argv[2 + i], &next[i]);
    }
    if (!status) status = go_on(model, engine, sessions, next, n);
    if (status) fprintf(stderr, "%s\n", pha_errmsg());
    for (int i = 0; i < n; i++) pha_session_close(sessions[i]);
    pha_engine_close(engine);
    pha_model_close(model);
    return status;
}
