/* ssm_modes_cpu.c -- K from modes, and gradients of modes from dK (algorithms.md 2.1, 2.4)
 *
 * Everything that belongs to a mode is computed in double. Powers for l = 64 i + j are products of two factors, both
 * from double: those of j in a table, those of i, with w, in another; then
 *
 *   K[64 i + j] = Re sum_n (w_n E_n^(64 i)) E_n^j,     E_n = e^(lambda_n D)
 *   m0_n = sum_l dK[l] E_n^l = sum_i E_n^(64 i) sum_j dK[64 i + j] E_n^j,     m1_n = sum_l l dK[l] E_n^l likewise
 *
 * are sums of products in fp32 over 32 modes or 64 steps, and sums of those in double. Where all channels have the same
 * modes and steps, a factor is the same in all lanes.
 */
#include "ops/ssm/ssm_modes.h"

#include <math.h>

#include "backend/cpu/exp_complex.h"
#include "backend/cpu/rows.h"

enum { ALL = MODES * CH, AT_ONCE = 4 }; /* numbers of a block of modes; values of i done together */

typedef struct complexes { /* [n][CH] */
    double re[ALL], im[ALL];
} complexes;

typedef struct block {
    int64_t first, n;                  /* modes [first, first + n) */
    int64_t channel, channels;         /* of this group */
    bool same;                         /* modes and steps are those of all channels: lanes of lambda, z, e are equal */
    double dt[CH];
    complexes lambda, z, e, C, B, w;   /* z = lambda D, e = e^z - 1, w = kappa C B e / lambda */
    complexes step, power;             /* e^(64 z), and its i-th power */
    complexes m0, m1;
    float table[STEPS * MODES * 2 * CH]; /* e^(j z): [j][n][re, im][CH], or without lanes */
    float front[AT_ONCE * MODES * 2 * CH]; /* w e^(64 i z); backward: sums over j, [4][n][CH] */
    double out[2][ALL];
} block;

size_t pha__ssm_modes_scratch(void) { return sizeof(block); }

/* ---- complex arithmetic over a block ---- */

#define EACH(k) (int k = 0; k < ALL; k++)

/* out = a b, which may be the same */
static void multiply(complexes *out, const complexes *a, const complexes *b)
{
    for EACH (k) {
        double re = a->re[k] * b->re[k] - a->im[k] * b->im[k], im = a->re[k] * b->im[k] + a->im[k] * b->re[k];
        out->re[k] = re, out->im[k] = im;
    }
}

static void divide(complexes *out, const complexes *a, const complexes *b)
{
    for EACH (k) {
        double s = 1 / (b->re[k] * b->re[k] + b->im[k] * b->im[k]);
        double re = a->re[k] * b->re[k] + a->im[k] * b->im[k], im = a->im[k] * b->re[k] - a->re[k] * b->im[k];
        out->re[k] = re * s, out->im[k] = im * s;
    }
}

/* ---- loading ---- */

static double between(double x, double limit) { return x > limit ? limit : x < -limit ? -limit : x; } /* NaN stays */

/* One parameter as [n][CH]; what does not exist becomes `absent`. */
static void load(const pha__view *v, const block *b, double absent, double *out)
{
    float buffer[MODES];
    for EACH (k) out[k] = absent;
    if (!v->data) return;
    for (int64_t c = 0; c < CH; c++) {
        if (v->rows > 1 && c >= b->channels) break;
        const float *row = pha__row_in(v, v->rows > 1 ? b->channel + c : 0, b->first, b->n, buffer);
        for (int64_t n = 0; n < b->n; n++) out[n * CH + c] = row[n];
    }
}

static void load_dt(const pha__view *v, block *b)
{
    float buffer[CH];
    for (int c = 0; c < CH; c++) b->dt[c] = 1;
    if (!v->data) return;
    const float *row = pha__row_in(v, 0, b->channel, b->channels, buffer);
    for (int64_t c = 0; c < b->channels; c++) b->dt[c] = exp(between(row[c], 100));
}

