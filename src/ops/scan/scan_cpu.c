/* scan_cpu.c -- a task is some channels of one sequence, walked through all of T; vectors run over the channels
 *
 * No chunking of T: the channels are cut finer instead when there are few sequences, by the shape alone. The state is
 * fp32 whatever the format of the values. Backward (algorithms.md 1.1) walks T in reverse:
 *
 *   q_t = dh_t + a g_(t+1) q_(t+1),   dz_t = q_t h_t (1 - g_t),   du_t = c g_t q_t
 *   da = sum_t g_t q_t h_(t-1),   dtheta = -a e^theta da,   dbias = sum_t dz_t
 *
 * with da and dbias per sequence in `work`; phase 1 adds the sequences to dtheta and dbias in order. With a filter f
 *
 *   dh_t = dout_t SiLU(f_t),   df_t = dout_t h_t s (1 + f_t (1 - s)),   s = sigmoid(f_t)        (algorithms.md 7)
 */
#include <math.h>

#include "backend/cpu/rows.h"
#include "ops/scan/scan.h"

enum { Z, U, THETA, BIAS, C, F }; /* inputs */
enum { MAX_CHANNELS = 64, COLUMNS = 256 };

/* Channels of a task: 64, or fewer while that leaves less than 8 tasks. */
static int64_t channels(const pha__args *a)
{
    int64_t n = MAX_CHANNELS;
    while (n > 16 && a->B * ((a->out.width + n - 1) / n) < 8) n /= 2;
    return n;
}

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    int64_t n = channels(a), S = a->out.width;
    if (phase == 0) return a->B * ((S + n - 1) / n);
    bool sums = pass == PHA__BACKWARD && (a->d_in[THETA].data || a->d_in[BIAS].data);
    return phase == 1 && sums ? (S + COLUMNS - 1) / COLUMNS : 0;
}

static size_t work(const pha__args *a, pha__pass pass)
{
    return pass == PHA__BACKWARD ? (size_t)(2 * (int64_t)a->B * a->out.width) * sizeof(float) : 0;
}

typedef struct lanes { /* what a task knows of its channels, and room for a row of each value */
    int64_t known;             /* 1 + the first of the channels that a, bias and c are of; 0: of none */
    float a[MAX_CHANNELS], bias[MAX_CHANNELS], c[MAX_CHANNELS];
    float h[MAX_CHANNELS];     /* forward: the state; backward: the state before the first token */
    float carry[MAX_CHANNELS]; /* backward: a g_(t+1) q_(t+1) */
    float da[MAX_CHANNELS], db[MAX_CHANNELS];
    float z[MAX_CHANNELS], u[MAX_CHANNELS], f[MAX_CHANNELS], out[MAX_CHANNELS], before[MAX_CHANNELS], d[MAX_CHANNELS];
    float kept[MAX_CHANNELS], dh[MAX_CHANNELS], df[MAX_CHANNELS];
} lanes;

static size_t scratch(const pha__args *a, pha__pass pass)
{
    (void)a, (void)pass;
    return sizeof(lanes) > COLUMNS * sizeof(float) ? sizeof(lanes) : COLUMNS * sizeof(float);
}

static bool filtered(const pha__args *a) { return a->in[F].width > 0; }

/* Where h is kept for backward; no data: nowhere. */
static pha__view kept(const pha__args *a)
{
    if (!filtered(a)) return a->out;
    int32_t S = a->out.width;
    return (pha__view){a->saved ? a->saved + (int64_t)a->B * S : NULL, S, 0, S, a->out.dtype};
}

static float element(const pha__view *v, int64_t column, float absent)
{
    return v->data ? *pha__row_in(v, 0, column, 1, &absent) : absent;
}

