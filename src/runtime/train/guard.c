/* guard.c -- running mean and deviation of loss and gradient, and what is too far above them */
#include "runtime/train/guard.h"

#include <math.h>

static const double FORGET = 0.02; /* share of the newest step, once there are 50 */

/* A deviation below this is taken for this: 5 % of the loss, a third of a norm. What hardly moves is no yardstick. */
static double floor_of_loss(const pha__guard *g) { return 0.05 * fabs(g->loss.mean); }
static const double floor_of_norm = 0.3;

static double log_of(double norm) { return log(norm + 1e-30); }

/* How far above (or below) its mean a value may lie. */
static double room(const pha__spread *s, double limit, double least) { return limit * fmax(sqrt(s->variance), least); }

bool pha__guard_refuses(const pha__guard *g, double limit, double loss, double norm)
{
    if (!isfinite(loss) || !isfinite(norm)) return true;
    if (!(limit > 0) || g->seen < PHA__GUARD_FROM) return false;
    return loss - g->loss.mean > room(&g->loss, limit, floor_of_loss(g)) ||
           log_of(norm) - g->norm.mean > room(&g->norm, limit, floor_of_norm);
}

/* The first value is the mean; then the mean of all, until the newest has the share of FORGET. */
static void add(pha__spread *s, double x, int64_t n, double limit, double least)
{
    double share = fmax(1 / (double)n, FORGET), most = room(s, limit, least);
    double step = n == 1 ? x - s->mean : fmax(-most, fmin(most, x - s->mean));
    s->mean += share * step;
    s->variance = n == 1 ? 0 : (1 - share) * (s->variance + share * step * step);
}

void pha__guard_see(pha__guard *g, double limit, double loss, double norm)
{
    if (!isfinite(loss) || !isfinite(norm)) return;
    if (!(limit > 0)) limit = 8;
    g->seen++;
    add(&g->loss, loss, g->seen, limit, floor_of_loss(g));
    add(&g->norm, log_of(norm), g->seen, limit, floor_of_norm);
}