/* Logarithms beyond +-100 count as that, and phases beyond a million: then nothing overflows. */
static void load_lambda(const pha__args *a, block *b)
{
    load(&a->in[PHA__SSM_RATE], b, 0, b->lambda.re);
    load(&a->in[PHA__SSM_IM], b, 0, b->lambda.im);
    if (((const pha__ssm_attr *)a->attr)->log_im) {
        double zero[ALL] = {0}, none[ALL];
        /* e^x = 1 / (1 + (e^-x - 1)) for x > 0 */
        for EACH (k) none[k] = -fabs(between(b->lambda.im[k], 100));
        pha__expm1_complex(ALL, none, zero, none, zero);
        for EACH (k) b->lambda.im[k] = b->lambda.im[k] > 0 ? 1 / (1 + none[k]) : 1 + none[k];
    }
    for EACH (k) b->lambda.re[k] = -exp(between(b->lambda.re[k], 100));
}

/* Modes [first, ...) of group g, with w. */
static void open_block(const pha__args *a, int64_t g, int64_t first, block *b)
{
    int64_t N = a->in[PHA__SSM_C_RE].width, P = a->out.width;
    double kappa = ((const pha__ssm_attr *)a->attr)->kappa;
    b->first = first, b->n = N - first < MODES ? N - first : MODES;
    b->channel = g * CH, b->channels = P - g * CH < CH ? P - g * CH : CH;
    b->same = pha__ssm_shared(a) && !a->in[PHA__SSM_LOG_DT].data;
    load_dt(&a->in[PHA__SSM_LOG_DT], b);
    load_lambda(a, b);
    for EACH (k) {
        b->z.re[k] = b->lambda.re[k] * b->dt[k % CH];
        b->z.im[k] = between(b->lambda.im[k] * b->dt[k % CH], 1e6);
    }
    pha__expm1_complex(ALL, b->z.re, b->z.im, b->e.re, b->e.im);
    load(&a->in[PHA__SSM_C_RE], b, 0, b->C.re);
    load(&a->in[PHA__SSM_C_IM], b, 0, b->C.im);
    load(&a->in[PHA__SSM_B_RE], b, 1, b->B.re);
    load(&a->in[PHA__SSM_B_IM], b, 0, b->B.im);
    divide(&b->w, &b->e, &b->lambda);
    multiply(&b->w, &b->w, &b->C);
    multiply(&b->w, &b->w, &b->B);
    for EACH (k) b->w.re[k] *= kappa, b->w.im[k] *= kappa;
}

static void open_powers(block *b)
{
    complexes *e = &b->power, one;
    for EACH (k) one.re[k] = 1 + b->e.re[k], one.im[k] = b->e.im[k], e->re[k] = 1, e->im[k] = 0;
    for (int j = 0; j < STEPS; j++) {
        for (int n = 0; n < MODES; n++) {
            float *to = b->table + (j * MODES + n) * 2 * (b->same ? 1 : CH);
            for (int c = 0; c < (b->same ? 1 : CH); c++) {
                to[c] = (float)e->re[n * CH + c];
                to[(b->same ? 1 : CH) + c] = (float)e->im[n * CH + c];
            }
        }
        multiply(e, e, &one);
    }
    b->step = *e;
    for EACH (k) e->re[k] = 1, e->im[k] = 0;
}

void pha__ssm_recurrence(const pha__args *a, int64_t g, float *m, float *w, void *scratch)
{
    block *b = scratch;
    int64_t N = a->in[PHA__SSM_C_RE].width, all = (N + PHA__SSM_MODES - 1) / PHA__SSM_MODES * PHA__SSM_MODES;
    for (int64_t first = 0; first < N; first += MODES) {
        open_block(a, g, first, b);
        for (int64_t n = first; n < all && n < first + MODES; n++) {
            for (int c = 0; c < CH; c++) {
                int64_t k = (n - first) * CH + c, to = n * 2 * CH + c;
                m[to] = (float)b->e.re[k], m[to + CH] = (float)b->e.im[k];
                w[to] = (float)b->w.re[k], w[to + CH] = (float)b->w.im[k];
            }
        }
    }
}

