/* pha/inspect.h -- inspection, benchmarks, reports; of pha.h */
#ifndef PHA_INSPECT_H
#define PHA_INSPECT_H

#include "pha/model.h"
#include "pha/process.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum pha_inspect_what {
    PHA_INSPECT_SUMMARY, /* configuration, parameters by component, FLOPs and bytes per token, state against context */
    PHA_INSPECT_MIXING,  /* mixing weights per layer, raw and scaled by the rms of the gains (Table 9 of the paper) */
    PHA_INSPECT_PROGRAM, /* one line per step */
    PHA_INSPECT_MEMORY,  /* the memory plan */
} pha_inspect_what;

typedef struct pha_inspect_options {
    const char *model; /* a model folder, a run folder (its model) or a config.json */
    pha_inspect_what what;
    bool json;              /* JSON instead of text */
    int32_t context, batch; /* of the program and the plan; 0: 1024, 1 */
    bool inference;         /* the plan of a streaming session instead of a training step */
    bool recompute, no_fuse;
    pha_precision precision;
    const char *svg; /* MIXING: also write the table as a figure here */
} pha_inspect_options;
/* *text: fresh memory for the caller to pha_free, zero-terminated. */
PHA_API pha_status pha_inspect(const pha_inspect_options *options, char **text);

typedef struct pha_bench_options {
    const char *model;       /* folder or config.json; NULL: the ops only */
    const char *what;        /* comma-separated: ops, train, prefill, decode; NULL: train,prefill,decode */
    const int32_t *contexts; /* NULL: 1024, 2048, 4096, 8192, 16384 */
    size_t n_contexts;
    int32_t batch, repeats; /* 0: 1, 5 */
    pha_precision precision;
    pha_weights weights;    /* of prefill and decode */
    pha_precision cache;    /* of decode and prefill [fp32] */
    bool json;
    int threads; /* 0: PHA_THREADS or all processors */
    pha_progress_fn *progress;
    void *user; /* passed to progress */
} pha_bench_options;
/* Times random weights on random tokens, and the machine itself. What has no room in memory is listed as skipped.
 * *text: a table or JSON, fresh memory for the caller to pha_free. */
PHA_API pha_status pha_bench(const pha_bench_options *options, char **text);

/* One promise of docs/spec/numerics.md, tried. */
typedef struct pha_verdict {
    const char *what; /* "streaming", ...: constant text */
    bool passed;
    double error, limit; /* what was found and what is allowed; limit 0: equal bits were asked for */
    double seconds;
    char text[200];      /* what was tried, or what is wrong */
} pha_verdict;

typedef struct pha_check_options {
    const char *model; /* a model folder, a run folder (its model) or a configuration, which gets initial values */
    int threads;       /* 0: PHA_THREADS or all processors */
    void (*verdict)(void *user, const pha_verdict *verdict); /* called for each as it comes; may be NULL */
    void *user;
} pha_check_options;

#define PHA_CHECKS 16
typedef struct pha_check_result {
    int n, failed;
    pha_verdict verdict[PHA_CHECKS];
    double seconds;
} pha_check_result;

/* Does this machine compute the model as it should? Reading at once, in pieces, token by token, beside other texts,
 * from copies and from saved states gives the same bits, on any number of threads; all instruction sets agree within
 * limits. With a narrow copy of the model (its architecture and switches, small widths, two layers): the same for a
 * longer text, gradients against differences of the loss, training that is resumed or on other threads, to the bit. The
 * tokenizer gives bytes and text back. Files lie in $TMPDIR for a while (of a configuration, its weights).
 * FAILED: a check failed, the result says which; others: none could be made. STOPPED: on a stop request. */
PHA_API pha_status pha_check(const pha_check_options *options, pha_check_result *result);

/* Writes report.html into a run folder: self-contained, with loss curves, mixing weights by layer, samples (texts that
 * were generated). May be called while the run goes on. */
PHA_API pha_status pha_report(const char *run_folder, const char *const *samples, size_t n_samples);

#ifdef __cplusplus
}
#endif
#endif
