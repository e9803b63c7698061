/* repro.h -- experiments (pha_repro): a file that says what is compared, and the runs that follow from it
 *
 * experiment.c reads the file, systems.c knows what its models cost, plan.c makes the runs, work.c makes one of them,
 * together.c has several ranks make them, efficiency.c measures speed and memory, scaling.c and fit.c say what losses
 * at small sizes tell of large ones, results.c keeps what came of all, table.c and page.c show it.
 */
#ifndef PHA__REPRO_H
#define PHA__REPRO_H

#include <jansson.h>

#include "base/mem.h"
#include "base/str.h"
#include "dist/comm.h"
#include "pha.h"
#include "runtime/look/cost.h"

/* ---- the file -------------------------------------------------------------------------------------------- */

enum { PHA__REPRO_MODELS = 256, PHA__REPRO_LIST = 64, PHA__REPRO_FAMILIES = 16 };

typedef struct pha__numbers { /* a list of the file */
    double at[PHA__REPRO_LIST];
    size_t n;
} pha__numbers;

typedef struct pha__system { /* a model that is compared */
    const char *name;
    pha__config config;
    bool other_budget;   /* by its nature of another number of parameters */
    pha__numbers rates;  /* one: no search */
    pha_train_options train;
    const char *own;     /* its own options, as JSON; NULL: none */
    uint64_t parameters;
    double flops;        /* of training, per token (algorithms.md 9) */
    size_t bytes;        /* of a training step */
} pha__system;

typedef struct pha__published {
    const char *model, *how, *where; /* "from scratch", "zero-shot" or "converted"; "Table 2" */
    double token_ppl, word_ppl;      /* NaN: not published */
} pha__published;

typedef struct pha__stage {
    double tokens;
    pha__numbers seeds;
    bool of[PHA__REPRO_MODELS]; /* which systems */
} pha__stage;

typedef struct pha__family { /* models of one kind, from small to large */
    const char *name;
    const pha__system *systems[PHA__REPRO_LIST];
    size_t n;
} pha__family;

typedef struct pha__experiment {
    pha__arena memory;     /* of all strings */
    const char *path, *title, *note;
    const char *folder;    /* a data folder; NULL: the texts are prepared */
    const char *texts[3][PHA__REPRO_LIST]; /* of train, valid and test */
    size_t n_texts[3];
    const char *tokenizer; /* NULL: one is trained */
    int32_t vocab_size;
    pha_train_options train;
    double warmup;         /* share of the steps */
    const char *split;     /* that is scored */
    double shares[2];      /* of the documents, for valid and test, where they have no texts */
    double search_tokens;  /* of each rate */
    int64_t search_scored; /* tokens of the validation split that decide between rates */
    double within;         /* parameters may differ by this share */
    pha__system systems[PHA__REPRO_MODELS];
    size_t n_systems;
    pha__stage stages[PHA__REPRO_LIST];
    size_t n_stages;
    pha__published published[PHA__REPRO_MODELS];
    size_t n_published;
    pha__numbers contexts; /* of speed and memory; none: not measured */
    const char *what;      /* "train,prefill,decode" */
    int32_t repeats;
    pha__family families[PHA__REPRO_FAMILIES];
    size_t n_families;
    double at_parameters, at_tokens; /* where the fit is asked */
    uint64_t identity;     /* of what the results depend on */
} pha__experiment;

/* `e` is zeroed. Closes nothing on failure. */
pha_status pha__experiment_open(pha__experiment *e, const pha_repro_options *o);
void pha__experiment_close(pha__experiment *e);
/* systems.c: parameters, operations and bytes of all; do the budgets match? */
pha_status pha__systems_weigh(pha__experiment *e);

/* ---- the runs -------------------------------------------------------------------------------------------- */

typedef struct pha__trial {
    const pha__system *system;
    double tokens, lr;  /* lr 0: the search has not ended */
    uint64_t seed;
    bool search;
    int stage;          /* of a run that is none of the search */
    const json_t *result; /* of the results; NULL: not there yet */
} pha__trial;

