/* run_folder.h -- what lies in the folder of a run, who may write there, and what goes when */
#ifndef PHA__RUN_FOLDER_H
#define PHA__RUN_FOLDER_H

#include "base/place.h"
#include "runtime/train/trainer.h"

/* run_folder.c */
/* May this call train into its folder? A new run begins in an absent or empty one, or where the same command was ended
 * before its first checkpoint; a resumed one goes on where it was. */
pha_status pha__run_check(const pha_train_options *o);
pha_status pha__run_lock(pha__lock *lock, const char *folder); /* one process per run folder */
/* Removes what killed processes left half made, as far as it is plainly ours. Under the lock. */
void pha__run_sweep(const char *folder);
/* Has a run made steps here? *what names what shows it. */
pha_status pha__run_has_history(const char *folder, const char **what);

/* generations.c: the checkpoint of a run is there twice, checkpoint/ and, an evaluation older, checkpoint.previous/. */
extern const pha__kind pha__checkpoint_kind;
pha_status pha__checkpoint_save(pha_trainer *t);
/* From the newer one that is whole; *loaded: there was one. PHA_BAD_INPUT for a run that has lost both. */
pha_status pha__checkpoint_load(pha_trainer *t, bool *loaded);

/* prune.c: removes the snapshots in best/ that neither the trainer nor the checkpoint `previous` names any more. */
pha_status pha__prune_snapshots(const pha_trainer *t, const char *previous);

#endif
