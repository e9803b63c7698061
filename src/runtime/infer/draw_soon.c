/* draw_soon.c -- a draw by temperature and a few biases alone in a fraction of the time, and of the same token
 *
 * The draw is of the first token, from the end, at which the sum of the weights is above u times the sum of all. Sums
 * of blocks come so near to these sums that there is hardly ever a doubt which token that is. Where there is one, the
 * caller makes them in full. The weights here: each within 1e-12 of itself; the sums, here and in full: each of V
 * additions within 2^-53 of what it comes to.
 */
#include <math.h>

#include "backend/backend.h"
#include "runtime/infer/sample.h"

enum { FEW = 16 /* biases, each of which has a block summed in full */ };

/* The library's blocks have weights below e^-700 of the largest logit as that: they must not matter. */
static const double LEAST = 1e-280, MOST = 1e300;

bool pha__draw_is_plain(const pha_sample_options *o, int32_t V)
{
    return o->temperature >= 1e-3 && (o->top_k == 0 || o->top_k >= V) && !(o->top_p > 0 && o->top_p < 1) &&
           o->min_p == 0 && (o->repetition_penalty == 0 || o->repetition_penalty == 1) && o->presence_penalty == 0 &&
           o->frequency_penalty == 0 && o->n_bias <= FEW;
}

static double weight(const float *logits, int32_t i, const pha_sample_options *o, double top)
{
    double value = logits[i];
    for (size_t k = 0; k < o->n_bias; k++)
        if (o->bias[k].id == i) value = pha__bounded(value + o->bias[k].value);
    return exp((value - top) / o->temperature);
}

static int32_t end_of(int32_t block, int32_t V)
{
    int32_t rest = V - block * PHA__WEIGH_BLOCK;
    return block * PHA__WEIGH_BLOCK + (rest < PHA__WEIGH_BLOCK ? rest : PHA__WEIGH_BLOCK);
}

/* Blocks with a biased token, again. */
static void weigh_biased(const float *logits, int32_t V, const pha_sample_options *o, double top, double *sums)
{
    for (size_t k = 0; k < o->n_bias; k++) {
        if (o->bias[k].id < 0 || o->bias[k].id >= V) continue; /* no token here */
        int32_t block = o->bias[k].id / PHA__WEIGH_BLOCK;
        sums[block] = 0;
        for (int32_t i = end_of(block, V); i-- > block * PHA__WEIGH_BLOCK;) sums[block] += weight(logits, i, o, top);
    }
}

bool pha__draw_soon(int32_t *id, const float *logits, int32_t V, const pha_sample_options *o, double u, double *sums)
{
    int32_t last = (V - 1) / PHA__WEIGH_BLOCK, at = last;
    double top = pha__weigh(logits, V, 1 / o->temperature, sums), total = 0, sum = 0;
    if (isnan(top)) return false; /* which the caller has words for */
    weigh_biased(logits, V, o, top, sums);
    for (int32_t i = last; i >= 0; i--) total += sums[i];
    if (!(total > LEAST && total < MOST)) return false; /* biases decide everything */
    double goal = u * total, doubt = 4 * (1e-12 + V * 0x1p-52) * total;
    while (at > 0 && sum + sums[at] <= goal) sum += sums[at--];
    for (int32_t i = end_of(at, V); i-- > at * PHA__WEIGH_BLOCK;) {
        double before = sum;
        sum += weight(logits, i, o, top);
        if (!(sum > goal)) continue;
        *id = i;
        return sum - goal > doubt && (goal - before > doubt || i == V - 1);
    }
    return false;
}
