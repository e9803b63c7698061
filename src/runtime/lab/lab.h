/* lab.h -- the recall laboratory: cells, each a model that is trained on a task and tested (pha_lab)
 *
 * plan.c makes the cells of a call, cell.c runs one, score.c counts what a model recalls, results.c keeps what is known
 * in lab.json, show.c makes the table and the figure.
 */
#ifndef PHA__LABORATORY_H
#define PHA__LABORATORY_H

#include <jansson.h>

#include "base/str.h"
#include "runtime/lab/tasks.h"
#include "runtime/model.h"

typedef struct pha__lab_cell {
    const char *model;     /* as it is called */
    pha__lab_sizes s;
    double lr;
    pha__config config;    /* of the model that is trained, or was */
    pha_model *trained;    /* borrowed; NULL: one is trained */
    json_t *setting;       /* all that the result depends on */
    json_t *result;        /* NULL: not known yet */
} pha__lab_cell;

typedef struct pha__lab {
    pha_lab_options o;     /* every default filled in */
    const pha__lab_row *row;
    pha_model **trained;   /* n_models, of test_only */
    pha__config *configs;  /* n_models, otherwise */
    pha__lab_cell *cells;
    size_t n_cells;
    json_t *others;        /* cells of lab.json that are not of this call */
} pha__lab;

/* plan.c: what was asked for as cells. `l` is zeroed. Closes nothing on failure. */
pha_status pha__lab_plan(pha__lab *l, const pha_lab_options *options);
void pha__lab_unplan(pha__lab *l);
/* The task of a call at the first value of each list. */
pha__lab_sizes pha__lab_first(const pha_lab_options *o, int32_t V, int32_t avoid);

/* score.c: what a model recalls of the test examples of a task. */
typedef struct pha__lab_score {
    double scored, hits, nll; /* targets; those that are the argmax; nats */
    double examples, whole;   /* those of which every target is */
} pha__lab_score;
/* tell, which may be NULL, is told now and then how many examples are done. NUMERIC: a loss is not finite. STOPPED: on
 * a stop request. */
typedef void pha__lab_tell(void *to, int64_t done);
pha_status pha__lab_test(pha__lab_score *out, const pha__weights *weights, pha__lab_task *task, int64_t tests,
                         pha__lab_tell *tell, void *to);
int32_t pha__lab_together(int32_t batch, int32_t T); /* examples that run at once: a divisor of the batch */

/* cell.c: the result of a cell. number: which of all, for progress. */
pha_status pha__lab_run(const pha__lab *l, pha__lab_cell *cell, size_t number);

/* results.c */
pha_status pha__lab_load(pha__lab *l); /* results from lab.json, if it is there */
pha_status pha__lab_save(const pha__lab *l);
json_t *pha__lab_cells_json(const pha__lab *l, bool others);

/* show.c */
void pha__lab_table(pha__str *out, const pha__lab *l);
void pha__lab_figure(pha__str *out, const pha__lab *l); /* nothing where no cell has a result */

#endif
