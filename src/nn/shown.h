/* shown.h -- the parts of a model that tables list, and the names under which pieces show something
 *
 * These are those of the pieces of this room, in the order in which people see them. An architecture may bring its own:
 * a constant part or row beside its block, which then follow these.
 */
#ifndef PHA__SHOWN_H
#define PHA__SHOWN_H

#include "program/watch.h"

enum {
    PHA__PART_EMBEDDING,
    PHA__PART_ATTENTION,
    PHA__PART_GSS,
    PHA__PART_AUX,
    PHA__PART_FFN,
    PHA__PART_NORMS,
    PHA__PART_MIXING,
    PHA__PARTS
};
extern const pha__part pha__parts[PHA__PARTS];

enum {
    PHA__SHOW_HORIZON,
    PHA__SHOW_GATE_MEAN,
    PHA__SHOW_BRANCH_RMS,
    PHA__SHOW_ATTN_SCALE,
    PHA__SHOW_MIX,
    PHA__SHOW_MIX_SCALED,
    PHA__SHOW_MIX_SHARE,
    PHA__SHOWN
};
extern const pha__watch_row pha__shown[PHA__SHOWN];

const char *pha__label_title(const pha__watch_row *row, const char *key); /* the key itself where it is not known */
int pha__label_order(const pha__watch_row *row, const char *key);         /* of unknown ones: behind all known */

#endif
