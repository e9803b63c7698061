/* task.h -- downstream tasks: what a file asks, and what a model makes of it (pha_task)
 *
 * A task is read whole and encoded before anything is computed, so that a mistake in its last line is told at once. How
 * text becomes tokens, what is cut and what the numbers mean is as in the Language Model Evaluation Harness, so that
 * they can be compared with those that are published.
 */
#ifndef PHA__TASK_H
#define PHA__TASK_H

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "io/tokenizer/tokenizer.h"
#include "pha.h"

/* A continuation of which the likelihood is asked. */
typedef struct pha__choice {
    const char *text;    /* with the blank in front of it */
    size_t size;
    double chars, bytes; /* of what was given, without that blank */
    int32_t *ids, n;     /* its tokens, n >= 1 */
    double ll;           /* the answer: log likelihood in nats, */
    bool greedy;         /* and whether each token is the likeliest */
} pha__choice;

typedef struct pha__item {
    uint64_t line;         /* in the file */
    const char *context;
    size_t size;
    pha__choice *choices;  /* one: the last word of a text */
    int n, gold;
    int32_t *ids, n_ids;   /* tokens of the context, n_ids >= 1 */
    int32_t dropped;       /* of them, so that the longest choice has room */
} pha__item;

typedef struct pha__exam {
    const char *path;
    pha_task_form form;
    const char *context_key, *choices_key, *gold_key; /* in the file */
    pha__item *items;
    size_t n, capacity;
    pha__arena arena;
} pha__exam;

/* Reads up to `most` items (0: all). BAD_INPUT names the line. Zero-initialise the task; release it also after a
 * failure. */
pha_status pha__task_read(pha__exam *t, const char *path, uint64_t most);
void pha__task_free(pha__exam *t);

/* The item of one line. The first one decides on the form of all. */
pha_status pha__task_item(pha__exam *t, pha__item *item, json_t *object);

/* The text of HellaSwag in the form in which it is scored. */
void pha__hellaswag_text(pha__str *out, const char *text);
void pha__hellaswag_context(pha__str *out, const char *activity, const char *a, const char *b);

/* What Python's str.strip takes away at the end: the length of the text without it. */
size_t pha__task_strip(const char *text, size_t size);

/* Tokens of all items. `context` is the most that the model reads at once. */
pha_status pha__task_encode(pha__exam *t, const pha__tokenizer *tokenizer, int32_t context);

/* Mean, and its standard error (NaN: n < 2). */
void pha__task_mean(double *mean, double *error, const double *x, size_t n);
/* The perplexity exp(-mean(ll)), and the standard error of 100,000 samples with replacement. */
pha_status pha__task_perplexity(double *ppl, double *error, const double *ll, size_t n, int threads);

#endif
