/* pha/convert.h -- conversion; of pha.h */
#ifndef PHA_CONVERT_H
#define PHA_CONVERT_H

#include "pha/process.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pha_convert_options {
    const char *model;   /* a model folder of arch gpt2, or a folder of GPT-2 as on the hub */
    const char *to;      /* "hedgehog", which NULL means too */
    const char *config;  /* config.json of the model to make, in the shape of the other one; NULL: its defaults */
    const char *data;    /* data folder of pha_prepare, with the model's tokenizer */
    const char *out;     /* model folder to write, as for pha_model_init */
    int32_t context;     /* T [512, at most n_positions and the data] */
    int32_t batch;       /* sequences per step [8] */
    int64_t steps;       /* [two passes over the data, at most 2000] */
    double lr;           /* peak of a cosine [0.01] */
    uint64_t seed;       /* of the order of the data */
    int64_t eval_tokens; /* of the validation split (training split, if there is none) that are measured [65536] */
    int threads;         /* 0: PHA_THREADS or all processors */
    pha_progress_fn *progress;
    void *user; /* passed to progress */
} pha_convert_options;

typedef struct pha_convert_result {
    int64_t steps;
    /* Before the first step and after the last, per token, in nats, means over heads and layers: the distillation loss,
     * and the part of it that another feature map can take away, KL(softmax weights || weights of features). */
    double loss_before, loss, kl_before, kl;
    double teacher_ppl, ppl_before, ppl; /* perplexity per token of the model, and of what is made of it */
    double seconds;
    size_t peak_bytes;
} pha_convert_result;

/* Makes a Hedgehog model of a trained softmax model: learns its feature maps such that attention weighs as softmax does
 * (baselines.md 8 (b), stage 1); all other weights are the model's, to the bit. `out` is a model folder like any other;
 * training goes on with init_from. result may be NULL; NaN where it was not measured. STOPPED: on a stop request. Then,
 * as after any failure behind the first step, OUT.converting is a checkpoint of the last whole step, and the same call
 * goes on from there, to the bit. It is removed when `out` is written. BAD_INPUT: a model of another architecture, a
 * configuration of another shape, data of another tokenizer. USAGE: a context beyond n_positions, or `out` holds what
 * is read. */
PHA_API pha_status pha_convert(const pha_convert_options *options, pha_convert_result *result);

#ifdef __cplusplus
}
#endif
#endif
