/* origin.h -- what a checkpoint tells of the run that wrote it, and what is said when it goes on otherwise */
#ifndef PHA__ORIGIN_H
#define PHA__ORIGIN_H

#include "runtime/train/trainer.h"

/* Adds "identity" and "course" to the checkpoint's object. */
void pha__origin_write(const pha_trainer *t, json_t **json);
/* BAD_INPUT: something is another that has to be the same (PHA__FIXED). path: of the file, for messages. */
pha_status pha__origin_check(const pha_trainer *t, const json_t *json, const char *path);
/* Tells the log everything else that is another now. What an older checkpoint does not say is taken to be the same,
 * unless it is known what it was. */
void pha__origin_tell(const pha_trainer *t, const json_t *json, const char *path);

/* All of it, and the build, is the same on all ranks: the first difference from the leading one is told. By all ranks
 * together. */
pha_status pha__origin_compare(const pha_trainer *t);

#endif
