/* options.h -- the options of a training run as a table (include/pha_train.def), and all that is read from it */
#ifndef PHA__OPTIONS_H
#define PHA__OPTIONS_H

#include <jansson.h>

#include "base/mem.h"
#include "pha.h"

typedef enum pha__option_kind {
    PHA__OPTION_PATH,
    PHA__OPTION_FLAG,
    PHA__OPTION_INT,
    PHA__OPTION_NATURAL,
    PHA__OPTION_REAL,
    PHA__OPTION_ENUM
} pha__option_kind;

/* What it means to a run that is resumed with another value; pha_train.def explains them. */
typedef enum pha__option_role {
    PHA__FIXED,
    PHA__IDENTITY,
    PHA__COURSE,
    PHA__FREE,
    PHA__BY_DEVICE,
    PHA__CALL
} pha__option_role;

typedef struct pha__option {
    const char *field, *key; /* key: in files, and in messages about them */
    pha__option_kind kind;
    pha__option_role role;
    size_t offset, size;
    double low, high;
    bool above, below, zero_off, invert;
    const char *choices;
    int base;
} pha__option;

extern const pha__option pha__train_options[];
extern const size_t pha__n_train_options;

/* Checks the ranges, fills in the defaults (0 becomes the default, a negative number 0), copies the strings. */
pha_status pha__options_values(pha_train_options *o, pha__arena *memory);
/* The same for a run that reads: it needs data, and a model of one kind. */
pha_status pha__options_open(pha_train_options *o, pha__arena *memory);

bool pha__option_has(const pha__option *row, const pha_train_options *o); /* a value that run.json tells */
bool pha__option_is_default(const pha__option *row, const pha_train_options *o); /* of a resolved value, no PATH */
/* The value as the command takes it. */
json_t *pha__option_json(const pha__option *row, const pha_train_options *o);
/* The same back into the options: 0 switches off what can be, as for the command. Not of a PATH. `where` names the
 * file; ranges are checked with all others, when the options are used. */
pha_status pha__option_read(const pha__option *row, pha_train_options *o, const json_t *value, const char *where);
/* The value as a checkpoint has it: flags and choices as numbers, a seed in hexadecimal. Not of a PATH. */
json_t *pha__option_stored(const pha__option *row, const pha_train_options *o);
/* A stored value as people read it, cut at `size`. */
void pha__option_text(const pha__option *row, const json_t *stored, char *text, size_t size);

#endif
