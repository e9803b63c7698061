/* quantize.h -- what smaller weights cost: two models read the same text side by side */
#ifndef PHA__QUANTIZE_H
#define PHA__QUANTIZE_H

#include "runtime/model.h"

/* Fills in what pha_quantize_result has of the measurement. */
pha_status pha__quantize_measure(const pha_model *model, const pha_quantize_options *o, pha_quantize_result *r);

#endif