/* ---- K ---- */

PHA__INLINE vf factor(const float *p, bool same) { return same ? vf_set1(*p) : vf_load(p); }

/* K[64 i + j], K[64 i + j + 1] of AT_ONCE values of i, for VF channels: K += Re sum_n front table. K of the next i is
 * 64 rows on; `rows` of them exist. */
PHA__INLINE void add_modes(float *K, const float *front, const float *table, int64_t rows, bool same)
{
    const int lanes = same ? 1 : CH;
    vf sum[2][AT_ONCE];
    for (int j = 0; j < 2; j++)
        for (int i = 0; i < AT_ONCE; i++)
            sum[j][i] = i < rows ? vf_load(K + (i * STEPS + j) * VF) : vf_zero();
    for (int n = 0; n < MODES; n++) {
        const float *t0 = table + n * 2 * lanes, *t1 = t0 + MODES * 2 * lanes, *f = front + n * 2 * CH;
        vf re0 = factor(t0, same), im0 = -factor(t0 + lanes, same);
        vf re1 = factor(t1, same), im1 = -factor(t1 + lanes, same);
        for (int i = 0; i < AT_ONCE; i++, f += MODES * 2 * CH) {
            vf wr = vf_load(f), wi = vf_load(f + CH);
            sum[0][i] = vf_fma(wi, im0, vf_fma(wr, re0, sum[0][i]));
            sum[1][i] = vf_fma(wi, im1, vf_fma(wr, re1, sum[1][i]));
        }
    }
    for (int j = 0; j < 2; j++)
        for (int i = 0; i < AT_ONCE && i < rows; i++) vf_store(K + (i * STEPS + j) * VF, sum[j][i]);
}

static void add_block(float *K, int64_t points, int64_t rows, const block *b)
{
    const int lanes = b->same ? 1 : CH;
    for (int v = 0; v < CH; v += VF) {
        float *to = K + v * points;
        for (int j = 0; j < STEPS; j += 2) {
            const float *table = b->table + j * MODES * 2 * lanes + (b->same ? 0 : v);
            if (b->same) add_modes(to + j * VF, b->front + v, table, rows, true);
            else add_modes(to + j * VF, b->front + v, table, rows, false);
        }
    }
}

/* front = w e^(64 i z) for the next AT_ONCE values of i */
static void next_front(block *b)
{
    complexes p;
    for (int i = 0; i < AT_ONCE; i++) {
        multiply(&p, &b->w, &b->power);
        multiply(&b->power, &b->power, &b->step);
        for (int n = 0; n < MODES; n++) {
            float *to = b->front + (i * MODES + n) * 2 * CH;
            for (int c = 0; c < CH; c++) to[c] = (float)p.re[n * CH + c], to[CH + c] = (float)p.im[n * CH + c];
        }
    }
}

void pha__ssm_make(const pha__args *a, int64_t g, float *K, int64_t points, void *scratch)
{
    block *b = scratch;
    int64_t N = a->in[PHA__SSM_C_RE].width, rows = (a->T + STEPS - 1) / STEPS;
    memset(K, 0, (size_t)(points * CH) * sizeof *K);
    for (int64_t first = 0; first < N; first += MODES) {
        open_block(a, g, first, b);
        open_powers(b);
        for (int64_t i = 0; i < rows; i += AT_ONCE) {
            next_front(b);
            add_block(K + i * STEPS * VF, points, rows - i, b);
        }
    }
}

/* ---- gradients ---- */

