/* train.h -- a whole training run: its folder, logs, evaluations and snapshots */
#ifndef PHA__TRAIN_H
#define PHA__TRAIN_H

#include "runtime/train/events.h"
#include "runtime/train/runlog.h"
#include "runtime/train/trainer.h"

pha_status pha__run_json_write(const pha_trainer *t);

typedef struct pha__training {
    pha_trainer *t;
    pha__runlog *log;
    pha__events *events;
    double began, step_seconds; /* wall clock; time in steps since the last log line */
    int64_t first_step, logged; /* step at the start of this process; last step logged */
    double last_loss;
    pha_train_result *result;
} pha__training;

/* pha_train by one of the ranks; *result is not filled in where it fails early. */
pha_status pha__train_rank(const pha_train_options *options, pha_train_result *result, pha__comm *comm);

/* advice.c: tells the log what is odd about the run, before its first step; refuses nothing. */
pha_status pha__advise(const pha_trainer *t);

/* snapshots.c */
/* Evaluates, logs, steps the plateau, and keeps the weights as best/step-N if they are among the best. */
pha_status pha__evaluate_now(pha__training *r, int64_t max_tokens, bool early);
/* model/: the mean of the best snapshots if that is better on the validation split than the last weights, else these.
 */
pha_status pha__finish_model(pha__training *r);

#endif
