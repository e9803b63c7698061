/* sample.h -- the choice of the next token, as a pure function of logits, options, seed and count */
#ifndef PHA__SAMPLE_H
#define PHA__SAMPLE_H

#include "pha.h"

typedef struct pha__choice {
    double value; /* the logit, later its weight */
    int32_t id;
} pha__choice;

/* The logarithm of the sum of exponentials, in order of ids; *top: the first of the largest. */
double pha__log_sum(const float *logits, int32_t n, int32_t *top);

pha_status pha__sample_check(const pha_sample_options *o); /* ranges */

/* However small a penalty and large a bias is: of values that are infinite no draw could be made. */
static inline double pha__bounded(double value) { return value < 1e300 ? value : 1e300; }

/* A draw where no option but the temperature and a few biases changes anything; u is uniform in [0, 1), sums has room
 * for V / 64 + 1 numbers. False: there is a doubt, or logits that no draw can be made of. */
bool pha__draw_is_plain(const pha_sample_options *o, int32_t V);
bool pha__draw_soon(int32_t *id, const float *logits, int32_t V, const pha_sample_options *o, double u, double *sums);

/* pha_sample, of checked options; `work` has room for as many choices as there are ids. */
pha_status pha__draw(int32_t *id, const pha_draw *d, pha__choice *work);
/* A draw of what is given here alone. */
pha_status pha__sample(int32_t *id, const float *logits, int32_t V, const pha_sample_options *o, const int32_t *recent,
                       size_t n_recent, uint64_t count, pha__choice *work);

#endif
