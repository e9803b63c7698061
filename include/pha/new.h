/* pha/new.h -- a model of one's own text by one call; of pha.h */
#ifndef PHA_NEW_H
#define PHA_NEW_H

#include "pha/process.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What is to be done with a text in the time that was given, and what is expected to come of it. */
typedef struct pha_plan {
    /* the text, as tokens of a vocabulary of its own */
    uint64_t text_bytes;                  /* of its files, as they lie there */
    uint64_t train_tokens, held_tokens;   /* held: the part that is not trained on */
    uint64_t scored_tokens;               /* of those, the first so many are scored at the end */
    int32_t vocab_size;
    double bytes_per_token;               /* of the held-out text */
    double order_loss[3];                 /* nats per held-out token by counts of 1, 2 and 3 tokens in a row */
    /* the model, of arch pha */
    int32_t d_model, n_layer;
    uint64_t parameters;
    /* its training */
    int32_t context, batch;               /* T, sequences per step */
    int64_t steps, warmup;
    double lr, dropout;                   /* peak of a cosine; share of values set to zero */
    double passes;                        /* over the training text */
    /* the machine, measured with this model */
    int32_t threads;                      /* 0: all processors */
    double tokens_per_second;             /* of training */
    uint64_t memory_bytes, disk_bytes;    /* that the training needs; that the folder will hold at most */
    /* what is expected */
    double prepare_seconds;               /* spent already: preparation and measurements */
    double train_seconds, seconds;        /* of training alone; of everything */
    double loss, loss_error;              /* nats per held-out token; relative error that three of four keep within */
    double token_ppl, bits_per_byte;
    char bound[8];                        /* what ends the training: "time", "text" (enough passes over it), "steps" */
} pha_plan;

typedef struct pha_new_options {
    const char *const *inputs; /* text files and folders, as for pha_prepare; no pipes, for the text is read again */
    size_t n_inputs;
    const char *out;           /* folder: a run (pha_train) with its data in it */
    double minutes;            /* of everything, 0.05 to 100000; 0: 10 */
    int64_t most_steps;        /* of training, however much time there is; 0: no bound */
    uint64_t seed;
    int threads;               /* 0: PHA_THREADS or all processors */
    const char *command;       /* for run.json: the command line */
    void (*planned)(void *user, const pha_plan *plan, bool again); /* before the first step; again: an earlier call
                                                                      made this plan. May be NULL */
    pha_progress_fn *progress;
    void *user;                /* passed to both */
} pha_new_options;

typedef struct pha_new_result {
    pha_plan plan;
    double loss, token_ppl, bits_per_byte, accuracy; /* of the held-out tokens that the plan names */
    double seconds;            /* of all calls that worked on it */
    bool complete_before;      /* an earlier call had finished it; nothing was done */
    bool resumed;              /* earlier calls had done a part */
} pha_new_result;

/* Looks at the text and measures the machine: vocabulary, model, context, batch, rate and steps for the minutes given.
 * Writes nothing that stays ($TMPDIR holds the tokens for a while). `out` is not used. BAD_INPUT: too little text.
 * USAGE: minutes out of their range, or too few of them to read the text. */
PHA_API pha_status pha_new_plan(const pha_new_options *options, pha_plan *plan);

/* The same, then prepares `out`/data, trains, scores, and writes `out`/report.html; the model is `out`/model. The plan
 * lies in `out`/plan.json. What was broken off goes on by the same call, with the same plan, to the same bits; what is
 * complete is left as it is, and `planned` is not called. result may be NULL. STOPPED: on a stop request. USAGE: `out`
 * holds something else, or was made of another text or with other minutes, steps or seed, or another process works on
 * it. IO: also too little room on the disk, before anything is written. */
PHA_API pha_status pha_new(const pha_new_options *options, pha_new_result *result);

#ifdef __cplusplus
}
#endif
#endif
