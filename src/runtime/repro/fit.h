/* fit.h -- loss against parameters and tokens: L(N, D) = E + A / N^alpha + B / D^beta (Hoffmann et al., arXiv
 * 2203.15556, Eq. 2), by least squares of ln L */
#ifndef PHA__FIT_H
#define PHA__FIT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct pha__point {
    double n, d, loss; /* parameters, tokens, nats */
} pha__point;

typedef struct pha__fit {
    double e, a, alpha, b, beta; /* a and b at N = n0, D = d0: A = a n0^alpha */
    double n0, d0;
    double rms; /* of ln L */
} pha__fit;

enum { PHA__FIT_POINTS = 6 }; /* at least; of three N and three D */

/* False: too few points for five numbers. */
bool pha__fit_loss(pha__fit *fit, const pha__point *points, size_t n);
double pha__fit_at(const pha__fit *fit, double n, double d);
/* The range of what is said of (n, d) when each point in turn is left out: how far single runs decide it. False: too
 * few points. */
bool pha__fit_range(double *low, double *high, const pha__point *points, size_t count, double n, double d);

#endif
