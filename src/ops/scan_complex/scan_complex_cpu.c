/* scan_complex_cpu.c -- as scan_cpu.c: a task is some pairs of one sequence, walked through all of T
 *
 * The real and the imaginary parts of a row lie N apart, so that vectors run over the pairs. Backward walks T in
 * reverse; gradients of complex numbers are d/dRe + i d/dIm, * is the conjugate:
 *
 *   q_t = dh_t + a* g_(t+1) q_(t+1),   dz_t = Re(q_t h_t*) (1 - g_t),   du_t = c g_t q_t
 *   da = sum_t g_t q_t h_(t-1)*,   domega = Im(a* da),   dtheta = -e^theta Re(a* da),   dbias = sum_t dz_t
 *
 * with da and dbias per sequence in `work`; phase 1 adds the sequences to the gradients in order.
 */
#include <math.h>

#include "backend/cpu/rows.h"
#include "ops/scan_complex/scan_complex.h"

enum { Z, U, THETA, OMEGA, BIAS, C }; /* inputs */
enum { MAX_PAIRS = 64, COLUMNS = 256 };

typedef struct pairs { /* a complex number for each pair */
    float re[MAX_PAIRS], im[MAX_PAIRS];
} pairs;

typedef struct lanes { /* what a task knows of its pairs, and room for a row of each value */
    int64_t known; /* 1 + the first of the pairs that a, bias and c are of; 0: of none */
    pairs a;
    float bias[MAX_PAIRS], c[MAX_PAIRS];
    pairs h;     /* forward: the state; backward: the state before the first token */
    pairs carry; /* backward: a* g_(t+1) q_(t+1) */
    pairs da;
    float db[MAX_PAIRS];
    float z[MAX_PAIRS], dz[MAX_PAIRS];
    pairs u, out, before, d, du;
} lanes;

static int64_t pairs_of(const pha__args *a) { return a->in[Z].width; }

/* Pairs of a task: 64, or fewer while that leaves less than 8 tasks. */
static int64_t size_of(const pha__args *a)
{
    int64_t n = MAX_PAIRS;
    while (n > 16 && a->B * ((pairs_of(a) + n - 1) / n) < 8) n /= 2;
    return n;
}

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    int64_t n = size_of(a), N = pairs_of(a);
    if (phase == 0) return a->B * ((N + n - 1) / n);
    bool sums = pass == PHA__BACKWARD && (a->d_in[THETA].data || a->d_in[OMEGA].data || a->d_in[BIAS].data);
    return phase == 1 && sums ? (N + COLUMNS - 1) / COLUMNS : 0;
}

/* da (real, imaginary) and dbias of each sequence */
static size_t work(const pha__args *a, pha__pass pass)
{
    return pass == PHA__BACKWARD ? (size_t)(3 * (int64_t)a->B * pairs_of(a)) * sizeof(float) : 0;
}

static size_t scratch(const pha__args *a, pha__pass pass)
{
    (void)a, (void)pass;
    return sizeof(lanes) > 3 * COLUMNS * sizeof(float) ? sizeof(lanes) : 3 * COLUMNS * sizeof(float);
}

static float element(const pha__view *v, int64_t column, float absent)
{
    return v->data ? *pha__row_in(v, 0, column, 1, &absent) : absent;
}

/* exp(-exp(theta) + i omega) */
static void transition(const pha__args *a, int64_t pair, double *re, double *im)
{
    double size = exp(-exp((double)element(&a->in[THETA], pair, 0))), angle = element(&a->in[OMEGA], pair, 0);
    *re = size * cos(angle), *im = size * sin(angle);
}

/* The same for all sequences. */
static void load_parameters(const pha__args *a, lanes *l, int64_t first, int64_t n)
{
    if (l->known == first + 1) return;
    l->known = first + 1;
    for (int64_t i = 0; i < n; i++) {
        double re, im;
        transition(a, first + i, &re, &im);
        l->a.re[i] = (float)re, l->a.im[i] = (float)im;
        l->bias[i] = element(&a->in[BIAS], first + i, 0);
        l->c[i] = element(&a->in[C], first + i, 1);
    }
}

typedef struct row { /* both parts of a row */
    const float *re, *im;
} row;

