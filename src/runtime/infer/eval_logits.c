/* eval_logits.c -- logits of given tokens, for comparison with another implementation */
#include <inttypes.h>
#include <string.h>

#include "io/npy.h"
#include "runtime/infer/session.h"
#include "runtime/stop.h"

enum { PIECE = 64 }; /* tokens: (PIECE, V) logits are in memory at a time */

typedef struct job {
    pha_session *session;
    const int32_t *ids;
    int64_t B, T;
    int32_t V;
    float *logits;
    pha__npy *out;
} job;

static pha_status check_ids(const job *j, const char *path)
{
    for (int64_t i = 0; i < j->B * j->T; i++)
        if (j->ids[i] < 0 || j->ids[i] >= j->V)
            FAIL(BAD_INPUT,
                 "%s: row %" PRId64 ", column %" PRId64 " holds the id %d, but the model's vocabulary is 0 to %d", path,
                 i / j->T, i % j->T, j->ids[i], j->V - 1);
    return PHA_OK;
}

static pha_status write_logits(job *j)
{
    for (int64_t i = 0; i < j->B * j->T;) {
        int64_t left = j->T - i % j->T, n = left < PIECE ? left : PIECE;
        if (pha__stop_requested()) FAIL(STOPPED, "asked to stop");
        if (i % j->T == 0) pha_session_reset(j->session);
        TRY(pha_session_score(j->session, j->ids + i, (size_t)n, j->logits));
        TRY(pha__npy_write(j->out, j->logits, (size_t)n * (size_t)j->V));
        i += n;
    }
    return PHA_OK;
}

static pha_status run(job *j, const pha_model *model, const char *tokens_npy, const char *logits_npy, int threads)
{
    pha_session_options o = {.max_context = j->T, .chunk = PIECE, .threads = threads};
    j->V = model->config.vocab_size;
    TRY(check_ids(j, tokens_npy));
    TRY(pha_session_open(&j->session, model, &o));
    j->logits = pha__alloc((size_t)PIECE * (size_t)j->V, sizeof *j->logits);
    if (!j->logits) return PHA_NO_MEMORY;
    TRY(pha__npy_open(&j->out, logits_npy, (const int64_t[]){j->B, j->T, j->V}, 3));
    TRY(write_logits(j));
    pha__npy *out = j->out;
    j->out = NULL; /* commit frees it */
    return pha__npy_commit(out);
}

pha_status pha_eval_logits(const char *model_folder, const char *tokens_npy, const char *logits_npy, int threads)
{
    job j = {0};
    pha_model *model = NULL;
    int32_t *ids = NULL;
    if (!model_folder || !tokens_npy || !logits_npy) FAIL(USAGE, "a model folder and two .npy files are needed");
    TRY(pha_model_open(&model, model_folder));
    pha_status status = pha__npy_read_ids(&ids, &j.B, &j.T, tokens_npy);
    j.ids = ids;
    if (!status) status = run(&j, model, tokens_npy, logits_npy, threads);
    pha__npy_abort(j.out);
    pha__free(j.logits);
    pha__free(ids);
    pha_session_close(j.session);
    pha_model_close(model);
    return status;
}
