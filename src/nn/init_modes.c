/* init_modes.c -- eigenvalues from which a diagonal state space starts (baselines.md 5)
 *
 * LegS: the matrix of HiPPO-LegS is, but for a matrix of rank one, -1/2 and a skew-symmetric matrix, whose eigenvalues
 * are pairs +-i w. Reflections bring that one to three diagonals, b above and -b below; i times it is similar to the
 * symmetric matrix with b on both sides, and the w are its eigenvalues, found by counting signs and halving intervals.
 */
#include <math.h>
#include <string.h>

#include "nn/nn.h"

enum { MOST = 2 * PHA__MODES_MOST }; /* rows of the matrix */

/* a (n, n) skew-symmetric, overwritten; b[k]: element (k, k + 1) of the same with three diagonals, but for signs */
static void reduce(double *a, int n, double *b)
{
    double v[MOST], p[MOST];
    for (int k = 0; k + 1 < n; k++) {
        double norm = 0;
        for (int i = k + 1; i < n; i++) norm += a[i * n + k] * a[i * n + k];
        norm = sqrt(norm);
        b[k] = norm;
        double first = a[(k + 1) * n + k], size = 0;
        for (int i = k + 1; i < n; i++) v[i] = a[i * n + k] + (i == k + 1 ? (first < 0 ? -norm : norm) : 0);
        for (int i = k + 1; i < n; i++) size += v[i] * v[i];
        if (size == 0) continue;
        for (int i = k + 1; i < n; i++) { /* H a H with H = 1 - 2 v v' / size: a + v p' - p v', p = 2 a v / size */
            p[i] = 0;
            for (int j = k + 1; j < n; j++) p[i] += 2 / size * a[i * n + j] * v[j];
        }
        for (int i = k + 1; i < n; i++)
            for (int j = k + 1; j < n; j++) a[i * n + j] += v[i] * p[j] - p[i] * v[j];
    }
}

/* Eigenvalues below x of the symmetric matrix with zeros on the diagonal and b beside it. */
static int below(const double *b, int n, double x)
{
    int count = 0;
    double q = -x;
    for (int k = 0;; k++) {
        count += q < 0;
        if (k + 1 == n) return count;
        if (fabs(q) < 1e-300) q = -1e-300;
        q = -x - b[k] * b[k] / q;
    }
}

/* The n positive ones of the 2 n eigenvalues, in ascending order. */
static void positive(const double *b, int n, double *w)
{
    double top = 0;
    for (int k = 0; k + 1 < 2 * n; k++) top = fmax(top, 2 * b[k]);
    for (int i = 0; i < n; i++) {
        double low = 0, high = top;
        for (int halving = 0; halving < 120 && high - low > 1e-15 * high; halving++) {
            double middle = (low + high) / 2;
            if (below(b, 2 * n, middle) > n + i) high = middle;
            else low = middle;
        }
        w[i] = (low + high) / 2;
    }
}

/* Imaginary parts of n modes, those of 2 n states; no more than PHA__MODES_MOST. */
static void legs(double *w, int n)
{
    int size = 2 * n;
    double b[MOST], *a = pha__alloc((size_t)size * (size_t)size, sizeof *a);
    memset(w, 0, (size_t)n * sizeof *w);
    if (!a) return;
    for (int i = 0; i < size; i++)
        for (int j = 0; j < size; j++)
            a[i * size + j] = (i > j ? -0.5 : i < j ? 0.5 : 0) * sqrt((2.0 * i + 1) * (2.0 * j + 1));
    reduce(a, size, b);
    positive(b, n, w);
    pha__free(a);
}

static void repeat(float *out, int32_t rows, int32_t width)
{
    for (int32_t r = 1; r < rows; r++) memcpy(out + (int64_t)r * width, out, (size_t)width * sizeof *out);
}

static void fill_rate(float *out, int32_t rows, int32_t width, const double *arg, uint64_t seed, const char *path)
{
    (void)seed, (void)path;
    for (int32_t n = 0; n < width; n++) out[n] = (float)log((int)arg[0] == PHA__MODES_REAL ? n + 1 : 0.5);
    repeat(out, rows, width);
}

static void fill_im(float *out, int32_t rows, int32_t width, const double *arg, uint64_t seed, const char *path)
{
    pha__modes kind = (pha__modes)arg[0];
    double w[PHA__MODES_MOST] = {0}, N = 2.0 * width;
    (void)seed, (void)path;
    if (kind == PHA__MODES_LEGS || kind == PHA__MODES_DSS) legs(w, width < PHA__MODES_MOST ? width : PHA__MODES_MOST);
    for (int32_t n = 0; n < width; n++) {
        if (kind == PHA__MODES_LIN) out[n] = (float)(M_PI * n);
        else if (kind == PHA__MODES_INV) out[n] = (float)(N / M_PI * (N / (2.0 * n + 1) - 1));
        else out[n] = kind == PHA__MODES_REAL || n >= PHA__MODES_MOST ? 0 : (float)w[n];
    }
    repeat(out, rows, width);
}

pha__init pha__init_modes_rate(pha__modes kind)
{
    return kind == PHA__MODES_GSS ? pha__init_normal(1) : (pha__init){fill_rate, {kind}};
}

pha__init pha__init_modes_im(pha__modes kind)
{
    return kind == PHA__MODES_GSS ? pha__init_normal(1) : (pha__init){fill_im, {kind}};
}