/* sums[q][n] of modes n, n + 1 over j: dK E^j (q = 0, 1), j dK E^j (q = 2, 3), for VF channels */
PHA__INLINE void sum_steps(float *sums, const float *dK, const float *j_dK, const float *table, bool same)
{
    const int lanes = same ? 1 : CH;
    vf s[2][4] = {{vf_zero()}};
    for (int j = 0; j < STEPS; j++, table += MODES * 2 * lanes) {
        vf d0 = vf_load(dK + j * VF), d1 = vf_load(j_dK + j * VF);
        for (int n = 0; n < 2; n++) {
            vf re = factor(table + n * 2 * lanes, same), im = factor(table + (n * 2 + 1) * lanes, same);
            s[n][0] = vf_fma(d0, re, s[n][0]), s[n][1] = vf_fma(d0, im, s[n][1]);
            s[n][2] = vf_fma(d1, re, s[n][2]), s[n][3] = vf_fma(d1, im, s[n][3]);
        }
    }
    for (int n = 0; n < 2; n++)
        for (int q = 0; q < 4; q++) vf_store(sums + q * ALL + n * CH, s[n][q]);
}

/* m0, m1 of all modes of the block */
static void add_moments(block *b, const float *dK, int64_t points, int64_t rows)
{
    const int lanes = b->same ? 1 : CH;
    memset(&b->m0, 0, sizeof b->m0);
    memset(&b->m1, 0, sizeof b->m1);
    for (int64_t i = 0; i < rows; i++) {
        for (int v = 0; v < CH; v += VF) {
            const float *d = dK + v * points + i * STEPS * VF;
            float j_d[STEPS * VF];
            for (int k = 0; k < STEPS * VF; k++) j_d[k] = (float)(k / VF) * d[k];
            for (int n = 0; n < MODES; n += 2) {
                const float *table = b->table + n * 2 * lanes + (b->same ? 0 : v);
                if (b->same) sum_steps(b->front + n * CH + v, d, j_d, table, true);
                else sum_steps(b->front + n * CH + v, d, j_d, table, false);
            }
        }
        const float *s = b->front;
        double first = (double)(i * STEPS);
        for EACH (k) {
            double pr = b->power.re[k], pi = b->power.im[k], re = s[k], im = s[ALL + k];
            double re1 = first * re + s[2 * ALL + k], im1 = first * im + s[3 * ALL + k];
            b->m0.re[k] += pr * re - pi * im, b->m0.im[k] += pr * im + pi * re;
            b->m1.re[k] += pr * re1 - pi * im1, b->m1.im[k] += pr * im1 + pi * re1;
        }
        multiply(&b->power, &b->power, &b->step);
    }
}

/* (z e^z - e^z + 1) / z^2 = sum_k (k + 1) / (k + 2)! z^k, which is near 1/2 where the numerator cancels. */
static void slope(complexes *out, const complexes *z, const complexes *e)
{
    static const double series[] = {7 / 40320.0, 6 / 5040.0, 5 / 720.0, 4 / 120.0, 3 / 24.0, 2 / 6.0, 0.5};
    complexes near = {.re = {0}}, square;
    for (int i = 0; i < 7; i++) {
        if (i) multiply(&near, &near, z);
        for EACH (k) near.re[k] += series[i];
    }
    multiply(&square, z, z);
    multiply(out, z, e);
    for EACH (k) out->re[k] += z->re[k] - e->re[k], out->im[k] += z->im[k] - e->im[k];
    divide(out, out, &square);
    for EACH (k) {
        bool small = z->re[k] * z->re[k] + z->im[k] * z->im[k] < 1e-3;
        out->re[k] = small ? near.re[k] : out->re[k], out->im[k] = small ? near.im[k] : out->im[k];
    }
}