static row row_in(const pha__view *v, int64_t at, int64_t first, int64_t n, int64_t N, pairs *room)
{
    return (row){pha__row_in(v, at, first, n, room->re), pha__row_in(v, at, N + first, n, room->im)};
}

static void forward_row(const pha__args *a, int64_t at, int64_t first, int64_t n, lanes *l)
{
    int64_t N = pairs_of(a);
    const float *z = pha__row_in(&a->in[Z], at, first, n, l->z);
    row u = row_in(&a->in[U], at, first, n, N, &l->u);
    float *re_out = pha__row_out(&a->out, at, first, l->out.re);
    float *im_out = pha__row_out(&a->out, at, N + first, l->out.im);
    for (int64_t i = 0; i < n; i += VF) {
        vf g = vf_sigmoid(pha__load(z + i, n - i) + vf_load(l->bias + i)), c = vf_load(l->c + i);
        vf a_re = vf_load(l->a.re + i), a_im = vf_load(l->a.im + i);
        vf re = vf_load(l->h.re + i), im = vf_load(l->h.im + i);
        vf new_re = g * vf_fma(a_re, re, vf_fma(-a_im, im, c * pha__load(u.re + i, n - i)));
        vf new_im = g * vf_fma(a_re, im, vf_fma(a_im, re, c * pha__load(u.im + i, n - i)));
        vf_store(l->h.re + i, new_re);
        vf_store(l->h.im + i, new_im);
        pha__store(re_out + i, new_re, n - i);
        pha__store(im_out + i, new_im, n - i);
    }
    pha__row_done(&a->out, at, first, n, re_out);
    pha__row_done(&a->out, at, N + first, n, im_out);
}

static void forward_task(const pha__args *a, int b, int64_t first, int64_t n, lanes *l)
{
    int64_t N = pairs_of(a);
    size_t bytes = (size_t)n * sizeof(float);
    float *state = a->state ? (float *)pha__slot(a, b) + first : NULL;
    memset(&l->h, 0, sizeof l->h);
    load_parameters(a, l, first, n);
    if (state) memcpy(l->h.re, state, bytes), memcpy(l->h.im, state + N, bytes);
    if (a->saved) {
        float *before = a->saved + 2 * N * b + first;
        memcpy(before, l->h.re, bytes), memcpy(before + N, l->h.im, bytes);
    }
    pha__sequence tokens = pha__sequence_of(a, b);
    for (int64_t at = tokens.row; at < tokens.row + tokens.n; at++) forward_row(a, at, first, n, l);
    if (state) memcpy(state, l->h.re, bytes), memcpy(state + N, l->h.im, bytes);
}

static void backward_row(const pha__args *a, int64_t at, row before, int64_t first, int64_t n, lanes *l)
{
    int64_t N = pairs_of(a);
    const float *z = pha__row_in(&a->in[Z], at, first, n, l->z);
    row h = row_in(&a->out, at, first, n, N, &l->out), d = row_in(&a->d_out, at, first, n, N, &l->d);
    vf one = vf_set1(1.0f);
    for (int64_t i = 0; i < n; i += VF) {
        vf x = pha__load(z + i, n - i) + vf_load(l->bias + i);
        vf e = vf_exp(vf_min(-x, vf_set1(87.0f))); /* finite, so that 1 - g = e g holds to the last bit */
        vf g = one / (one + e), c = vf_load(l->c + i);
        vf q_re = pha__load(d.re + i, n - i) + vf_load(l->carry.re + i), s_re = g * q_re;
        vf q_im = pha__load(d.im + i, n - i) + vf_load(l->carry.im + i), s_im = g * q_im;
        vf dz = vf_fma(q_re, pha__load(h.re + i, n - i), q_im * pha__load(h.im + i, n - i)) * (e * g);
        vf_store(l->dz + i, dz);
        vf_store(l->db + i, vf_load(l->db + i) + dz);
        vf_store(l->du.re + i, c * s_re);
        vf_store(l->du.im + i, c * s_im);
        vf b_re = pha__load(before.re + i, n - i), b_im = pha__load(before.im + i, n - i);
        vf_store(l->da.re + i, vf_fma(b_re, s_re, vf_fma(b_im, s_im, vf_load(l->da.re + i))));
        vf_store(l->da.im + i, vf_fma(b_re, s_im, vf_fma(-b_im, s_re, vf_load(l->da.im + i))));
        vf a_re = vf_load(l->a.re + i), a_im = vf_load(l->a.im + i);
        vf_store(l->carry.re + i, vf_fma(a_re, s_re, a_im * s_im));
        vf_store(l->carry.im + i, vf_fma(a_re, s_im, -(a_im * s_re)));
    }
    if (a->d_in[Z].data) pha__row_grad(&a->d_in[Z], at, first, n, l->dz, a->add & PHA__IN(Z));
    if (a->d_in[U].data) {
        pha__row_grad(&a->d_in[U], at, first, n, l->du.re, a->add & PHA__IN(U));
        pha__row_grad(&a->d_in[U], at, N + first, n, l->du.im, a->add & PHA__IN(U));
    }
}

