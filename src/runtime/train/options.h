/* options.h -- the options of a training run */
#ifndef PHA__OPTIONS_H
#define PHA__OPTIONS_H

#include "base/mem.h"
#include "pha.h"

/* Fills in the defaults, copies the strings to `memory`, checks the ranges. */
pha_status pha__options_open(pha_train_options *o, pha__arena *memory);

#endif
