/* mix_cpu.c -- a task is a block or a stretch of rows; the norms, weights and mask are made again in backward
 *
 * Backward (algorithms.md 6, pha.md 10) with g = beta mask dout, the gradient of y, and v_k = r_k z_k:
 *
 *   e_k = <g, gain_k v_k>                             gradient of w_k
 *   dz_k = r_k (t - v_k mean(t * v_k)),  t = w_k g gain_k,  so mean(t * v_k) = w_k e_k / D
 *   ds_k = (e_k - sum_j w_j e_j) / sum_j s_j,   dc_k = sigmoid(c_k) ds_k,   c_k = p_k + m_k . u  (static: p_k)
 *   dp_k = sum dc_k,   dM_k = sum dc_k u,   du = sum_k dc_k m_k,   dgain_k = sum w_k g v_k
 *
 * With a norm behind it (backend/cpu/norm.h) the sum lives in one row of floats; backward makes it again, and dout is
 * its gradient, taken through that norm.
 *
 * Sums over tokens: a partial per stretch of rows in `work` (n rows of dgain, n rows of dM, the gain of the norm, dp),
 * added in index order by phase 1. For static weights e_k is summed first and the rest is done once per sequence.
 */
#include <math.h>

#include "backend/cpu/dropout.h"
#include "backend/cpu/norm.h"
#include "ops/mix/mix.h"

enum {
    BASE = PHA__MIX_BASE,
    P = PHA__MIX_P,
    M = PHA__MIX_M,
    INPUT = PHA__MIX_U,
    BRANCH = PHA__MIX_BRANCH,
    GAIN = PHA__MIX_GAIN,
    NORM = PHA__MIX_NORM
};
enum { N = PHA__MIX_MAX, COLUMNS = 128 };

/* ---- sizes ---- */

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    const pha__mix_attr *attr = a->attr;
    if (phase == 0) return pass == PHA__BACKWARD ? pha__stretches(a) : pha__row_blocks(a);
    if (phase != 1 || pass != PHA__BACKWARD) return 0;
    bool sums = a->d_in[P].data || a->d_in[M].data || a->d_in[NORM].data;
    for (int k = 0; k < attr->n; k++) sums |= a->d_in[GAIN + k].data != NULL;
    return sums ? (a->out.width + COLUMNS - 1) / COLUMNS : 0;
}

/* Floats of a partial: dgain, dM (dynamic only), those of the norm's gain (if there is one), dp. */
static int64_t partial_size(const pha__args *a)
{
    const pha__mix_attr *attr = a->attr;
    return (int64_t)attr->n * (a->out.width + a->in[M].width) + a->in[NORM].width + N;
}

static size_t work(const pha__args *a, pha__pass pass)
{
    return pass == PHA__BACKWARD ? (size_t)(pha__stretches(a) * partial_size(a)) * sizeof(float) : 0;
}

/* Room for rows as floats. Floats are taken from the scratch in the order of `take`. */
typedef struct rows {
    const float *gain[N], *m[N], *norm; /* NULL: absent */
    float *z[N];                        /* buffers */
    float *base, *y, *out, *sum, *u, *du, *mask;
    bool drop;
    const float *branch[N]; /* of the row at hand, and 1 / rms of each */
    float inverse[N];
} rows;

static size_t scratch(const pha__args *a, pha__pass pass)
{
    (void)pass;
    int64_t D = a->out.width, U = a->in[M].width;
    return (size_t)((2 * N + 5) * D + (N + 2) * U + pha__dropout_room(D)) * sizeof(float);
}

static void take(rows *r, const pha__args *a, float *memory)
{
    const pha__mix_attr *attr = a->attr;
    int64_t D = a->out.width, U = a->in[M].width;
    *r = (rows){.base = memory, .y = memory + D, .out = memory + 2 * D, .sum = memory + 3 * D};
    if (a->in[NORM].data) r->norm = pha__row_in(&a->in[NORM], 0, 0, D, memory + 4 * D);
    r->drop = pha__dropout_on(a->run, attr->dropout);
    memory += 5 * D;
    for (int k = 0; k < attr->n; k++, memory += 2 * D + U) {
        r->z[k] = memory;
        if (a->in[GAIN + k].data) r->gain[k] = pha__row_in(&a->in[GAIN + k], 0, 0, D, memory + D);
        if (a->in[M].data) r->m[k] = pha__row_in(&a->in[M], k, 0, U, memory + 2 * D);
    }
    r->u = memory, r->du = memory + U, r->mask = memory + 2 * U;
}

