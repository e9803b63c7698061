/* pha/model.h -- models; of pha.h */
#ifndef PHA_MODEL_H
#define PHA_MODEL_H

#include "pha/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Weights, read-only and shareable between threads. A folder as on the Hugging Face hub: config.json,
 * model.safetensors, tokenizer.json. */
typedef struct pha_model pha_model;

/* The weights are mapped from the file, not copied; the file must stay as it is while the model is open. BAD_INPUT:
 * also if tokenizer.json is not the one that the weights were written with, or config.json makes another model of them
 * (unless a person wrote "edited": true into it). Opening reads no weights. What computes with them (an engine, a
 * session, an evaluation, a mean, a training that begins with them) first verifies that they are what was written, or
 * fails with BAD_INPUT. Files from elsewhere do not say what was written and are taken as they are (docs/format.md). */
PHA_API pha_status pha_model_open(pha_model **out, const char *folder);
/* After the sessions over it have been closed. */
PHA_API void pha_model_close(pha_model *model);
/* Writes an untrained model folder (initial values: pha.md 5): every tensor a function of (seed, its path). tokenizer:
 * as for pha_tokenizer_open; NULL: none. out_folder: absent, empty, or a model folder, which is replaced once the new
 * one has been read back (IO: it is not what was written). USAGE: config_file or tokenizer lie in it. */
PHA_API pha_status pha_model_init(const char *config_file, uint64_t seed, const char *tokenizer,
                                  const char *out_folder);
/* Mean of the weights of n >= 1 model folders of one configuration, in double, equal weights (pha.md 6). out_folder: as
 * for pha_model_init. BAD_INPUT: also for weights with a number that is not finite. USAGE: out_folder is one of the
 * folders, however they are spelt. */
PHA_API pha_status pha_model_average(const char *const *folders, size_t n, const char *out_folder);

/* Of working copies of the weights and activations in training and evaluation, and of the caches of sessions. */
typedef enum pha_precision { PHA_PRECISION_DEFAULT, PHA_FP32, PHA_BF16 } pha_precision;

/* How the matrices of a model are stored while it runs. What is no matrix (gains, biases, rates, mixing, scales) stays
 * fp32, and so do all sums. With Q8 and Q4 what is multiplied by a matrix is rounded to 16 bits with a scale for every
 * 32 numbers, on its way into the product. */
typedef enum pha_weights {
    PHA_WEIGHTS_DEFAULT, /* as they are in the files */
    PHA_WEIGHTS_FP32,
    PHA_WEIGHTS_BF16,
    PHA_WEIGHTS_FP16,
    PHA_WEIGHTS_Q8, /* 8 bits and a scale of 16 for every 32 numbers of a row */
    PHA_WEIGHTS_Q4  /* likewise with 4 bits; what has a row for each token of the vocabulary as Q8 */
} pha_weights;

typedef struct pha_model_info {
    char arch[16];
    int32_t vocab_size, d_model, n_layer;
    uint64_t parameters;
} pha_model_info;
PHA_API void pha_model_get_info(const pha_model *model, pha_model_info *info);
/* The model's tokenizer, owned by the model; NULL if the folder has none. */
PHA_API const pha_tokenizer *pha_model_tokenizer(const pha_model *model);

#ifdef __cplusplus
}
#endif
#endif
