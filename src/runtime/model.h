/* model.h -- the weights of a model, and programs over them
 *
 * pha__weights is what a program needs to run: the configuration and one address per parameter, in the index order of
 * every program of that configuration. A model folder maps them; a trainer owns them.
 */
#ifndef PHA__MODEL_H
#define PHA__MODEL_H

#include "io/config.h"
#include "io/safetensors.h"
#include "io/tokenizer/tokenizer.h"
#include "models/models.h"
#include "pha.h"
#include "program/program.h"

typedef struct pha__weights {
    pha__config config;
    bool stacked; /* data lies as a program lays it out, so merged products can read it; not so in a file */
    int n;        /* parameters, constants included */
    void **data;  /* fp32 */
    void **half;  /* bf16 matrices (vectors are fp32 in any program); NULL: no bf16 program can run */
} pha__weights;

struct pha_model {
    pha__weights weights;
    pha__program *names; /* a small recorded program: paths, shapes and order of the parameters */
    pha__safetensors *file;
    void *own; /* what could not be mapped: constants, tensors widened from bf16 */
    pha__tokenizer *tokenizer;
    char *folder;
};

pha__config_rules pha__rules(void); /* the architectures of models.def */

/* A recorded and finished program over a configuration; dropout is that of the configuration. */
pha_status pha__record(pha__program **out, const pha__config *c, const pha__program_options *options, pha__head head);

/* The same for running over given weights: projections are merged only where the weights lie together. */
pha_status pha__record_over(pha__program **out, const pha__weights *w, const pha__program_options *options,
                            pha__head head);

/* Opens the executor of a program of pha__record_over (inference: no gradients). */
pha_status pha__exec_over(pha__exec **out, pha__program *p, const pha__weights *w, pha__pool *pool);

/* bf16 copies of the matrices in one allocation: fills w->half; the caller frees *memory after the last use. */
pha_status pha__weights_half(pha__weights *w, const pha__program *names, void **memory);

/* May a model be written to `folder`? Only over nothing, an empty folder, or a model folder that holds nothing else. */
pha_status pha__model_place(const char *folder);

/* Writes config.json, model.safetensors (fp32) and README.md, and tokenizer.json if given, into a new folder beside
 * `folder`, and puts it in its place if pha__model_place allows it. `card`: text for the model card, may be NULL. */
pha_status pha__model_write(const char *folder, const pha__weights *w, const pha__program *names,
                            const pha__tokenizer *tokenizer, const char *card);

/* The weights of a model.safetensors, checked against names and shapes of a program, one address each in data;
 * constants are left NULL. */
pha_status pha__weights_map(const pha__safetensors *file, const pha__program *names, const void **data,
                            pha__dtype *types);

#endif
