/* pha/train.h -- training; of pha.h */
#ifndef PHA_TRAIN_H
#define PHA_TRAIN_H

#include "pha/model.h"
#include "pha/process.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum pha_schedule {
    PHA_SCHEDULE_DEFAULT,
    PHA_SCHEDULE_CONSTANT,
    PHA_SCHEDULE_COSINE,
    PHA_SCHEDULE_PLATEAU
} pha_schedule;
typedef enum pha_optimizer { PHA_OPTIMIZER_DEFAULT, PHA_OPTIMIZER_ADAMW, PHA_OPTIMIZER_MUON } pha_optimizer;

/* Numbers: 0 means the default in brackets; where 0 is meaningful, a negative number switches off. pha_train.def has a
 * row for each option, with its range and with what another value means to a run that is resumed. */
typedef struct pha_train_options {
    const char *config;    /* config.json or preset file of a new model; its vocab_size 0 or absent: the data's */
    const char *init_from; /* or: a model folder whose weights to start from */
    const char *data;      /* data folder of pha_prepare */
    const char *out;       /* run folder */
    bool resume;           /* go on from out/checkpoint, or the one before it, if there is one */
    bool other_data;       /* also if the data is not that of the checkpoint, which is refused otherwise */
    uint64_t seed;
    int32_t context;          /* T [1024, at most the data] */
    bool carry;               /* the windows of each of the `batch` sequences follow one another in the text, and each
                                 begins in the state in which the one before it ended (truncated back-propagation: no
                                 gradient goes back there); a pass over the data begins with zero states */
    double rope_theta;        /* base of rotary positions in place of that of the configuration [that one] */
    int32_t batch;            /* sequences per step [24] */
    int32_t micro_batch;      /* sequences per run; divides batch; on processors any gives the same bits [1] */
    int32_t lanes;            /* equal shares of a batch whose gradients are added in a binary tree; a power of two that
                                 divides batch [1, or the number of ranks]. Any number of ranks up to it trains the same
                                 bits (pha_ranks) */
    int64_t steps;            /* of the whole run; or */
    double epochs;            /* passes over the data [1] */
    double lr;                /* peak [4.5e-4] */
    pha_optimizer optimizer;  /* muon: of the matrices that are multiplied; all else stays with AdamW [adamw] */
    pha_schedule schedule;    /* [cosine] */
    int64_t warmup;           /* steps [0] */
    double lr_min_ratio;      /* of cosine [0.1] */
    double plateau_factor;    /* [0.75]; the plateau is told one loss per epoch, or each one if there is one epoch */
    int32_t plateau_patience; /* [3] */
    double beta1, beta2, eps; /* [0.9, 0.999, 1e-8] */
    double weight_decay;      /* [0.1] */
    bool decay_all;           /* decay gains and vectors too */
    double clip;              /* global norm [1.0] */
    double dropout;           /* [0] */
    double attn_dropout;      /* of the weights of softmax attention [0] */
    double spike;             /* a step is refused if its loss or gradient is more than `spike` deviations above the
                                 running mean [8; off if batch < 8, as hard text looks like a fault]; negative: off */
    pha_precision precision;  /* storage of weights' working copies and activations [fp32] */
    bool recompute;           /* keep only layer inputs, repeat each layer's forward */
    bool no_fuse;             /* merge no projections, fuse no norms and filters */
    int threads;              /* [PHA_THREADS or all processors]; the result doesn't depend on it */
    int64_t eval_every;       /* steps [once per epoch, at least 4 times a run] */
    int64_t eval_tokens;      /* of the validation split [all] */
    int64_t checkpoint_every; /* steps [as eval_every]; the end of an epoch and of the run has one too */
    int32_t keep_best;        /* model snapshots kept by validation perplexity [5] */
    int32_t average_best;     /* of them averaged at the end [3]; negative: no averaging */
    int64_t detail_every;     /* steps between log entries with mixing weights, horizons, norms per tensor [100] */
    const char *command;      /* for run.json: the command line */
    pha_progress_fn *progress;
    void *user; /* passed to progress */
} pha_train_options;

typedef struct pha_train_result {
    int64_t steps, tokens;
    double train_loss, valid_loss, valid_ppl, averaged_valid_ppl; /* NaN where not measured */
    double seconds, tokens_per_second; /* of this call; tokens_per_second of its steps alone, NaN: it made none */
    size_t peak_bytes;                 /* that libpha held at once */
    int64_t refused;                   /* steps of the run whose update the guard refused */
} pha_train_result;

/* Trains to the end (protocol: pha.md 6): run.json, log.jsonl, events.out.tfevents.*, checkpoint/, best/step-N/, model/
 * in the run folder. All tokens are read once and verified before the first step. STOPPED: on a stop request, at the
 * next microbatch or window of an evaluation; a step that is under way is left undone, and the checkpoint is that of
 * the last whole one. NUMERIC: twenty steps in a row were refused because loss or gradient were not finite or far above
 * their mean; a step that is refused changes no weight. A run that has come to its end before is left as it is, with a
 * note. USAGE: the folder holds something else, or another process trains into it. BAD_INPUT with `resume`: no
 * checkpoint can be used, and the folder shows that there were steps; a run does not start over there. */
PHA_API pha_status pha_train(const pha_train_options *options, pha_train_result *result);

/* The same one step at a time, without a run folder: `out`, `resume` and the cadences are not used. */
typedef struct pha_trainer pha_trainer;
PHA_API pha_status pha_trainer_open(pha_trainer **out, const pha_train_options *options);
PHA_API void pha_trainer_close(pha_trainer *trainer);
typedef struct pha_step {
    int64_t step; /* number of the step just done, from 1 */
    double loss;          /* mean over the step's tokens, nats, before the update */
    double gradient_norm; /* global 2-norm before clipping */
    double lr, seconds;
    int64_t tokens;       /* batch * T */
    bool skipped; /* the guard refused the update */
} pha_step;
/* Reads the next batch and updates the weights (AdamW, pha.md 6). Allocates nothing. step may be NULL. STOPPED: on a
 * stop request, between microbatches; the step is undone, and made whole by the next call. */
PHA_API pha_status pha_trainer_step(pha_trainer *trainer, pha_step *step);
PHA_API pha_status pha_trainer_save(pha_trainer *trainer, const char *folder); /* a checkpoint: bit-identical resume */
/* BAD_INPUT: damaged, or written with another configuration, seed, context, batch, precision, tokenizer or other data
 * (training and validation split by their content; `other_data` allows that). The log is told what else is not as it
 * was (the rate, merging, the instruction set ...). */
PHA_API pha_status pha_trainer_load(pha_trainer *trainer, const char *folder);
PHA_API pha_status pha_trainer_save_model(pha_trainer *trainer, const char *folder); /* a model folder */

#ifdef __cplusplus
}
#endif
#endif
