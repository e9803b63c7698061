/* place.h -- folders that are written beside their place and swapped in: models, data, checkpoints
 *
 * What stands in the place goes away, so it must be nothing, an empty folder, or an earlier one of the same kind with
 * nothing else in it. One process at a time writes a place.
 */
#ifndef PHA__PLACE_H
#define PHA__PLACE_H

#include <stdbool.h>

#include "base/fs.h"

typedef struct pha__kind { /* of folder */
    const char *what;              /* "a model folder", for messages */
    const char *const *needed;     /* names without which it isn't one, ended by NULL */
    bool (*part)(const char *name); /* may a file of this name be in it? */
} pha__kind;

/* PHA_USAGE, with the name that is in the way: not to be replaced. unfinished: a folder that a killed writer may have
 * left, with parts missing and half-written ones. */
pha_status pha__may_replace(const char *folder, const pha__kind *kind, bool unfinished);

/* Removes what a killed writer left: a folder (not a link) with nothing in it that is not of its kind. Anything else
 * stays, and so does the recorded message. */
void pha__sweep(const char *folder, const pha__kind *kind);

/* Locks the place DIR/NAME by DIR/.NAME.lock; DIR is made if need be. PHA_USAGE: "NAME: `who` is writing it". */
pha_status pha__place_lock(pha__lock *lock, const char *place, const char *who);

/* What a replacement of this place that was broken off left goes back, or away. The caller has the place's lock. */
pha_status pha__place_settle(const char *place, const pha__kind *kind);

/* A place being written: locked by DIR/.NAME.lock, checked, and swept; the new folder is made as DIR/NAME.writing. */
typedef struct pha__claim {
    char *to, *beside; /* behind links */
    pha__lock lock;
} pha__claim;
pha_status pha__claim_open(pha__claim *claim, const char *folder, const pha__kind *kind);
pha_status pha__claim_commit(pha__claim *claim); /* `beside` takes the place */
void pha__claim_close(pha__claim *claim);        /* what was not committed goes; a zeroed claim is allowed */

#endif