/* What both passes need of a row: its branches and its mask. */
static void load_row(const pha__args *a, int64_t row, rows *r)
{
    const pha__mix_attr *attr = a->attr;
    int64_t D = a->out.width;
    for (int k = 0; k < attr->n; k++) {
        r->branch[k] = pha__row_in(&a->in[BRANCH + k], row, 0, D, r->z[k]);
        r->inverse[k] = pha__inverse_rms(r->branch[k], D, attr->eps);
    }
    if (r->drop) pha__dropout_row(r->mask, a->run, attr->dropout, attr->site, row, D);
}

/* ---- weights ---- */

typedef struct weights {
    float w[N];
    double c[N], sum; /* pre-activations, sum of s_k */
} weights;

/* u: the row of the input of dynamic weights, else NULL. */
static weights weights_of(const pha__args *a, const rows *r, const float *u)
{
    const pha__mix_attr *attr = a->attr;
    weights q = {.sum = 0};
    double s[N];
    for (int k = 0; k < attr->n; k++) {
        if (!a->in[P].data) {
            q.w[k] = 1.0f / (float)attr->n;
            continue;
        }
        float p;
        q.c[k] = *pha__row_in(&a->in[P], 0, k, 1, &p);
        if (u) q.c[k] += pha__dot(r->m[k], u, a->in[M].width);
        s[k] = fmax(q.c[k], 0) + log1p(exp(-fabs(q.c[k])));
        q.sum += s[k];
    }
    for (int k = 0; k < attr->n && a->in[P].data; k++) q.w[k] = (float)(s[k] / q.sum);
    return q;
}

/* dc from e, the gradient of w. */
static void weights_backward(const weights *q, int n, const double *e, double *dc)
{
    double mean = 0;
    for (int k = 0; k < n; k++) mean += (double)q->w[k] * e[k];
    for (int k = 0; k < n; k++) dc[k] = (e[k] - mean) / q->sum / (1 + exp(-q->c[k]));
}

/* ---- forward ---- */

/* out = alpha base + beta mask y; y stays in r->y. */
static void sum_branches(const pha__args *a, int64_t row, const rows *r, const weights *q, float *out)
{
    const pha__mix_attr *attr = a->attr;
    int64_t D = a->out.width;
    memset(r->y, 0, (size_t)D * sizeof(float));
    for (int k = 0; k < attr->n; k++) {
        const float *z = r->branch[k], *gain = r->gain[k];
        float factor = q->w[k] * r->inverse[k];
        if (!gain) {
            pha__add_scaled(r->y, factor, z, D);
            continue;
        }
        vf f = vf_set1(factor);
        for (int64_t i = 0; i < D; i += VF) {
            vf t = f * pha__load(gain + i, D - i);
            pha__store(r->y + i, vf_fma(t, pha__load(z + i, D - i), pha__load(r->y + i, D - i)), D - i);
        }
    }
    const float *base = pha__row_in(&a->in[BASE], row, 0, D, r->base);
    vf alpha = vf_set1(attr->alpha), beta = vf_set1(attr->beta);
    for (int64_t i = 0; i < D; i += VF) {
        vf y = beta * pha__load(r->y + i, D - i);
        if (r->drop) y *= pha__load(r->mask + i, D - i);
        pha__store(out + i, vf_fma(alpha, pha__load(base + i, D - i), y), D - i);
    }
}