typedef struct pha__repro {
    pha_repro_options o;
    pha__experiment e;
    char *data;        /* the data folder */
    pha__trial *runs;
    size_t n_runs;
    json_t *results;   /* by key */
    json_t *data_of;   /* the data that they are of, by its content; NULL: none is known yet */
    double began;
    pha__comm *world;  /* the ranks that make the runs */
} pha__repro;

bool pha__repro_leads(const pha__repro *r);
/* pha_repro as one of several ranks. */
pha_status pha__repro_rank(const pha_repro_options *options, char **text, pha_repro_result *result, pha__comm *world);

/* together.c, by all ranks: the results so far; the data folder; a turn, in which each makes a run if there are enough,
 * and all get the results. more: something was done. */
pha_status pha__repro_begin(pha__repro *r);
pha_status pha__repro_data(pha__repro *r);
pha_status pha__repro_turn(pha__repro *r, bool *more);

enum { PHA__REPRO_KEY = 160 };
/* "NAME-1M-0.0015-2": tokens, peak rate, seed. It is the name of the run's folder, too. */
void pha__trial_key(char key[PHA__REPRO_KEY], const pha__trial *run);
int64_t pha__trial_steps(const pha__experiment *e, const pha__trial *run);
/* plan.c: all runs of what was asked for, searches first; rates and results are those known by now. */
pha_status pha__plan_runs(pha__repro *r);
bool pha__is_wanted(const pha__repro *r, const pha__system *s);
void pha__plan_update(pha__repro *r); /* after a result: rates that are now known */
/* predict: also the seconds, for which the machine is timed if no run was. */
void pha__plan_left(const pha__repro *r, bool predict, pha_repro_result *left);
void pha__plan_text(pha__str *out, const pha__repro *r); /* for a person, before anything starts */

/* work.c */
pha_status pha__repro_prepare(pha__repro *r); /* the data folder, unless it is there */
pha_status pha__repro_run(pha__repro *r, const pha__trial *run, json_t **result); /* the caller's */
/* OUT/models/NAME.json; *path is the caller's. Written all at once, by the leader. */
pha_status pha__repro_config(char **path, const pha__repro *r, const pha__system *s);
pha_status pha__repro_configs(pha__repro *r);
/* repro.c: what is left; STOPPED: it may not go on, and why. */
pha_status pha__repro_may_go_on(const pha__repro *r, pha_repro_result *left);

/* efficiency.c */
pha_status pha__efficiency_run(pha__repro *r);
void pha__efficiency_left(const pha__repro *r, pha_repro_result *left); /* adds */
void pha__efficiency_table(pha__str *out, const pha__repro *r);
void pha__efficiency_csv(pha__str *out, const pha__repro *r); /* nothing where nothing was measured */

/* results.c */
pha_status pha__results_load(pha__repro *r);
pha_status pha__results_put(pha__repro *r, const char *key, json_t *result); /* takes it over; the leader saves */
double pha__result_number(const json_t *result, const char *key); /* NaN: none */
void pha__result_csv(pha__str *out, const json_t *result, const char *key); /* a comma, and the number if it is there */

/* scaling.c */
void pha__scaling_table(pha__str *out, const pha__repro *r);
void pha__scaling_figure(pha__str *out, const pha__repro *r);

/* ---- what is shown --------------------------------------------------------------------------------------- */

/* The runs of a stage of one system: its seeds. */
typedef struct pha__group {
    const pha__system *system;
    const pha__trial *runs[PHA__REPRO_LIST];
    size_t n;
    double lr;
} pha__group;
/* The next group behind `at` (0 at first) with a result; false: there is none. */
bool pha__next_group(const pha__repro *r, int stage, size_t *at, pha__group *g);
/* Mean over the seeds, and half the width of its 95 % confidence interval by Student's t (NaN for one seed). */
void pha__group_mean(const pha__group *g, const char *key, double *mean, double *half);

void pha__repro_table(pha__str *out, const pha__repro *r); /* Markdown */
void pha__repro_csv(pha__str *out, const pha__repro *r);
void pha__repro_curves(pha__str *out, const pha__repro *r, int stage, bool standalone);
pha_status pha__repro_pages(const pha__repro *r); /* all files */

#endif
