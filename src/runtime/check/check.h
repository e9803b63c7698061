/* check.h -- pha_check: the promises of docs/spec/numerics.md tried on this machine, for one model
 *
 * What costs little is tried on the model as it is; what costs much (long texts, gradients, training) on a narrow copy:
 * the same architecture and switches with small widths and two layers.
 */
#ifndef PHA__CHECK_H
#define PHA__CHECK_H

#include "base/print.h"
#include "runtime/infer/session.h"

typedef struct pha__check {
    const pha_check_options *o;
    char *work;               /* a folder for files, removed at the end */
    pha_model *model, *small; /* small: the narrow copy, with initial values */
    char *small_config;       /* its file */
    char *data;               /* a data folder for it; NULL: not made yet */
    struct pha__check_text *text; /* of check_stream.c, with an engine over the model; NULL: not opened */
} pha__check;

/* What a check found. `error` of at most `limit` is good; a limit of 0 means equal bits. */
typedef struct pha__finding {
    bool passed;
    double error, limit;
    char text[200]; /* what was tried, or what is wrong */
} pha__finding;

/* Returns OK with a finding; a failure of the library is a finding, too, made of its message (check.c). */
typedef pha_status pha__check_fn(pha__check *c, pha__finding *f);

/* A narrow configuration with everything of c that is no size (check_narrow.c). */
void pha__check_narrow(pha__config *out, const pha__config *c);

enum { PHA__CHECK_VOCAB = 257 }; /* of the narrow copy: bytes and an end token */

/* n random tokens below V. */
void pha__check_tokens(int32_t *ids, int64_t n, int32_t V, uint64_t seed);
double pha__check_random(uint64_t *state); /* [0, 1) */

/* Fills a finding: equal bits, or where they differ. */
void pha__check_same(pha__finding *f, bool same, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* check_stream.c. The first four share a text. */
void pha__check_close_text(pha__check *c);
pha_status pha__try_cuts(pha__check *c, pha__finding *f);
pha_status pha__try_together(pha__check *c, pha__finding *f);
pha_status pha__try_moves(pha__check *c, pha__finding *f);
pha_status pha__try_saved(pha__check *c, pha__finding *f);
pha_status pha__try_long(pha__check *c, pha__finding *f); /* closes that text first */
pha_status pha__try_threads(pha__check *c, pha__finding *f);
pha_status pha__try_isas(pha__check *c, pha__finding *f);
/* check_gradient.c */
pha_status pha__try_gradient(pha__check *c, pha__finding *f);
/* check_train.c */
pha_status pha__try_resume(pha__check *c, pha__finding *f);
pha_status pha__try_training_threads(pha__check *c, pha__finding *f);
/* check_tokenizer.c */
pha_status pha__try_tokenizer(pha__check *c, pha__finding *f);

#endif
