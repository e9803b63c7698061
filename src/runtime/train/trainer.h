/* trainer.h -- the state of a training run in memory
 *
 * trainer.c makes steps; checkpoint.c writes and reads all that makes resuming bit-identical; probe.c looks into the
 * model; train.c is the whole run with its folder, logs, evaluations and snapshots.
 */
#ifndef PHA__TRAINER_H
#define PHA__TRAINER_H

#include "io/loader.h"
#include "runtime/model.h"
#include "runtime/train/carry.h"
#include "runtime/train/guard.h"
#include "runtime/train/lanes.h"
#include "runtime/train/optimizer.h"
#include "runtime/train/schedule.h"
#include "runtime/train/sections.h"

#define PHA__MAX_BEST 64

/* Where sequences come from: number `index` of a run, T inputs and their targets, -1 for what is not scored (something
 * is, in each). The same number has the same sequence. */
typedef struct pha__source {
    pha_status (*get)(void *self, uint64_t index, int32_t *inputs, int32_t *targets);
    void *self;
} pha__source;

typedef struct pha__best { /* a model snapshot in the run folder: best/step-N */
    int64_t step;
    double loss;
} pha__best;

/* What is learned where that is not a whole model: what is not frozen in the program that `row` records over a
 * configuration. It begins with its initial values, and everything that `from` has too with that model's numbers. */
typedef struct pha__lesson {
    const pha__model_row *row;
    pha__config config;
    const pha_model *from;
} pha__lesson;

struct pha_trainer {
    pha_train_options o; /* every default resolved */
    const pha__lesson *lesson; /* NULL: all of the model */
    pha__arena strings;  /* that o points to */
    pha__config config;
    pha__tokens *data, *valid; /* valid: NULL if the folder has none */
    pha__loader loader;
    pha__source source;        /* the loader, unless sequences are made; then data and tokenizer are NULL */
    pha__tokenizer *tokenizer;
    pha__comm *comm;     /* the ranks that train together; of one: itself */
    pha__lanes lanes;
    pha__device *device;
    pha__program *program;
    pha__store *store;
    pha__exec *exec;
    pha__optimizer optimizer;
    pha__sections sections; /* of its gradients */
    pha__carry carry;    /* o.carry */
    pha__weights weights; /* the store, for programs that look at it */
    pha__program *probe_program;
    pha__exec *probe;
    int32_t *ids, *targets; /* (sequences of this rank, T) */
    int64_t scored;         /* targets that count, of all ranks */
    float *losses;          /* (micro_batch T, 2) */
    double *lane_losses;    /* (lanes here, outputs) sums */

    /* what a checkpoint holds besides weights and moments */
    int64_t step; /* steps made; the data's position is step * batch sequences */
    int64_t skipped, skipped_in_row;
    double parts[PHA__MAX_OUTPUT];  /* of the step just made, by output of the program, without weights */
    pha__guard guard;
    pha__schedule schedule;
    pha__best best[PHA__MAX_BEST];
    int n_best;
    double last_valid; /* loss, NaN: none yet */
    bool eval_due;     /* the evaluation that belongs to `step` has not been finished */
};

/* A trainer over sequences that are made, and a configuration in memory. It makes steps; what concerns data
 * (checkpoints, runs, probes) is not for it. Of the options, config, init_from and data are not used, and steps and
 * context are set. What `source` points to outlives it. */
pha_status pha__trainer_open_made(pha_trainer **out, const pha_train_options *options, const pha__config *config,
                                  const pha__source *source);
/* As pha_trainer_open, for a lesson that outlives the trainer; options->init_from is its model's folder. */
pha_status pha__trainer_open_lesson(pha_trainer **out, const pha_train_options *options, const pha__lesson *lesson);

/* As pha_trainer_open, of one of the ranks; `comm` outlives the trainer. What ranks can't differ in is compared. */
pha_status pha__trainer_open_rank(pha_trainer **out, const pha_train_options *options, pha__comm *comm);
/* Is this the rank that writes files and talks? */
static inline bool pha__leads(const pha_trainer *t) { return t->comm->rank == 0; }
/* What the leading rank found out (size bytes), for all. */
pha_status pha__from_leader(const pha_trainer *t, pha_status status, void *data, size_t size);

/* Sequences of a whole run; UINT64_MAX: more than that. */
uint64_t pha__sequences(const pha_train_options *o);
/* Tokens that a carried sequence has read before step number `step` of the run: since the pass over the data began. */
int64_t pha__carried_tokens(const pha_trainer *t, int64_t step);
/* Did the step just made complete a pass over the data? (A pass need not be a whole number of steps.) */
bool pha__at_epoch_end(const pha_trainer *t);
/* Is the whole run more than one pass? Then the plateau is told one loss per pass, else each one. */
bool pha__many_epochs(const pha_trainer *t);

/* The weights at this moment as a model folder; by all ranks together. */
pha_status pha__trainer_write_model(pha_trainer *t, const char *folder, const char *card);

/* Statistics of the model on the first window of the data, as an object for the log: per layer mixing weights,
 * horizons, gate means, attention scales, rms of branch outputs (numerics.md 6); and gradient norms per tensor. */
pha_status pha__probe(pha_trainer *t, json_t **out);

#endif
