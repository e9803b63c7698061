/* law.c -- the loss to be expected
 *
 * How hard a text is, counts of three tokens in a row say (ngram.h), and they say it anew for each amount of it. A
 * model comes so near to them as its size lets it, and what it reads, and what it reads again:
 *
 *     L = C(distinct) (LEVEL + TOKENS (tokens / 1e6)^-0.4 + AGAIN (1 - distinct / tokens))
 *         + C(1e6) BODY (body / 1e5)^-0.5
 *
 * The numbers are least squares over the runs in bench/new/runs.json; bench/new/fit.py prints them, and how far off
 * each text is by the numbers of the others.
 */
#include <math.h>

#include "runtime/new/new.h"

static const double LEVEL = 0.8900, BODY = 0.1452, TOKENS = 0.0329, AGAIN = -0.1093;
const double pha__law_error = 0.04;

double pha__law(const pha__law_point *at)
{
    double again = at->tokens > at->distinct ? 1 - at->distinct / at->tokens : 0;
    double reading = LEVEL + TOKENS * pow(at->tokens / 1e6, -0.4) + AGAIN * again;
    return at->counts * reading + at->counts_million * BODY * pow(at->body / 1e5, -0.5);
}