/* They are the same for all sequences, and the exponentials of a token would take longer than what is made of it. */
static void load_parameters(const pha__args *a, lanes *l, int64_t first, int64_t n)
{
    if (l->known == first + 1) return;
    l->known = first + 1;
    for (int64_t i = 0; i < n; i++) {
        l->a[i] = (float)exp(-exp((double)element(&a->in[THETA], first + i, 0)));
        l->bias[i] = element(&a->in[BIAS], first + i, 0);
        l->c[i] = element(&a->in[C], first + i, 1);
    }
}

/* out = SiLU(f) h */
static void filter_row(const pha__args *a, int64_t row, int64_t first, int64_t n, lanes *l)
{
    const float *f = pha__row_in(&a->in[F], row, first, n, l->f);
    float *out = pha__row_out(&a->out, row, first, l->out);
    for (int64_t i = 0; i < n; i += VF)
        pha__store(out + i, vf_silu(pha__load(f + i, n - i)) * vf_load(l->h + i), n - i);
    pha__row_done(&a->out, row, first, n, out);
}

/* The gradient of f; dh, to l->dh. */
static const float *unfilter_row(const pha__args *a, int64_t row, int64_t first, int64_t n, const float *h,
                                 const float *d, lanes *l)
{
    const float *f = pha__row_in(&a->in[F], row, first, n, l->f);
    vf one = vf_set1(1.0f);
    for (int64_t i = 0; i < n; i += VF) {
        vf x = pha__load(f + i, n - i), s = vf_sigmoid(x), g = pha__load(d + i, n - i);
        vf_store(l->df + i, g * pha__load(h + i, n - i) * s * vf_fma(x, one - s, one));
        vf_store(l->dh + i, g * x * s);
    }
    if (a->d_in[F].data) pha__row_grad(&a->d_in[F], row, first, n, l->df, a->add & PHA__IN(F));
    return l->dh;
}

static void forward_task(const pha__args *a, int b, int64_t first, int64_t n, lanes *l)
{
    load_parameters(a, l, first, n);
    float *state = a->state ? (float *)pha__slot(a, b) + first : NULL;
    size_t bytes = (size_t)n * sizeof(float);
    if (state) memcpy(l->h, state, bytes);
    else memset(l->h, 0, bytes);
    if (a->saved) memcpy(a->saved + b * (int64_t)a->out.width + first, l->h, bytes);
    pha__view keep = kept(a);
    bool filter = filtered(a);

    pha__sequence tokens = pha__sequence_of(a, b);
    for (int64_t row = tokens.row; row < tokens.row + tokens.n; row++) {
        const float *z = pha__row_in(&a->in[Z], row, first, n, l->z), *u = pha__row_in(&a->in[U], row, first, n, l->u);
        float *h_out = keep.data ? pha__row_out(&keep, row, first, l->kept) : l->kept;
        for (int64_t i = 0; i < n; i += VF) {
            vf g = vf_sigmoid(pha__load(z + i, n - i) + vf_load(l->bias + i));
            vf h = g * vf_fma(vf_load(l->a + i), vf_load(l->h + i), vf_load(l->c + i) * pha__load(u + i, n - i));
            vf_store(l->h + i, h);
            pha__store(h_out + i, h, n - i);
        }
        if (keep.data) pha__row_done(&keep, row, first, n, h_out);
        if (filter) filter_row(a, row, first, n, l);
    }
    if (state) memcpy(state, l->h, bytes);
}

