/* pha/task.h -- downstream tasks; of pha.h */
#ifndef PHA_TASK_H
#define PHA_TASK_H

#include "pha/model.h"
#include "pha/process.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the lines of a file ask, decided by the keys of the first one. */
typedef enum pha_task_form {
    PHA_TASK_TEXT = 1,  /* "text": its last word, behind the last blank (LAMBADA) */
    PHA_TASK_TARGET,    /* "context" and "target": the target, a blank in front of it where neither side has one */
    PHA_TASK_CHOICE,    /* "context", "query", "ctx" or "goal" with a list "choices" or "endings", or "sol1" and "sol2";
                           "label", "gold" or "answer" is the right one's number from 0, or its text */
    PHA_TASK_PIQA,      /* "goal", "sol1", "sol2": "Question: {goal}\nAnswer:". Labels as "label", or one a line in
                           X-labels.lst beside X.jsonl, as published */
    PHA_TASK_HELLASWAG, /* "activity_label", "ctx_a", "ctx_b", "endings", "label" as published, cleaned as usual */
} pha_task_form;

typedef struct pha_task_options {
    const char *model;  /* a folder with a tokenizer */
    const char *file;   /* JSON lines, also compressed */
    int32_t context;    /* most tokens that the model reads at once; 0: all its positions, or 2048 if it has no end */
    int64_t max_items;  /* 0: all */
    const char *scores; /* write the likelihoods of each item here, as JSON lines; NULL: don't */
    int threads;        /* 0: PHA_THREADS or all processors */
    pha_progress_fn *progress;
    void *user; /* passed to progress */
    pha_weights weights;
} pha_task_options;

typedef struct pha_task_result {
    pha_task_form form;
    const char *context_key, *choices_key, *gold_key; /* that were used; constant texts, NULL: none */
    uint64_t items, truncated; /* of those, some lost the beginning of their context */
    uint64_t tokens, context_tokens; /* scored; read before them */
    int32_t context;
    /* Last words: the share of which each token is the likeliest, and exp of the mean loss of a word. Choices: the
     * share of items whose right choice is the likeliest: of all; by character (norm); by byte. NaN: not of this form.
     * The errors are standard errors, NaN of a single item. */
    double accuracy, accuracy_norm, accuracy_bytes, ppl;
    double accuracy_error, accuracy_norm_error, accuracy_bytes_error, ppl_error;
    uint64_t tokenizer_hash;
    double seconds;
    size_t peak_bytes;
} pha_task_result;

/* Scores continuations of contexts by their likelihood, with the definitions of the Language Model Evaluation Harness
 * for its loglikelihood and multiple_choice tasks without examples: a choice follows the context behind a blank; white
 * space at the end of a context goes to the continuation, which has the tokens of both together that follow as many as
 * the context alone has; an empty context is the token that ends a text; what is longer than `context` loses tokens on
 * the left; special tokens in the text become their ids. All of the file is read and encoded before anything is scored.
 * A context is read once for its choices. BAD_INPUT: also a line that is not of the form of the first one, and a
 * continuation that is longer than `context`; the line is named. STOPPED: on a stop request. */
PHA_API pha_status pha_task(const pha_task_options *options, pha_task_result *result);

#ifdef __cplusplus
}
#endif
#endif