static void forward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    (void)phase;
    const pha__mix_attr *attr = a->attr;
    int64_t D = a->out.width;
    rows r;
    take(&r, a, memory);
    weights q = {.sum = 0};
    bool dynamic = a->in[M].data != NULL;
    if (!dynamic) q = weights_of(a, &r, NULL);
    for (int64_t row = begin * PHA__ROW_BLOCK; row < pha__row_block_end(a, end - 1); row++) {
        if (dynamic) q = weights_of(a, &r, pha__row_in(&a->in[INPUT], row, 0, a->in[M].width, r.u));
        float *out = pha__row_out(&a->out, row, 0, r.out);
        load_row(a, row, &r);
        sum_branches(a, row, &r, &q, out);
        if (r.norm) pha__norm_row(out, out, r.norm, D, attr->norm_eps);
        pha__row_done(&a->out, row, 0, D, out);
    }
}

/* ---- backward ---- */

/* The gradient of the sum; that of the norm's gain to the partial. */
static const float *backward_norm(const pha__args *a, int64_t row, const rows *r, const weights *q, float *dnorm)
{
    const pha__mix_attr *attr = a->attr;
    int64_t D = a->out.width;
    if (r->norm) sum_branches(a, row, r, q, r->sum); /* here, since the base and dout share a buffer */
    const float *d = pha__row_in(&a->d_out, row, 0, D, r->base);
    if (!r->norm) return d;
    pha__norm_row_backward(r->sum, dnorm, d, r->sum, r->norm, D, attr->norm_eps);
    return r->sum;
}

/* g = beta mask dout, to r->y; the gradient of the base. d: that of the sum. */
static void backward_residual(const pha__args *a, int64_t row, const rows *r, const float *d)
{
    const pha__mix_attr *attr = a->attr;
    int64_t D = a->out.width;
    vf alpha = vf_set1(attr->alpha), beta = vf_set1(attr->beta);
    for (int64_t i = 0; i < D; i += VF) {
        vf x = pha__load(d + i, D - i), g = beta * x;
        pha__store(r->y + i, r->drop ? g * pha__load(r->mask + i, D - i) : g, D - i);
        pha__store(r->out + i, alpha * x, D - i);
    }
    if (a->d_in[BASE].data) pha__row_grad(&a->d_in[BASE], row, 0, D, r->out, a->add & PHA__IN(BASE));
}

/* Branch k of a row: dz, dgain to the partial; returns e_k. */
static double backward_branch(const pha__args *a, int64_t row, const rows *r, int k, float w, float *dgain)
{
    int64_t D = a->out.width;
    const float *z = r->branch[k], *g = r->y, *gain = r->gain[k];
    vf sum = vf_zero(), scale = vf_set1(r->inverse[k]), weight = vf_set1(w), one = vf_set1(1.0f);
    for (int64_t i = 0; i < D; i += VF) {
        vf gv = pha__load(g + i, D - i) * scale * pha__load(z + i, D - i);
        sum = vf_fma(gv, gain ? pha__load(gain + i, D - i) : one, sum);
        pha__store(dgain + i, vf_fma(weight, gv, pha__load(dgain + i, D - i)), D - i);
    }
    float e = vf_sum(sum);
    if (!a->d_in[BRANCH + k].data) return e;
    vf mean = vf_set1(w * e / (float)D);
    for (int64_t i = 0; i < D; i += VF) {
        vf t = weight * pha__load(g + i, D - i) * (gain ? pha__load(gain + i, D - i) : one);
        pha__store(r->out + i, scale * (t - scale * pha__load(z + i, D - i) * mean), D - i);
    }
    pha__row_grad(&a->d_in[BRANCH + k], row, 0, D, r->out, a->add & PHA__IN(BRANCH + k));
    return e;
}

/* Dynamic weights of a row: du, dM and dp to the partial. */
static void backward_dynamic(const pha__args *a, int64_t row, const rows *r, const float *u, const double *dc,
                             float *dM)
{
    const pha__mix_attr *attr = a->attr;
    int64_t U = a->in[M].width;
    memset(r->du, 0, (size_t)U * sizeof(float));
    for (int k = 0; k < attr->n; k++) {
        pha__add_scaled(dM + k * U, (float)dc[k], u, U);
        pha__add_scaled(r->du, (float)dc[k], r->m[k], U);
    }
    if (a->d_in[INPUT].data) pha__row_grad(&a->d_in[INPUT], row, 0, U, r->du, a->add & PHA__IN(INPUT));
}