static void backward_task(const pha__args *a, int b, int64_t first, int64_t n, lanes *l)
{
    pha__sequence tokens = pha__sequence_of(a, b);
    int64_t S = a->out.width, begin = tokens.row;
    size_t bytes = (size_t)n * sizeof(float);
    memset(l, 0, sizeof *l);
    load_parameters(a, l, first, n);
    memcpy(l->h, a->saved + b * S + first, bytes);
    pha__view keep = kept(a);
    bool filter = filtered(a);
    vf one = vf_set1(1.0f);
    for (int64_t row = begin + tokens.n - 1; row >= begin; row--) {
        const float *z = pha__row_in(&a->in[Z], row, first, n, l->z), *h = pha__row_in(&keep, row, first, n, l->kept);
        const float *before = row > begin ? pha__row_in(&keep, row - 1, first, n, l->before) : l->h;
        const float *d = pha__row_in(&a->d_out, row, first, n, l->d);
        if (filter) d = unfilter_row(a, row, first, n, h, d, l);
        float dz[MAX_CHANNELS], du[MAX_CHANNELS];
        for (int64_t i = 0; i < n; i += VF) {
            vf x = pha__load(z + i, n - i) + vf_load(l->bias + i);
            vf e = vf_exp(vf_min(-x, vf_set1(87.0f))); /* finite, so that 1 - g = e g holds to the last bit */
            vf g = one / (one + e), q = pha__load(d + i, n - i) + vf_load(l->carry + i), gq = g * q;
            vf dzi = q * pha__load(h + i, n - i) * (e * g);
            vf_store(dz + i, dzi);
            vf_store(du + i, vf_load(l->c + i) * gq);
            vf_store(l->da + i, vf_fma(gq, pha__load(before + i, n - i), vf_load(l->da + i)));
            vf_store(l->db + i, vf_load(l->db + i) + dzi);
            vf_store(l->carry + i, vf_load(l->a + i) * gq);
        }
        if (a->d_in[Z].data) pha__row_grad(&a->d_in[Z], row, first, n, dz, a->add & PHA__IN(Z));
        if (a->d_in[U].data) pha__row_grad(&a->d_in[U], row, first, n, du, a->add & PHA__IN(U));
    }
    float *da = a->work, *db = da + (int64_t)a->B * S;
    memcpy(da + b * S + first, l->da, bytes);
    memcpy(db + b * S + first, l->db, bytes);
}

static void sum_parameters(const pha__args *a, int64_t first, int64_t n, float *sum)
{
    int64_t S = a->out.width;
    const float *da = a->work, *db = da + (int64_t)a->B * S;
    if (a->d_in[THETA].data) {
        pha__sum_begin(sum, &a->d_in[THETA], 0, first, n, a->add & PHA__IN(THETA));
        for (int64_t i = 0; i < n; i++) {
            double rate = exp((double)element(&a->in[THETA], first + i, 0));
            double slope = rate < 700 ? -rate * exp(-rate) : 0; /* beyond, a is 0 */
            for (int64_t b = 0; b < a->B; b++) sum[i] += (float)(da[b * S + first + i] * slope);
        }
        pha__row_grad(&a->d_in[THETA], 0, first, n, sum, false);
    }
    if (a->d_in[BIAS].data)
        pha__fold_blocks(&a->d_in[BIAS], 0, first, n, a->add & PHA__IN(BIAS), db + first, a->B, S, sum);
}

static void run(const pha__args *a, int64_t begin, int64_t end, lanes *l,
                void (*task)(const pha__args *, int, int64_t, int64_t, lanes *))
{
    int64_t size = channels(a);
    for (int64_t k = begin; k < end; k++) { /* of the same channels one after another */
        int64_t first = k / a->B * size, left = a->out.width - first;
        task(a, (int)(k % a->B), first, left < size ? left : size, l);
    }
}

static void forward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    (void)phase;
    memset(memory, 0, sizeof(lanes));
    run(a, begin, end, memory, forward_task);
}

static void backward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    if (phase == 0) {
        run(a, begin, end, memory, backward_task);
        return;
    }
    int64_t S = a->out.width;
    for (int64_t c = begin * COLUMNS; c < end * COLUMNS && c < S; c += COLUMNS) {
        sum_parameters(a, c, S - c < COLUMNS ? S - c : COLUMNS, memory);
    }
}

PHA__KERNEL(scan) = {.tasks = tasks, .forward = forward, .backward = backward, .work = work, .scratch = scratch};
