/* model.h -- models: the weights of a folder, and weights on a device that programs run over
 *
 * A model maps its file and keeps the numbers as they lie there. Programs run over a pha__weights: a configuration and
 * a store on a device. A trainer has one whose store it trains; for inference pha__weights_place makes one with the
 * model's matrices in the format that the device reads best.
 */
#ifndef PHA__MODEL_H
#define PHA__MODEL_H

#include "io/config.h"
#include "io/safetensors.h"
#include "io/tokenizer/tokenizer.h"
#include "models/models.h"
#include "pha.h"
#include "program/store.h"

struct pha_model {
    pha__config config;
    pha__program *names; /* a small recorded program: paths, shapes and order of the parameters */
    pha__store *store;   /* weights, on the host: the map of the file, and constants */
    pha__safetensors *file;
    pha__arena constants;
    pha__tokenizer *tokenizer;
    char *folder;
    bool gpt2; /* the folder has the names of GPT-2 (gpt2_files.h) */
    _Atomic uint64_t fingerprint; /* made when it is first asked for */
    _Atomic bool has_fingerprint;
};

typedef struct pha__weights {
    pha__config config;
    pha__dtype dtype; /* of the activations of programs over them: f32, or bf16 where the store has bf16 matrices */
    pha__device *device;
    pha__store *store;
} pha__weights;

/* A hash of the configuration and of all weights: what a state belongs to. */
pha_status pha__model_fingerprint(uint64_t *out, const pha_model *m);

pha__config_rules pha__rules(void); /* the architectures of models.def */

/* A recorded and finished program over a configuration; dropout is that of the configuration. */
pha_status pha__record(pha__program **out, const pha__config *c, const pha__program_options *options, pha__head head);

/* Working copies on a device of the weights of a store, for inference. The program that names them outlives them. */
pha_status pha__weights_place(pha__weights *w, const pha__config *config, const pha__store *from, pha__device *device,
                              pha__dtype dtype);
void pha__weights_close(pha__weights *w); /* of pha__weights_place; a zeroed one is allowed */

/* May a model be written to `folder`? Only over nothing, an empty folder, or a model folder that holds nothing else. */
pha_status pha__model_place(const char *folder);

/* Writes config.json, model.safetensors (the store's weights, fp32) and README.md, and tokenizer.json if given, into a
 * new folder beside `folder`, and puts it in its place if pha__model_place allows it. `card`: text for the model card,
 * may be NULL. */
pha_status pha__model_write(const char *folder, const pha__config *config, const pha__store *store,
                            const pha__tokenizer *tokenizer, const char *card);

#endif