static void backward_block(const pha__args *a, int64_t block, rows *r)
{
    const pha__mix_attr *attr = a->attr;
    int64_t D = a->out.width, U = a->in[M].width;
    float *dgain = (float *)a->work + block * partial_size(a), *dM = dgain + attr->n * D;
    float *dnorm = dM + attr->n * U, *dp = dnorm + a->in[NORM].width;
    memset(dgain, 0, (size_t)partial_size(a) * sizeof(float));
    bool dynamic = a->in[M].data != NULL;
    weights q = {.sum = 0};
    if (!dynamic) q = weights_of(a, r, NULL);
    double total[N] = {0}; /* of e (static) or dc (dynamic) */
    for (int64_t row = pha__stretch_begin(a, block); row < pha__stretch_end(a, block); row++) {
        const float *u = dynamic ? pha__row_in(&a->in[INPUT], row, 0, U, r->u) : NULL;
        if (dynamic) q = weights_of(a, r, u);
        double e[N] = {0}, dc[N];
        load_row(a, row, r);
        backward_residual(a, row, r, backward_norm(a, row, r, &q, dnorm));
        for (int k = 0; k < attr->n; k++) e[k] = backward_branch(a, row, r, k, q.w[k], dgain + k * D);
        if (dynamic) {
            weights_backward(&q, attr->n, e, dc);
            backward_dynamic(a, row, r, u, dc, dM);
        }
        for (int k = 0; k < attr->n; k++) total[k] += dynamic ? dc[k] : e[k];
    }
    for (int k = 0; k < attr->n; k++) dp[k] = (float)total[k];
}

/* The sum over the stretches of columns [c, c+n) of a row of the partials, to a gradient. */
static void sum_row(const pha__args *a, int input, int64_t row, int64_t c, int64_t n, int64_t offset, float *sum)
{
    if (!a->d_in[input].data || n <= 0) return;
    pha__fold_blocks(&a->d_in[input], row, c, n, a->add & PHA__IN(input), (const float *)a->work + offset + c,
                     pha__stretches(a), partial_size(a), sum);
}

static void sum_p(const pha__args *a, float *memory)
{
    const pha__mix_attr *attr = a->attr;
    if (!a->d_in[P].data) return;
    const float *partial = (const float *)a->work + partial_size(a) - N;
    float dp[N];
    rows r;
    take(&r, a, memory);
    weights q = weights_of(a, &r, NULL);
    pha__sum_begin(dp, &a->d_in[P], 0, 0, attr->n, a->add & PHA__IN(P));
    for (int b = 0; b < a->B; b++) {
        double total[N] = {0}, dc[N];
        for (int64_t i = 0; i < pha__stretches_each(a); i++, partial += partial_size(a))
            for (int k = 0; k < attr->n; k++) total[k] += partial[k];
        if (!a->in[M].data) weights_backward(&q, attr->n, total, dc);
        for (int k = 0; k < attr->n; k++) dp[k] += (float)(a->in[M].data ? total[k] : dc[k]);
    }
    pha__row_grad(&a->d_in[P], 0, 0, attr->n, dp, false);
}

static void backward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    const pha__mix_attr *attr = a->attr;
    if (phase == 0) {
        rows r;
        take(&r, a, memory);
        for (int64_t block = begin; block < end; block++) backward_block(a, block, &r);
        return;
    }
    int64_t D = a->out.width, U = a->in[M].width;
    for (int64_t task = begin; task < end; task++) {
        int64_t c = task * COLUMNS;
        float sum[COLUMNS];
        for (int k = 0; k < attr->n; k++) {
            sum_row(a, GAIN + k, 0, c, D - c < COLUMNS ? D - c : COLUMNS, k * D, sum);
            sum_row(a, M, k, c, U - c < COLUMNS ? U - c : COLUMNS, attr->n * D + k * U, sum);
        }
        sum_row(a, NORM, 0, c, D - c < COLUMNS ? D - c : COLUMNS, attr->n * (D + U), sum);
        if (task == 0) sum_p(a, memory);
    }
}

PHA__KERNEL(mix) = {.tasks = tasks, .forward = forward, .backward = backward, .work = work, .scratch = scratch};
