/* pha/repro.h -- experiments: many runs by one file, and what came of them beside what was published; of pha.h */
#ifndef PHA_REPRO_H
#define PHA_REPRO_H

#include "pha/process.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pha_repro_options {
    const char *experiment; /* a JSON file (docs/repro.md): data, models, budgets, rates, seeds, published numbers */
    const char *out;        /* folder for data, runs, results and pages; may be that of an earlier call */
    const char *texts;      /* folder of the experiment's text files; NULL: that of the experiment */
    const char *const *only; /* names of models; NULL: all */
    size_t n_only;
    double minutes;         /* no run is started after so many; 0: no limit */
    bool dry_run;           /* plan only: nothing is written */
    bool pages_only;        /* write the pages from the results that are there */
    int threads;            /* 0: PHA_THREADS or all processors */
    pha_progress_fn *progress;
    void *user;             /* passed to progress */
} pha_repro_options;

typedef struct pha_repro_result {
    size_t runs, done;   /* of the experiment, or of `only`; with results */
    double flops;        /* of training, of what is not done (algorithms.md 9) */
    double seconds_left; /* predicted for them; NaN: nothing is known of this machine's speed yet */
} pha_repro_result;

/* Makes the runs that have no result yet, in the order of the plan, each with pha_train and pha_eval in a folder of its
 * own, `out`/runs/KEY; what was broken off is resumed, what is there is not run again. After each run results.json,
 * table.md, table.csv, speed.csv, curves.svg and index.html in `out` are written anew. *text: the plan (dry_run) or the
 * table, fresh memory for the caller to pha_free; NULL on failure, except STOPPED.
 *
 * Of several ranks (pha/process.h) each makes whole runs, in turns; `out` is a folder that all of them see.
 *
 * BAD_INPUT: the experiment has an unknown key, models whose parameters differ by more than it allows, or no such file.
 * USAGE: `out` is the folder of another experiment or of other data, or another process is at work in it. STOPPED: on a
 * stop request, or when the minutes are over and runs are left. NUMERIC: a training diverged; with a rate of a search
 * that is a result, not a failure. */
PHA_API pha_status pha_repro(const pha_repro_options *options, char **text, pha_repro_result *result);

#ifdef __cplusplus
}
#endif
#endif
