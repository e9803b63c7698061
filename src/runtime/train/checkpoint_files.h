/* checkpoint_files.h -- the numbers of a checkpoint: a file per role, and the states of a run with carry
 *
 * Ranks write and read them together where they all see the leading one's folder (ranks_file.h); else it does so alone,
 * and numbers come to it and go from it by messages. The files are the same.
 */
#ifndef PHA__CHECKPOINT_FILES_H
#define PHA__CHECKPOINT_FILES_H

#include <jansson.h>

#include "runtime/train/trainer.h"

enum { PHA__CHECKPOINT_FILES = 4 };
extern const char *const pha__checkpoint_files[PHA__CHECKPOINT_FILES];

/* By all ranks together. folder: of the leading one, which gets the checksum of each file in *sums. */
pha_status pha__checkpoint_write_files(pha_trainer *t, const char *folder, json_t **sums);
/* json: what trainer.json says of them, at the leading rank. */
pha_status pha__checkpoint_read_files(pha_trainer *t, const char *folder, const json_t *json);

#endif
