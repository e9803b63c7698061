/* fit.c -- Levenberg and Marquardt's method over the logarithms of the five numbers, so that all stay positive, from
 * many starts: the valley is flat in the exponents */
#include "runtime/repro/fit.h"

#include <math.h>
#include <string.h>


enum { NUMBERS = 5, STEPS = 300 }; /* E, A, alpha, B, beta */

typedef struct problem {
    const pha__point *points;
    size_t n, left_out; /* left_out: this one does not count */
    double n0, d0;
} problem;

/* ln L and its slopes at ln of the numbers. */
static double model(const double *x, double u, double v, double *slope)
{
    double e = exp(x[0]), alpha = exp(x[2]), beta = exp(x[4]);
    double a = exp(x[1] - alpha * u), b = exp(x[3] - beta * v), sum = e + a + b;
    if (slope) {
        slope[0] = e / sum, slope[1] = a / sum, slope[2] = -alpha * u * a / sum;
        slope[3] = b / sum, slope[4] = -beta * v * b / sum;
    }
    return log(sum);
}

/* The sum of squares; with normal: J^T J and J^T r. */
static double squares(const problem *p, const double *x, double normal[NUMBERS][NUMBERS], double *right)
{
    double sum = 0, slope[NUMBERS];
    if (normal) memset(normal, 0, sizeof(double[NUMBERS][NUMBERS])), memset(right, 0, sizeof(double[NUMBERS]));
    for (size_t i = 0; i < p->n; i++) {
        if (i == p->left_out) continue;
        const pha__point *at = &p->points[i];
        double r = log(at->loss) - model(x, log(at->n / p->n0), log(at->d / p->d0), normal ? slope : NULL);
        sum += r * r;
        for (int j = 0; normal && j < NUMBERS; j++) {
            right[j] += slope[j] * r;
            for (int k = 0; k < NUMBERS; k++) normal[j][k] += slope[j] * slope[k];
        }
    }
    return sum;
}

/* Gauss's elimination with pivots; false: singular. */
static bool solve(double m[NUMBERS][NUMBERS], double *x)
{
    for (int k = 0; k < NUMBERS; k++) {
        int best = k;
        for (int i = k + 1; i < NUMBERS; i++)
            if (fabs(m[i][k]) > fabs(m[best][k])) best = i;
        if (fabs(m[best][k]) < 1e-300) return false;
        for (int j = 0; j < NUMBERS; j++) {
            double t = m[k][j];
            m[k][j] = m[best][j], m[best][j] = t;
        }
        double t = x[k];
        x[k] = x[best], x[best] = t;
        for (int i = k + 1; i < NUMBERS; i++) {
            double f = m[i][k] / m[k][k];
            for (int j = k; j < NUMBERS; j++) m[i][j] -= f * m[k][j];
            x[i] -= f * x[k];
        }
    }
    for (int k = NUMBERS - 1; k >= 0; k--) {
        for (int j = k + 1; j < NUMBERS; j++) x[k] -= m[k][j] * x[j];
        x[k] /= m[k][k];
    }
    return true;
}

static double descend(const problem *p, double *x)
{
    double damping = 1e-2, normal[NUMBERS][NUMBERS], right[NUMBERS];
    double now = squares(p, x, normal, right);
    for (int step = 0; step < STEPS && damping < 1e12; step++) {
        double m[NUMBERS][NUMBERS], d[NUMBERS], next[NUMBERS];
        memcpy(m, normal, sizeof m), memcpy(d, right, sizeof d);
        for (int i = 0; i < NUMBERS; i++) m[i][i] += damping * (normal[i][i] + 1e-12);
        if (!solve(m, d)) break;
        for (int i = 0; i < NUMBERS; i++) next[i] = x[i] + fmax(-1, fmin(1, d[i]));
        double there = squares(p, next, NULL, NULL);
        if (!(there < now)) {
            damping *= 4;
            continue;
        }
        bool done = now - there < 1e-16;
        memcpy(x, next, sizeof next);
        damping = fmax(damping / 3, 1e-12);
        now = squares(p, x, normal, right);
        if (done) break;
    }
    return now;
}

static double least_loss(const problem *p)
{
    double least = INFINITY;
    for (size_t i = 0; i < p->n; i++)
        if (i != p->left_out) least = fmin(least, p->points[i].loss);
    return least;
}

static double best_of_starts(const problem *p, double *best)
{
    static const double shares[] = {0.2, 0.5, 0.8}, exponents[] = {0.1, 0.3, 0.6};
    double least = INFINITY, loss = least_loss(p);
    for (int i = 0; i < 27; i++) {
        double share = shares[i % 3], rest = (1 - share) * loss / 2;
        double x[NUMBERS] = {log(share * loss), log(rest), log(exponents[i / 3 % 3]), log(rest),
                             log(exponents[i / 9])};
        double sum = descend(p, x);
        if (sum < least) least = sum, memcpy(best, x, sizeof x);
    }
    return least;
}

static double middle(const pha__point *points, size_t n, bool tokens)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += log(tokens ? points[i].d : points[i].n);
    return exp(sum / (double)n);
}

static size_t different(const pha__point *points, size_t n, bool tokens)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        while (k < i && (tokens ? points[k].d != points[i].d : points[k].n != points[i].n)) k++;
        found += k == i;
    }
    return found;
}

static bool fit_without(pha__fit *fit, const pha__point *points, size_t n, size_t left_out)
{
    problem p = {points, n, left_out, middle(points, n, false), middle(points, n, true)};
    double x[NUMBERS] = {0};
    double sum = best_of_starts(&p, x);
    if (!isfinite(sum)) return false;
    *fit = (pha__fit){exp(x[0]), exp(x[1]), exp(x[2]), exp(x[3]), exp(x[4]), p.n0, p.d0, sqrt(sum / (double)n)};
    return true;
}

static bool enough(const pha__point *points, size_t n)
{
    return n >= PHA__FIT_POINTS && different(points, n, false) >= 3 && different(points, n, true) >= 3;
}

bool pha__fit_loss(pha__fit *fit, const pha__point *points, size_t n)
{
    return enough(points, n) && fit_without(fit, points, n, n);
}

double pha__fit_at(const pha__fit *fit, double n, double d)
{
    return fit->e + fit->a * pow(n / fit->n0, -fit->alpha) + fit->b * pow(d / fit->d0, -fit->beta);
}

bool pha__fit_range(double *low, double *high, const pha__point *points, size_t count, double n, double d)
{
    pha__fit fit;
    *low = INFINITY, *high = -INFINITY;
    for (size_t i = 0; i < count && enough(points, count); i++) {
        if (!fit_without(&fit, points, count, i)) return false;
        double at = pha__fit_at(&fit, n, d);
        *low = fmin(*low, at), *high = fmax(*high, at);
    }
    return *low <= *high;
}
