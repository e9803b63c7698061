/* 03_stream.c -- tokens in, logits out, one at a time or in pieces: pha_session_feed, pha_session_copy
 *
 *     03_stream MODEL TEXT
 *
 * Prints the log-probability of each token of the text, then shows that reading it in one piece gives the same logits.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "pha.h"

static double log_probability(const float *logits, int32_t V, int32_t id)
{
    double top = logits[0], sum = 0;
    for (int32_t i = 1; i < V; i++) top = logits[i] > top ? logits[i] : top;
    for (int32_t i = 0; i < V; i++) sum += exp(logits[i] - top);
    return logits[id] - top - log(sum);
}

static pha_status run(const pha_model *model, pha_session *one, pha_session *all, const char *text)
{
    pha_model_info info;
    pha_model_get_info(model, &info);
    int32_t *ids = NULL;
    size_t n = 0;
    const float *logits = NULL, *whole;
    pha_status status = pha_tokenizer_encode(pha_model_tokenizer(model), text, strlen(text), false, &ids, &n);
    for (size_t i = 0; i < n && !status; i++) {
        if (logits) printf("token %6d  ln p = %8.4f\n", ids[i], log_probability(logits, info.vocab_size, ids[i]));
        status = pha_session_feed(one, ids + i, 1, &logits);
    }
    if (!status && n) status = pha_session_feed(all, ids, n, &whole);
    double worst = 0;
    for (int32_t v = 0; n && !status && v < info.vocab_size; v++) worst = fmax(worst, fabs(whole[v] - logits[v]));
    if (!status)
        printf("%zu tokens, state %zu bytes, largest difference of a logit %.1e\n", n, pha_session_state_bytes(one),
               worst);
    pha_free(ids);
    return status ? status : worst < 1e-3 ? PHA_OK : PHA_FAILED;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s MODEL TEXT\n", argv[0]);
        return 2;
    }
    pha_model *model = NULL;
    pha_session *one = NULL, *all = NULL;
    pha_session_options options = {.max_context = 512};
    pha_status status = pha_model_open(&model, argv[1]);
    if (!status) status = pha_session_open(&one, model, &options);
    if (!status) status = pha_session_open(&all, model, &options);
    if (!status) status = run(model, one, all, argv[2]);
    if (status) fprintf(stderr, "%s\n", pha_errmsg());
    pha_session_close(one);
    pha_session_close(all);
    pha_model_close(model);
    return status;
}
