/* fft.c -- passes of radix 4 down the tree of factors and up again
 *
 * Large nodes are entered one by one, depth first, so that from some size on a subtree stays in the nearest cache.
 */
#include "backend/cpu/fft.h"

#include <math.h>

#include "backend/cpu/simd.h"

enum { Z = 2 * VF, NEAR = 256 }; /* floats of a point; points of a subtree that is done level by level */

typedef struct cvf { /* complex numbers of VF channels */
    vf re, im;
} cvf;

PHA__INLINE cvf load(const float *p) { return (cvf){vf_load(p), vf_load(p + VF)}; }
PHA__INLINE void store(float *p, cvf a) { vf_store(p, a.re), vf_store(p + VF, a.im); }
PHA__INLINE cvf add(cvf a, cvf b) { return (cvf){a.re + b.re, a.im + b.im}; }
PHA__INLINE cvf sub(cvf a, cvf b) { return (cvf){a.re - b.re, a.im - b.im}; }
PHA__INLINE cvf add_i(cvf a, cvf b) { return (cvf){a.re - b.im, a.im + b.re}; } /* a + i b */
PHA__INLINE cvf sub_i(cvf a, cvf b) { return (cvf){a.re + b.im, a.im - b.re}; }
PHA__INLINE cvf factor(const float *w) { return (cvf){vf_set1(w[0]), vf_set1(w[1])}; }
PHA__INLINE cvf times(cvf a, cvf w)
{
    return (cvf){vf_fma(a.re, w.re, -(a.im * w.im)), vf_fma(a.re, w.im, a.im * w.re)};
}
PHA__INLINE cvf times_conj(cvf a, cvf w)
{
    return (cvf){vf_fma(a.re, w.re, a.im * w.im), vf_fma(a.im, w.re, -(a.re * w.im))};
}

/* ---- the table: of each node w, w^2, w^3 with w = c^(1/4), level by level; then of the leaves of two ---- */

enum { NODE = 6 }; /* floats */

static int64_t levels4(int64_t n) /* passes of radix 4 */
{
    int64_t k = 0;
    for (; n >= 4; n /= 4) k++;
    return k;
}

static int64_t nodes_above(int64_t level) { return (((int64_t)1 << 2 * level) - 1) / 3; }

/* c of node j of a level is exp(2 pi i angle) */
static double angle(int64_t level, int64_t j)
{
    double a = 0.25;
    for (int64_t k = level - 1; k >= 0; k--) a = (a + (double)(j >> 2 * k & 3)) / 4;
    return a;
}

static void root(float *out, double turns)
{
    out[0] = (float)cos(2 * M_PI * turns);
    out[1] = (float)sin(2 * M_PI * turns);
}

void pha__fft_table(float *table, int64_t n)
{
    int64_t levels = levels4(n);
    for (int64_t level = 0; level < levels; level++) {
        for (int64_t j = 0; j < (int64_t)1 << 2 * level; j++) {
            double a = angle(level, j) / 4;
            for (int k = 0; k < 3; k++) root(table + (nodes_above(level) + j) * NODE + 2 * k, (k + 1) * a);
        }
    }
    float *leaf = table + nodes_above(levels) * NODE;
    bool two = (int64_t)1 << 2 * levels != n;
    for (int64_t j = 0; two && j < n / 2; j++) root(leaf + 2 * j, angle(levels, j) / 2);
}

/* ---- passes ---- */

/* One node of 4 m points: block q of m points is a_q, and becomes child q. */
PHA__INLINE void down(float *z, int64_t m, const float *node)
{
    cvf w1 = factor(node), w2 = factor(node + 2), w3 = factor(node + 4);
    float *z1 = z + m * Z, *z2 = z1 + m * Z, *z3 = z2 + m * Z;
    for (int64_t p = 0; p < m * Z; p += Z) {
        cvf a0 = load(z + p), a1 = times(load(z1 + p), w1), a2 = times(load(z2 + p), w2), a3 = times(load(z3 + p), w3);
        cvf even = add(a0, a2), odd = add(a1, a3), even2 = sub(a0, a2), odd2 = sub(a1, a3);
        store(z + p, add(even, odd));
        store(z1 + p, add_i(even2, odd2));
        store(z2 + p, sub(even, odd));
        store(z3 + p, sub_i(even2, odd2));
    }
}

PHA__INLINE void up(float *z, int64_t m, const float *node)
{
    cvf w1 = factor(node), w2 = factor(node + 2), w3 = factor(node + 4);
    float *z1 = z + m * Z, *z2 = z1 + m * Z, *z3 = z2 + m * Z;
    for (int64_t p = 0; p < m * Z; p += Z) {
        cvf b0 = load(z + p), b1 = load(z1 + p), b2 = load(z2 + p), b3 = load(z3 + p);
        cvf even = add(b0, b2), odd = add(b1, b3), even2 = sub(b0, b2), odd2 = sub(b1, b3);
        store(z + p, add(even, odd));
        store(z1 + p, times_conj(sub_i(even2, odd2), w1));
        store(z2 + p, times_conj(sub(even, odd), w2));
        store(z3 + p, times_conj(add_i(even2, odd2), w3));
    }
}

