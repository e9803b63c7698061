/* models.h -- what an architecture is, and the language model around it
 *
 * An architecture is one file with one constant row, and one line in models.def.
 */
#ifndef PHA__MODELS_H
#define PHA__MODELS_H

#include "base/config.h"
#include "program/program.h"

typedef struct pha__model_row {
    const char *name;            /* the value of "arch" in config.json */
    const char *equation;
    const char *const *keys;     /* of config.json, besides those of every architecture; NULL-terminated */
    pha_status (*check)(const pha__config *c); /* beyond what io/config.c checks; NULL: nothing */
    Var (*block)(Params p, Var x, const pha__config *c, int layer); /* (B, T, D) -> (B, T, D) */
} pha__model_row;

#define PHA__MODEL(name) extern const pha__model_row pha__model_##name;
#include "models/models.def"
#undef PHA__MODEL

const pha__model_row *pha__model_find(const char *arch); /* NULL: no such architecture */
/* Keys of an architecture, for io/config.c; NULL: no such architecture. */
const char *const *pha__model_keys(const char *arch);
const char *pha__model_list(void); /* "pha, seq" */

typedef enum pha__head { PHA__HEAD_NONE, PHA__HEAD_LOGITS, PHA__HEAD_LOSS } pha__head;

/* Records a whole language model: embedding, blocks, final norm, tied head. Outputs: "logits" (B, T, V) or "loss"
 * (B, T, 2: nll and hit), or "hidden". Ends the recording (pha__program_finish). */
pha_status pha__lm_record(pha__program *p, const pha__config *c, pha__head head);

#endif
