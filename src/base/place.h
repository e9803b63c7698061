/* place.h -- may a folder be replaced by a new one of its kind?
 *
 * Models, data and checkpoints are written beside their place and swapped in. What stands there goes away, so it must
 * be nothing, an empty folder, or an earlier one of the same kind with nothing else in it.
 */
#ifndef PHA__PLACE_H
#define PHA__PLACE_H

#include <stdbool.h>

#include "base/status.h"

typedef struct pha__kind { /* of folder */
    const char *what;              /* "a model folder", for messages */
    const char *const *needed;     /* names without which it isn't one, ended by NULL */
    bool (*part)(const char *name); /* may a file of this name be in it? */
} pha__kind;

/* PHA_USAGE, with the name that is in the way: not to be replaced. unfinished: a folder that a killed writer may have
 * left, with parts missing and half-written ones. */
pha_status pha__may_replace(const char *folder, const pha__kind *kind, bool unfinished);

#endif
