/* eval.h -- the options of pha eval, and the parts of the command that lie in files of their own */
#ifndef CLI_EVAL_H
#define CLI_EVAL_H

#include "command.h"

typedef struct EvalOptions {
    pha_eval_options o;
    const char *tokens, *logits, *task, *scores;
    const char *svg;
    int64_t max_items;
    bool by_position, json, quiet, branches;
} EvalOptions;

/* eval_task.c: --task. Returns the exit code. */
int eval_task(Call *call, const EvalOptions *a);
/* eval_positions.c: --by-position */
int eval_positions(Call *call, const EvalOptions *a);

/* "name               value": a line of a result; NaN: why there is none. */
void eval_print_real(const char *name, double value, int decimals, const char *unit);

#endif