/* Leaves of two points. */
static void down2(float *z, int64_t nodes, const float *w)
{
    for (int64_t j = 0; j < nodes; j++, z += 2 * Z, w += 2) {
        cvf a = load(z), b = times(load(z + Z), factor(w));
        store(z, add(a, b));
        store(z + Z, sub(a, b));
    }
}

static void up2(float *z, int64_t nodes, const float *w)
{
    for (int64_t j = 0; j < nodes; j++, z += 2 * Z, w += 2) {
        cvf a = load(z), b = load(z + Z);
        store(z, add(a, b));
        store(z + Z, times_conj(sub(a, b), factor(w)));
    }
}

/* ---- walking the tree; h is the number of the node in the table, n its points ---- */

typedef struct tree {
    const float *nodes, *leaves;
    int64_t first_leaf; /* number of the first node that has leaves of two */
} tree;

static tree tree_of(const float *table, int64_t n)
{
    int64_t above = nodes_above(levels4(n));
    return (tree){table, table + above * NODE, above};
}

/* Of node h the first descendant that is `level` levels below. */
static int64_t below(int64_t h, int64_t level) { return (h << 2 * level) + nodes_above(level); }

static void walk_down(float *z, const tree *t, int64_t h, int64_t n)
{
    if (n > NEAR) {
        down(z, n / 4, t->nodes + h * NODE);
        for (int k = 0; k < 4; k++) walk_down(z + k * (n / 4) * Z, t, 4 * h + 1 + k, n / 4);
        return;
    }
    int64_t levels = levels4(n), nodes = 1;
    for (int64_t level = 0; level < levels; level++, nodes *= 4) {
        int64_t size = n / nodes;
        const float *node = t->nodes + below(h, level) * NODE;
        for (int64_t j = 0; j < nodes; j++) down(z + j * size * Z, size / 4, node + j * NODE);
    }
    if (nodes != n) down2(z, nodes, t->leaves + 2 * (below(h, levels) - t->first_leaf));
}

static void walk_up(float *z, const tree *t, int64_t h, int64_t n)
{
    if (n > NEAR) {
        for (int k = 0; k < 4; k++) walk_up(z + k * (n / 4) * Z, t, 4 * h + 1 + k, n / 4);
        up(z, n / 4, t->nodes + h * NODE);
        return;
    }
    int64_t levels = levels4(n), nodes = (int64_t)1 << 2 * levels;
    if (nodes != n) up2(z, nodes, t->leaves + 2 * (below(h, levels) - t->first_leaf));
    for (int64_t level = levels; level-- > 0;) {
        nodes /= 4;
        int64_t size = n / nodes;
        const float *node = t->nodes + below(h, level) * NODE;
        for (int64_t j = 0; j < nodes; j++) up(z + j * size * Z, size / 4, node + j * NODE);
    }
}

/* ---- the root, where x is real ---- */

PHA__INLINE cvf scaled(vf a, cvf w) { return (cvf){a * w.re, a * w.im}; }

void pha__fft_real(float *z, const float *x, const float *table, int64_t n)
{
    int64_t m = n / 4;
    cvf w1 = factor(table), w2 = factor(table + 2), w3 = factor(table + 4);
    for (int64_t k = 0; k < m; k++) {
        cvf a0 = {vf_load(x + k * VF), vf_zero()}, a1 = scaled(vf_load(x + (k + m) * VF), w1);
        cvf a2 = scaled(vf_load(x + (k + 2 * m) * VF), w2), a3 = scaled(vf_load(x + (k + 3 * m) * VF), w3);
        cvf even = add(a0, a2), odd = add(a1, a3), even2 = sub(a0, a2), odd2 = sub(a1, a3);
        store(z + k * Z, add(even, odd));
        store(z + (k + m) * Z, add_i(even2, odd2));
        store(z + (k + 2 * m) * Z, sub(even, odd));
        store(z + (k + 3 * m) * Z, sub_i(even2, odd2));
    }
    tree t = tree_of(table, n);
    for (int k = 0; k < 4 && m > 1; k++) walk_down(z + k * m * Z, &t, 1 + k, m);
}

void pha__fft_real_back(float *x, float *z, const float *table, int64_t n)
{
    int64_t m = n / 4;
    tree t = tree_of(table, n);
    for (int k = 0; k < 4 && m > 1; k++) walk_up(z + k * m * Z, &t, 1 + k, m);
    cvf w1 = factor(table), w2 = factor(table + 2), w3 = factor(table + 4);
    for (int64_t k = 0; k < m; k++) {
        cvf b0 = load(z + k * Z), b1 = load(z + (k + m) * Z), b2 = load(z + (k + 2 * m) * Z);
        cvf b3 = load(z + (k + 3 * m) * Z);
        cvf even = add(b0, b2), odd = add(b1, b3), even2 = sub(b0, b2), odd2 = sub(b1, b3);
        vf_store(x + k * VF, even.re + odd.re);
        vf_store(x + (k + m) * VF, times_conj(sub_i(even2, odd2), w1).re);
        vf_store(x + (k + 2 * m) * VF, times_conj(sub(even, odd), w2).re);
        vf_store(x + (k + 3 * m) * VF, times_conj(add_i(even2, odd2), w3).re);
    }
}
