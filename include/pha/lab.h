/* pha/lab.h -- recall laboratory; of pha.h */
#ifndef PHA_LAB_H
#define PHA_LAB_H

#include "pha/process.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Tasks of token ids that are made, not read, each with something to recall (docs/lab.md): mqar, induction, copy,
 * selective, passkey, needle, tracking. A list of NULL and 0 is one value, the default; every combination of the lists
 * is a cell, which trains a model of its own and tests it. */
typedef struct pha_lab_options {
    const char *task;
    const char *const *models; /* configurations or preset files; with test_only: model folders */
    size_t n_models;
    bool test_only;            /* trains nothing: tests models as they are, each in its vocabulary */
    const int32_t *lengths;    /* T [the task's] */
    const int32_t *pairs;      /* how many things are to be recalled [the task's] */
    const int32_t *widths;     /* d_model, and all widths with it [the configuration's]; not with test_only */
    const double *rates;       /* peak learning rates [1e-3]; not with test_only */
    size_t n_lengths, n_pairs, n_widths, n_rates;
    const int32_t *depths;     /* of passkey and needle: percent, each is tested [anywhere]; no cells of their own */
    size_t n_depths;
    int32_t chains;            /* of tracking [1] */
    int32_t vocab_size;        /* V [the task's]; not with test_only */
    int32_t layers;            /* [2] */
    const char *const *set;    /* "key=value" for config.json, after everything else */
    size_t n_set;
    int64_t steps;             /* [1000] */
    int32_t batch;             /* examples per step [32] */
    double weight_decay;       /* [0.1]; negative: none */
    int64_t examples, tests;   /* of training, again and again in another order [100000]; of each test [3000] */
    uint64_t seed;             /* of weights and examples */
    const char *out;           /* a folder for lab.json and lab.svg; a cell that lab.json has is not run again */
    bool json;                 /* JSON instead of text */
    int threads;               /* 0: PHA_THREADS or all processors */
    pha_progress_fn *progress;
    void *user; /* passed to progress */
} pha_lab_options;

/* *text: a table or JSON, fresh memory for the caller to pha_free; also after STOPPED, of the cells that are done. A
 * combination that cannot be (4 pairs in 8 tokens) is left out with a note, and an error if there is no other. A model
 * whose training diverges has no accuracy. USAGE: also a task that there is not, or another process at `out`. */
PHA_API pha_status pha_lab(const pha_lab_options *options, char **text);
/* n examples from number `first` on, of training or of the test, of the task at the first value of each list: inputs
 * and targets (n, T), -1 for what is not scored. *length: T, *vocab_size: V; these two and, for n = 0, the arrays may
 * be NULL. */
PHA_API pha_status pha_lab_examples(const pha_lab_options *options, bool test, uint64_t first, size_t n,
                                    int32_t *inputs, int32_t *targets, int32_t *length, int32_t *vocab_size);

#ifdef __cplusplus
}
#endif
#endif
