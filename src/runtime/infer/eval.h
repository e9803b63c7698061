/* eval.h -- scoring a stream of tokens (pha.md 7), for pha_eval and for the validation of a training run */
#ifndef PHA__EVAL_H
#define PHA__EVAL_H

#include "dist/comm.h"
#include "io/tokens.h"
#include "runtime/model.h"

typedef struct pha__eval_run {
    int32_t context;        /* T */
    int32_t batch;          /* windows per run; 0: 1 */
    pha_eval_mode mode;
    int32_t stride;         /* sliding: 0 is T / 2; else 0 or T */
    int64_t max_tokens;     /* targets to score; 0: all */
    pha__comm *comm;        /* the ranks that share the windows, all with the same result; NULL: one */
    pha_progress_fn *progress;
    void *user;
} pha__eval_run;

/* What data.json says of the text behind the tokens. */
typedef struct pha__eval_text {
    pha__split_info info;
    int32_t end_token; /* put behind documents; -1: none */
} pha__eval_text;

/* What is opened for an evaluation. Zero-initialise; close it also after a failure. */
typedef struct pha__eval_subject {
    pha_model *model;
    pha__tokens *tokens;
    pha__device *device;
    pha__weights weights;
    pha__eval_text text;
} pha__eval_subject;
pha_status pha__eval_open(pha__eval_subject *s, const pha_eval_options *o);
void pha__eval_close(pha__eval_subject *s);

/* Opens a loss program over the weights, scores the split with it and closes it again. `text` (may be NULL) has the
 * words and bytes for the numbers per word and per byte, which only a split that is scored to its end has. Everything
 * in *result is filled in; NaN where it was not measured. PHA_STOPPED after a request to stop, PHA_NUMERIC if a loss is
 * not finite. */
pha_status pha__eval_core(const pha__weights *weights, const pha__tokens *tokens,
                          const pha__eval_text *text, const pha__eval_run *run, pha_eval_result *result);
/* The number of words that is published of the split of WikiText that this text is, however it was brought into files;
 * 0: it is none. */
uint64_t pha__wikitext_words(const pha__eval_text *text);

#endif
