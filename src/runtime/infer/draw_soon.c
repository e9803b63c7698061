/* draw_soon.c -- a draw by temperature alone in a fraction of the time, and of the same token
 *
 * The draw is of the first token, from the end, at which the sum of the weights is above u times the sum of all. Sums
 * of blocks come so near to these sums that there is hardly ever a doubt which token that is. Where there is one, the
 * caller makes them in full. The weights here: each within 1e-12 of itself; the sums, here and in full: each of V
 * additions within 2^-53 of what it comes to.
 */
#include <math.h>

#include "backend/backend.h"
#include "runtime/infer/sample.h"

bool pha__draw_is_plain(const pha_sample_options *o, int32_t V)
{
    return o->temperature >= 1e-3 && (o->top_k == 0 || o->top_k >= V) && !(o->top_p > 0 && o->top_p < 1) &&
           o->min_p == 0 && (o->repetition_penalty == 0 || o->repetition_penalty == 1) && o->presence_penalty == 0 &&
           o->frequency_penalty == 0 && o->n_bias == 0;
}

bool pha__draw_soon(int32_t *id, const float *logits, int32_t V, double temperature, double u, double *sums)
{
    int32_t last = (V - 1) / PHA__WEIGH_BLOCK, at = last;
    double top = pha__weigh(logits, V, 1 / temperature, sums), total = 0, sum = 0;
    if (isnan(top)) return false; /* which the caller has words for */
    for (int32_t i = last; i >= 0; i--) total += sums[i];
    double goal = u * total, doubt = 4 * (1e-12 + V * 0x1p-52) * total;
    while (at > 0 && sum + sums[at] <= goal) sum += sums[at--];
    int32_t end = at == last ? V : (at + 1) * PHA__WEIGH_BLOCK;
    for (int32_t i = end; i-- > at * PHA__WEIGH_BLOCK;) {
        double before = sum;
        sum += exp((logits[i] - top) / temperature);
        if (!(sum > goal)) continue;
        *id = i;
        return sum - goal > doubt && (goal - before > doubt || i == V - 1);
    }
    return false;
}
