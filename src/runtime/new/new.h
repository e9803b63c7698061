/* new.h -- own text in one call: what the parts of pha_new share
 *
 *   look.c     the files: how much there is, which they are; the room for what is made of them
 *   ngram.c    how hard the text is
 *   size.c     models from small to large, and the training that goes with each
 *   speed.c    how fast this machine trains one of them
 *   law.c      the loss to be expected
 *   choose.c   of all these the best within the time
 *   plan.c     the plan: all of that for one text
 *   plan_file.c  the plan on disk
 *   new.c      the work itself
 */
#ifndef PHA__NEW_H
#define PHA__NEW_H

#include "base/config.h"
#include "pha.h"
#include "runtime/new/ngram.h"

/* ---- the text -------------------------------------------------------------------------------------------- */

typedef struct pha__look {
    uint64_t files, bytes;
    double text;       /* bytes of text in them, about: some are compressed */
    uint64_t identity; /* a hash of the contents in order, whatever the files are called */
} pha__look;
/* BAD_INPUT: no file, too little. USAGE: `out` would lie in the text. STOPPED: on a stop request. */
pha_status pha__look_at(pha__look *out, const pha_new_options *o);
/* IO: fewer bytes are free where `path` lies, or will. */
pha_status pha__need_room(const char *path, double bytes);

/* ---- models and their training --------------------------------------------------------------------------- */

int pha__rungs(void); /* models from small to large: 0 to this less one */
pha_status pha__rung_config(pha__config *c, int rung, int32_t vocab_size);
/* Context, batch, steps, warm-up, rate and dropout for about so many training tokens; the plan has train_tokens,
 * d_model and parameters. */
void pha__recipe(pha_plan *p, double tokens);

/* Of a training step with the recipe of `p`: bytes of memory, operations per token, parameters. */
pha_status pha__demand(uint64_t *bytes, double *flops, uint64_t *parameters, const pha__config *c, const pha_plan *p);
/* Seconds per token, measured for a second or two. STOPPED: on a stop request. */
pha_status pha__speed(double *seconds, const pha__config *c, const pha_plan *p, uint64_t seed);
int32_t pha__together(int32_t batch); /* sequences that run at once */
int64_t pha__new_glance(const pha_plan *p); /* tokens that are scored now and then on the way */

/* ---- the loss to be expected ----------------------------------------------------------------------------- */

typedef struct pha__law_point {
    double body;     /* parameters without those of the vocabulary */
    double tokens;   /* read in training, */
    double distinct; /* from so many different ones */
    double counts, counts_million; /* pha__ngram_at these, and at 1e6 tokens */
} pha__law_point;
double pha__law(const pha__law_point *at); /* nats per token */
extern const double pha__law_error;        /* relative; three of four are within */

/* ---- the plan -------------------------------------------------------------------------------------------- */

enum { PHA__RUNGS_MOST = 16 };

/* What is known of the rungs on this machine. */
typedef struct pha__ladder {
    int n;
    double memory_free; /* bytes */
    struct {
        double flops;       /* per token; those of training */
        uint64_t bytes, parameters, body; /* body: parameters without those of the vocabulary */
        int32_t d_model, n_layer;
        double seconds;     /* per token, measured; 0: not */
    } rung[PHA__RUNGS_MOST];
} pha__ladder;

/* The rung with the lowest expected loss after `seconds` of training and scoring, into the plan: model, recipe, what is
 * expected. p has the text; rungs without a measurement take as long per operation as the nearest that has one. Returns
 * the rung; -1: none has room in memory. */
int pha__choose(pha_plan *p, const pha__ladder *l, const pha__ngram *n, double seconds, int64_t most_steps);

/* The plan for a data folder; `began`: when the call did, for what has been spent. Fills everything but text_bytes. */
pha_status pha__new_make_plan(pha_plan *p, const pha_new_options *o, const char *data, double began);

/* ---- on disk --------------------------------------------------------------------------------------------- */

typedef struct pha__new_file {
    pha_plan plan;
    pha__look text;
    double minutes;
    int64_t most_steps;
    uint64_t seed;
    double seconds; /* of the calls so far, as far as they came to their end */
    bool complete;
    double loss, token_ppl, bits_per_byte, accuracy; /* of a complete one */
} pha__new_file;
pha_status pha__new_save(const pha__new_file *f, const char *out);
pha_status pha__new_load(pha__new_file *f, const char *out, bool *there);

/* Vocabulary and share of held-out text for so much text and time. */
int32_t pha__new_vocabulary(double bytes, double minutes);
double pha__new_held(double bytes);

#endif
