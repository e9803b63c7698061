/* models.h -- what an architecture is, and the language model around it
 *
 * An architecture is one file with one constant row, and one line in models.def.
 */
#ifndef PHA__MODELS_H
#define PHA__MODELS_H

#include "base/config.h"
#include "program/program.h"

typedef enum pha__head { PHA__HEAD_NONE, PHA__HEAD_LOGITS, PHA__HEAD_LOSS } pha__head;

typedef struct pha__model_row {
    const char *name;            /* the value of "arch" in config.json */
    const char *equation;
    const char *const *keys;     /* of config.json that it shares with others, besides those of all; NULL-terminated */
    const pha__config_key *own;  /* keys of its own (PHA__OWN_KEY), ended by {0}; NULL: none */
    const char *const *frozen;   /* paths of parameters that are not learned, * for anything in them; NULL: none */
    /* Beyond what io/config.c checks; `where` names the file. NULL: nothing. */
    pha_status (*check)(const pha__config *c, const char *where);

    Var (*embed)(Params p, const pha__config *c);            /* tokens -> (B, T, D); NULL: pha__lm_embed */
    Var (*positions)(Params p, Var x, const pha__config *c); /* where a token stands, for all blocks; NULL: x */
    Var (*block)(Params p, Var x, const pha__config *c, int layer); /* (B, T, D) -> (B, T, D) */
    /* Records what `head` asks for: the output "hidden", or "logits", or losses, one of them "loss", the cross-entropy
     * of the next token. The parameters are the same whatever is asked for. NULL: pha__lm_head. */
    void (*head)(Params p, Var x, const pha__config *c, pha__head head);
} pha__model_row;

#define PHA__MODEL(name) extern const pha__model_row pha__model_##name;
#include "models/models.def"
#undef PHA__MODEL

const pha__model_row *pha__model_find(const char *arch); /* NULL: no such architecture */
/* Keys of an architecture, for io/config.c; NULL: no such architecture. */
const char *const *pha__model_keys(const char *arch);
const pha__config_key *pha__model_own(const char *arch); /* NULL: none */
pha_status pha__model_check(const pha__config *c, const char *where); /* that of the architecture's row */
const char *pha__model_list(void); /* "pha, seq" */

/* An architecture besides those of models.def, for tests and experiments: before anything is opened, from one thread.
 * The row stays the caller's. */
pha_status pha__model_add(const pha__model_row *row);

/* The usual ends (pha.md 2): drop(sqrt(D) E[c]) over the table "embed" of every architecture that asks for it, and
 * RMSNorm with the same table as head. */
Var pha__lm_table(Params p, const pha__config *c);
Var pha__lm_embed(Params p, const pha__config *c);
void pha__lm_head(Params p, Var x, const pha__config *c, pha__head head);
/* What these two are made of: drop(scale E[c]); and what is asked for, from the vectors that the table multiplies. */
Var pha__lm_gather(Params p, const pha__config *c, double scale, double dropout);
void pha__lm_outputs(Params p, Var x, const pha__config *c, pha__head head);

/* The language model of GPT-2 around any attention (gpt2.c): the ends, and the block. */
typedef Var pha__attend(Params p, const char *name, Var x, const pha__config *c, int layer); /* (B, T, D), as x */
Var pha__gpt2_embed(Params p, const pha__config *c);
Var pha__gpt2_positions(Params p, Var x, const pha__config *c);
Var pha__gpt2_block(Params p, Var x, const pha__config *c, int layer, pha__attend *attend);
void pha__gpt2_head(Params p, Var x, const pha__config *c, pha__head head);

/* Records a whole language model: embedding, positions, blocks, head. Outputs: "logits" (B, T, V), or losses (B, T, 2:
 * nll and hit), "loss" among them, or "hidden". Ends the recording (pha__program_finish). */
pha_status pha__lm_record(pha__program *p, const pha__config *c, pha__head head);
/* The same by a row that need not be the one of c->arch. */
pha_status pha__lm_record_as(pha__program *p, const pha__model_row *model, const pha__config *c, pha__head head);

/* hedgehog.c: not an architecture but how one is taught. The model of gpt2.c, all frozen, and beside its attention the
 * maps of Hedgehog with a loss per layer, "layerN" (B, T, 2: ops/distill). Configuration and paths are those of
 * "hedgehog". */
extern const pha__model_row pha__model_taught_hedgehog;

#endif