static void backward_task(const pha__args *a, int b, int64_t first, int64_t n, lanes *l)
{
    pha__sequence tokens = pha__sequence_of(a, b);
    int64_t N = pairs_of(a), begin = tokens.row;
    size_t bytes = (size_t)n * sizeof(float);
    memset(l, 0, sizeof *l);
    load_parameters(a, l, first, n);
    const float *saved = a->saved + 2 * N * b + first;
    memcpy(l->h.re, saved, bytes), memcpy(l->h.im, saved + N, bytes);
    for (int64_t at = begin + tokens.n - 1; at >= begin; at--) {
        row before = {l->h.re, l->h.im};
        if (at > begin) before = row_in(&a->out, at - 1, first, n, N, &l->before);
        backward_row(a, at, before, first, n, l);
    }
    float *re = a->work, *im = re + (int64_t)a->B * N, *db = im + (int64_t)a->B * N;
    memcpy(re + b * N + first, l->da.re, bytes);
    memcpy(im + b * N + first, l->da.im, bytes);
    memcpy(db + b * N + first, l->db, bytes);
}

static void sum_parameters(const pha__args *a, int64_t first, int64_t n, float *re)
{
    int64_t N = pairs_of(a), all = (int64_t)a->B * N;
    float *im = re + COLUMNS, *sum = im + COLUMNS;
    const float *da = a->work;
    if (a->d_in[THETA].data) pha__sum_begin(re, &a->d_in[THETA], 0, first, n, a->add & PHA__IN(THETA));
    if (a->d_in[OMEGA].data) pha__sum_begin(im, &a->d_in[OMEGA], 0, first, n, a->add & PHA__IN(OMEGA));
    for (int64_t i = 0; i < n; i++) {
        double a_re, a_im, rate = exp((double)element(&a->in[THETA], first + i, 0));
        transition(a, first + i, &a_re, &a_im);
        for (int64_t b = 0; b < a->B; b++) {
            double d_re = da[b * N + first + i], d_im = da[all + b * N + first + i];
            if (a->d_in[THETA].data && rate < 700) /* beyond, a is 0 */
                re[i] += (float)(-rate * (a_re * d_re + a_im * d_im));
            if (a->d_in[OMEGA].data) im[i] += (float)(a_re * d_im - a_im * d_re);
        }
    }
    if (a->d_in[THETA].data) pha__row_grad(&a->d_in[THETA], 0, first, n, re, false);
    if (a->d_in[OMEGA].data) pha__row_grad(&a->d_in[OMEGA], 0, first, n, im, false);
    if (a->d_in[BIAS].data)
        pha__fold_blocks(&a->d_in[BIAS], 0, first, n, a->add & PHA__IN(BIAS), da + 2 * all + first, a->B, N, sum);
}

static void run(const pha__args *a, int64_t begin, int64_t end, lanes *l,
                void (*task)(const pha__args *, int, int64_t, int64_t, lanes *))
{
    int64_t size = size_of(a);
    for (int64_t k = begin; k < end; k++) { /* of the same pairs one after another */
        int64_t first = k / a->B * size, left = pairs_of(a) - first;
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
    int64_t N = pairs_of(a);
    for (int64_t i = begin * COLUMNS; i < end * COLUMNS && i < N; i += COLUMNS)
        sum_parameters(a, i, N - i < COLUMNS ? N - i : COLUMNS, memory);
}

PHA__KERNEL(scan_complex) = {.tasks = tasks, .forward = forward, .backward = backward, .work = work,
                             .scratch = scratch};