/* Real and imaginary gradients of a complex parameter whose derivative is D: Re D, -Im D. */
static void store(const pha__args *a, const block *b, int re, double sign, const complexes *D)
{
    float row[MODES];
    for (int part = 0; part < 2; part++) {
        const pha__view *v = &a->d_in[re + part];
        const double *from = part ? D->im : D->re, s = part ? -sign : sign;
        for (int64_t c = 0; v->data && c < b->channels; c++) {
            for (int64_t n = 0; n < b->n; n++) row[n] = (float)(s * from[n * CH + c]);
            pha__row_grad(v, b->channel + c, b->first, b->n, row, a->add & PHA__IN(re + part));
        }
    }
}

/* The same, of rate and im; of all channels: their sums. */
static void store_lambda(const pha__args *a, const block *b, const complexes *D, double *shared)
{
    complexes d;
    bool log_im = ((const pha__ssm_attr *)a->attr)->log_im;
    for EACH (k) d.re[k] = D->re[k] * b->lambda.re[k], d.im[k] = D->im[k] * (log_im ? b->lambda.im[k] : 1);
    if (!pha__ssm_shared(a)) {
        store(a, b, PHA__SSM_RATE, 1, &d);
        return;
    }
    int64_t N = a->in[PHA__SSM_C_RE].width;
    for (int64_t n = 0; n < b->n; n++) {
        double re = 0, im = 0;
        for (int64_t c = 0; c < b->channels; c++) re += d.re[n * CH + c], im -= d.im[n * CH + c];
        shared[b->first + n] = re, shared[N + b->first + n] = im;
    }
}

/* Adds the block's part of D d/dD to d_dt. */
static void store_block(const pha__args *a, const block *b, double *d_dt, double *shared)
{
    double kappa = ((const pha__ssm_attr *)a->attr)->kappa;
    complexes D, x, y, CB;
    divide(&x, &b->e, &b->lambda);
    multiply(&x, &x, &b->m0);                     /* (e^z - 1) / lambda m0 */
    multiply(&D, &x, &b->B);
    store(a, b, PHA__SSM_C_RE, kappa, &D);
    multiply(&D, &x, &b->C);
    if (a->in[PHA__SSM_B_RE].data) store(a, b, PHA__SSM_B_RE, kappa, &D);

    multiply(&CB, &b->C, &b->B);
    multiply(&CB, &CB, &b->m0);
    slope(&x, &b->z, &b->e);
    multiply(&x, &x, &CB);
    multiply(&y, &b->w, &b->m1);                  /* w contains kappa */
    for EACH (k) {
        double t = b->dt[k % CH];
        D.re[k] = kappa * t * t * x.re[k] + t * y.re[k], D.im[k] = kappa * t * t * x.im[k] + t * y.im[k];
    }
    store_lambda(a, b, &D, shared);
    for EACH (k) {                                /* Re(C B e^z m0 + w lambda m1) */
        double e = CB.re[k] * (1 + b->e.re[k]) - CB.im[k] * b->e.im[k];
        double m = y.re[k] * b->lambda.re[k] - y.im[k] * b->lambda.im[k];
        d_dt[k % CH] += k / CH < b->n ? b->dt[k % CH] * (kappa * e + m) : 0;
    }
}

void pha__ssm_gradients(const pha__args *a, int64_t g, const float *dK, int64_t points, double *shared, void *scratch)
{
    block *b = scratch;
    double d_dt[CH] = {0};
    int64_t N = a->in[PHA__SSM_C_RE].width, rows = (a->T + STEPS - 1) / STEPS;
    for (int64_t first = 0; first < N; first += MODES) {
        open_block(a, g, first, b);
        open_powers(b);
        add_moments(b, dK, points, rows);
        store_block(a, b, d_dt, shared);
    }
    const pha__view *v = &a->d_in[PHA__SSM_LOG_DT];
    float row[CH];
    for (int c = 0; c < CH; c++) row[c] = (float)d_dt[c];
    if (v->data) pha__row_grad(v, 0, b->channel, b->channels, row, a->add & PHA__IN(PHA__SSM_LOG_DT));
}
