/* model.h -- models: the weights of a folder, and weights on a device that programs run over
 *
 * A model maps its file and keeps the numbers as they lie there. Programs run over a pha__weights: a configuration and
 * a store on a device. A trainer has one whose store it trains; for inference pha__weights_place makes one with the
 * model's matrices in the format that the device reads best.
 */
#ifndef PHA__MODEL_H
#define PHA__MODEL_H

#include "base/place.h"
#include "base/str.h"
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
    _Atomic bool has_fingerprint, verified;
};

typedef struct pha__weights {
    pha__config config;
    pha__dtype dtype; /* of the activations of programs over them: f32, or bf16 where the store has bf16 matrices */
    pha__device *device;
    pha__store *store;
} pha__weights;

/* The configuration as the metadata of weights has it; BAD_INPUT: config.json, at `path`, is of another model, and does
 * not say that it was changed on purpose. Weights from elsewhere go with any that fits. */
void pha__config_text(pha__str *out, const pha__config *config);
pha_status pha__model_check_config(const pha_model *m, const char *path);

/* Another base of rotary positions, for longer texts; 0: as it is. BAD_INPUT: the model has none. `of` for messages. */
pha_status pha__config_rope(pha__config *c, double theta, const char *of);

/* BAD_INPUT: the weights in the file are not those that were written. Whoever computes with them asks first; it reads
 * all of them, once. */
pha_status pha__model_verify(const pha_model *m);

/* A hash of the configuration and of all weights: what a state belongs to. */
pha_status pha__model_fingerprint(uint64_t *out, const pha_model *m);

pha__config_rules pha__rules(void); /* the architectures of models.def */
/* A config.json of ours, or that of a folder of GPT-2 (*gpt2). */
pha_status pha__model_config(pha__config *c, bool *gpt2, const char *path);

/* A recorded and finished program over a configuration; dropout is that of the configuration. */
pha_status pha__record(pha__program **out, const pha__config *c, const pha__program_options *options, pha__head head);
/* The same by a row of its own; NULL: that of the configuration. */
pha_status pha__record_as(pha__program **out, const pha__model_row *row, const pha__config *c,
                          const pha__program_options *options, pha__head head);

/* Working copies on a device of the weights of a store, for inference. The program that names them outlives them.
 * NO_DEVICE: the device does not read such weights. */
pha_status pha__weights_place(pha__weights *w, const pha__config *config, const pha__store *from, pha__device *device,
                              pha__dtype dtype, pha_weights weights);
pha_status pha__weights_check(pha_weights weights); /* USAGE: none of the list */
size_t pha__weights_bytes(const pha__weights *w);   /* of the working copies, read once */
/* Are all numbers of the working copies those of `from`? */
bool pha__weights_exact(const pha__weights *w, const pha__store *from);
/* The format in panels of a matrix; `from`: its format now. */
pha__dtype pha__weights_format(pha_weights weights, const pha__config *config, const pha__node *v, pha__dtype from);
void pha__weights_close(pha__weights *w); /* of pha__weights_place; a zeroed one is allowed */

/* A claim on a place for a model: over nothing, an empty folder, or a model folder of ours that holds nothing else: its
 * config.json has `arch`, or its card says that we wrote it. */
extern const pha__kind pha__model_kind;
pha_status pha__model_claim(pha__claim *claim, const char *folder);
pha_status pha__model_claim_as(pha__claim *claim, const char *folder, const pha__kind *kind);

/* What a new folder holds, before it takes the place of an earlier one: IO where it is not what was written. */
pha_status pha__model_read_back(const char *folder);

/* Writes config.json, model.safetensors (the store's weights, fp32) and README.md, and tokenizer.json if given, beside
 * the claimed place, and puts the folder there. `card`: text for the model card, may be NULL. */
pha_status pha__model_write_to(pha__claim *claim, const pha__config *config, const pha__store *store,
                               const pha__tokenizer *tokenizer, const char *card);
/* The same with a claim of its own. */
pha_status pha__model_write(const char *folder, const pha__config *config, const pha__store *store,
                            const pha__tokenizer *tokenizer, const char *card);

#endif
