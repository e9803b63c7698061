/* ssm_cpu.c -- a task is sixteen channels; vectors run over them
 *
 * Without gradients the modes are stepped from token to token, with e^z - 1 in place of e^z, so that slow modes, whose
 * e^z is near 1, keep their accuracy in fp32. With gradients x is convolved with K (ssm_modes.h) by transforms
 * (backend/cpu/fft.h) of n points for n >= T tokens. (The sum as it stands takes twice as long at 64 tokens and longer
 * still at 8: Zen 3, H3's 768 x 32.)
 *
 *   Y = F(K) F(x),     dX = conj(F(K)) F(dy),     F(dK) = sum_b conj(F(x_b)) F(dy_b)
 *
 * Saved are F(K) / n of each group of channels, then the table of the transforms. Backward adds F(dK) and dd up
 * sequence by sequence, in one task or, of few groups, in a task for each, and goes on to the parameters with the last
 * microbatch of a lane.
 */
#include "backend/cpu/fft.h"
#include "backend/cpu/rows.h"
#include "ops/ssm/ssm_modes.h"

enum { BLOCK = 64, Z = 2 * VF, V = CH / VF }; /* tokens of a block of the recurrence; floats of a point; vectors */

static int64_t groups(const pha__args *a) { return (a->out.width + CH - 1) / CH; }
static int64_t points(const pha__args *a) { return pha__ssm_points(a->T); }
static int64_t group_floats(const pha__args *a) { return 2 * points(a) * CH; } /* transform of all its channels */
static int64_t n_modes(const pha__args *a)
{
    return (a->in[PHA__SSM_C_RE].width + PHA__SSM_MODES - 1) / PHA__SSM_MODES * PHA__SSM_MODES;
}
static bool convolves(const pha__args *a) { return ((const pha__ssm_attr *)a->attr)->gradients && !a->state; }

/* Slices of the sequences in backward: each its own, where the groups alone don't give work to some processors. */
static bool sliced(const pha__args *a) { return groups(a) < 32; }
static int64_t slices(const pha__args *a) { return sliced(a) ? a->B : 1; }
static bool ends(const pha__args *a) { return !a->sums || a->last; } /* a lane */

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    if (pass == PHA__FORWARD) {
        if (!convolves(a)) return phase == 0 ? groups(a) : 0;
        const int64_t n[] = {1, groups(a), groups(a) * a->B, 0}; /* table; transforms of K; convolutions */
        return n[phase];
    }
    const int64_t n[] = {groups(a) * slices(a), groups(a), pha__ssm_shared(a) && ends(a), 0};
    return n[phase]; /* sequences; parameters; sums over the groups */
}

/* ---- memory ---- */

/* Forward: what is saved, where nothing is. Backward: per group and slice F(dK) and dd; per group sums of rate, im. */
static size_t work(const pha__args *a, pha__pass pass)
{
    int64_t n = points(a), N = a->in[PHA__SSM_C_RE].width;
    if (pass == PHA__FORWARD) return convolves(a) ? (size_t)(groups(a) * group_floats(a) + 2 * n) * sizeof(float) : 0;
    return (size_t)(groups(a) * 2 * N) * sizeof(double) +
           (size_t)(groups(a) * slices(a) * (group_floats(a) + CH)) * sizeof(float);
}

static float *kept(const pha__args *a) { return a->saved ? a->saved : a->work; }
static float *table(const pha__args *a) { return kept(a) + groups(a) * group_floats(a); }
static float *kernel_of(const pha__args *a, int64_t g) { return kept(a) + g * group_floats(a); }

static double *shared_of(const pha__args *a, int64_t g)
{
    return (double *)a->work + g * 2 * a->in[PHA__SSM_C_RE].width;
}
static float *slice_of(const pha__args *a, int64_t g, int64_t slice)
{
    return (float *)shared_of(a, groups(a)) + (g * slices(a) + slice) * (group_floats(a) + CH);
}
/* Of all of the lane so far. */
static float *sums_of(const pha__args *a, int64_t g)
{
    return a->sums ? a->sums + g * (group_floats(a) + CH) : slice_of(a, g, 0);
}

/* Of a thread: memory for the modes, then x, y [V][n][VF] and transforms of one vector [n][2][VF], or what the
 * recurrence needs. */
typedef struct room {
    void *modes;
    float *x, *y, *z, *z2;
} room;

static int64_t recurrence_floats(const pha__args *a) { return 6 * n_modes(a) * CH + 2 * BLOCK * CH; }

static size_t scratch(const pha__args *a, pha__pass pass)
{
    (void)pass;
    int64_t n = points(a), convolution = (2 * V + 4) * n * VF, recurrence = recurrence_floats(a);
    return (pha__ssm_modes_scratch() + 63) / 64 * 64 +
           (size_t)(convolution > recurrence ? convolution : recurrence) * sizeof(float);
}

static room room_of(const pha__args *a, void *memory)
{
    int64_t n = points(a);
    float *p = (float *)((char *)memory + (pha__ssm_modes_scratch() + 63) / 64 * 64);
    return (room){memory, p, p + n * CH, p + 2 * n * CH, p + 2 * n * CH + n * Z};
}

/* ---- rows of a group: channels [g CH, ...) of sequence b ---- */

typedef struct place {
    pha__sequence tokens;
    int64_t first, n; /* channels */
} place;

static place place_of(const pha__args *a, int64_t g, int64_t b)
{
    int64_t P = a->out.width, first = g * CH;
    return (place){pha__sequence_of(a, (int)b), first, P - first < CH ? P - first : CH};
}

/* Row t as CH floats; the channels that do not exist are 0. */
PHA__INLINE void read_row(const pha__view *v, const place *p, int64_t t, float *out)
{
    float buffer[CH];
    const float *row = pha__row_in(v, p->tokens.row + t, p->first, p->n, buffer);
    if (p->n == CH) {
        memcpy(out, row, CH * sizeof *out);
        return;
    }
    memset(out, 0, CH * sizeof *out);
    memcpy(out, row, (size_t)p->n * sizeof *out);
}

/* [V][points][VF], zeros after the last token */
static void gather(const pha__args *a, const pha__view *v, const place *p, float *out)
{
    int64_t n = points(a);
    for (int64_t t = 0; t < p->tokens.n; t++) {
        float row[CH];
        read_row(v, p, t, row);
        for (int k = 0; k < V; k++) vf_store(out + (k * n + t) * VF, vf_load(row + k * VF));
    }
    size_t rest = (size_t)((n - p->tokens.n) * VF) * sizeof *out;
    for (int k = 0; k < V; k++) memset(out + (k * n + p->tokens.n) * VF, 0, rest);
}

static void load_skip(const pha__args *a, const place *p, float *d)
{
    float buffer[CH];
    const float *row = pha__row_in(&a->in[PHA__SSM_D], 0, p->first, p->n, buffer);
    memset(d, 0, CH * sizeof *d);
    memcpy(d, row, (size_t)p->n * sizeof *d);
}

/* The rows y + d x of an output, or of a gradient. */
static void scatter(const pha__args *a, const place *p, const float *y, const float *x, float *restrict row, int64_t t)
{
    float d[CH];
    int64_t n = points(a);
    load_skip(a, p, d);
    for (int k = 0; k < V; k++) {
        vf at = vf_load(x + (k * n + t) * VF);
        vf_store(row + k * VF, vf_fma(vf_load(d + k * VF), at, vf_load(y + (k * n + t) * VF)));
    }
}

static void write_out(const pha__args *a, const place *p, const float *y, const float *x)
{
    float row[CH], buffer[CH];
    for (int64_t t = 0; t < p->tokens.n; t++) {
        scatter(a, p, y, x, row, t);
        float *out = pha__row_out(&a->out, p->tokens.row + t, p->first, buffer);
        memcpy(out, row, (size_t)p->n * sizeof *out);
        pha__row_done(&a->out, p->tokens.row + t, p->first, p->n, out);
    }
}

static void write_gradient(const pha__args *a, const place *p, const float *y, const float *x)
{
    float row[CH];
    for (int64_t t = 0; t < p->tokens.n; t++) {
        scatter(a, p, y, x, row, t);
        pha__row_grad(&a->d_in[PHA__SSM_X], p->tokens.row + t, p->first, p->n, row, a->add & PHA__IN(PHA__SSM_X));
    }
}

/* ---- the recurrence ---- */

typedef struct recurrence { /* each [modes][re, im][CH], and x, y [BLOCK][CH] */
    float *m, *w, *s, *x, *y;
    int64_t modes;
} recurrence;

/* Steps four modes of VF channels through n tokens: s += m s + x, y += Re(w s). */
PHA__INLINE void step_modes(float *restrict s, const float *m, const float *w, const float *x, float *restrict y,
                            int64_t n)
{
    vf re[PHA__SSM_MODES], im[PHA__SSM_MODES];
    for (int k = 0; k < PHA__SSM_MODES; k++) re[k] = vf_load(s + k * 2 * CH), im[k] = vf_load(s + (k * 2 + 1) * CH);
    for (int64_t t = 0; t < n; t++) {
        vf sum = vf_load(y + t * CH), in = vf_load(x + t * CH);
        for (int k = 0; k < PHA__SSM_MODES; k++) {
            vf mr = vf_load(m + k * 2 * CH), mi = vf_load(m + (k * 2 + 1) * CH);
            vf r = vf_fma(-mi, im[k], vf_fma(mr, re[k], re[k] + in));
            im[k] = vf_fma(mi, re[k], vf_fma(mr, im[k], im[k]));
            re[k] = r;
            sum = vf_fma(vf_load(w + k * 2 * CH), r, sum);
            sum = vf_fma(-vf_load(w + (k * 2 + 1) * CH), im[k], sum);
        }
        vf_store(y + t * CH, sum);
    }
    for (int k = 0; k < PHA__SSM_MODES; k++) vf_store(s + k * 2 * CH, re[k]), vf_store(s + (k * 2 + 1) * CH, im[k]);
}

static void step_block(const pha__args *a, const place *p, const recurrence *r, int64_t begin, int64_t n)
{
    float d[CH], buffer[CH];
    load_skip(a, p, d);
    for (int64_t t = 0; t < n; t++) {
        float *x = r->x + t * CH, *y = r->y + t * CH;
        read_row(&a->in[PHA__SSM_X], p, begin + t, x);
        for (int c = 0; c < CH; c += VF) vf_store(y + c, vf_load(d + c) * vf_load(x + c));
    }
    for (int64_t k = 0; k < r->modes * 2 * CH; k += PHA__SSM_MODES * 2 * CH)
        for (int c = 0; c < CH; c += VF)
            step_modes(r->s + k + c, r->m + k + c, r->w + k + c, r->x + c, r->y + c, n);
    for (int64_t t = 0; t < n; t++) {
        int64_t row = p->tokens.row + begin + t;
        float *out = pha__row_out(&a->out, row, p->first, buffer);
        memcpy(out, r->y + t * CH, (size_t)p->n * sizeof *out);
        pha__row_done(&a->out, row, p->first, p->n, out);
    }
}

/* Group g of all sequences, each from its state or from zero. */
static void step_group(const pha__args *a, int64_t g, const room *m)
{
    int64_t modes = n_modes(a), size = modes * 2 * CH;
    recurrence r = {m->x, m->x + size, NULL, m->x + 3 * size, m->x + 3 * size + BLOCK * CH, modes};
    pha__ssm_recurrence(a, g, r.m, r.w, m->modes);
    for (int64_t b = 0; b < a->B; b++) {
        place p = place_of(a, g, b);
        r.s = a->state ? (float *)pha__slot(a, (int)b) + g * size : m->x + 2 * size;
        if (!a->state) memset(r.s, 0, (size_t)size * sizeof *r.s);
        for (int64_t t = 0; t < p.tokens.n; t += BLOCK)
            step_block(a, &p, &r, t, p.tokens.n - t < BLOCK ? p.tokens.n - t : BLOCK);
    }
}

/* ---- products of transforms ---- */

/* z = a z, or conj(a) z */
static void multiply(float *z, const float *a, int64_t n, bool conjugate)
{
    for (int64_t k = 0; k < n * Z; k += Z) {
        vf ar = vf_load(a + k), ai = vf_load(a + k + VF), zr = vf_load(z + k), zi = vf_load(z + k + VF);
        if (conjugate) ai = -ai;
        vf_store(z + k, vf_fma(ar, zr, -(ai * zi)));
        vf_store(z + k + VF, vf_fma(ar, zi, ai * zr));
    }
}

/* sum += conj(a) b */
static void add_correlation(float *sum, const float *a, const float *b, int64_t n)
{
    for (int64_t k = 0; k < n * Z; k += Z) {
        vf ar = vf_load(a + k), ai = vf_load(a + k + VF), br = vf_load(b + k), bi = vf_load(b + k + VF);
        vf_store(sum + k, vf_fma(ar, br, vf_fma(ai, bi, vf_load(sum + k))));
        vf_store(sum + k + VF, vf_fma(ar, bi, vf_fma(-ai, br, vf_load(sum + k + VF))));
    }
}

/* ---- forward ---- */

static void make_kernel(const pha__args *a, int64_t g, const room *m)
{
    int64_t n = points(a);
    float *out = kernel_of(a, g);
    pha__ssm_make(a, g, m->x, n, m->modes);
    vf scale = vf_set1(1.0f / (float)n);
    for (int64_t k = 0; k < n * CH; k += VF) vf_store(m->x + k, scale * vf_load(m->x + k));
    for (int k = 0; k < V; k++) pha__fft_real(out + k * n * Z, m->x + k * n * VF, table(a), n);
}

static void convolve(const pha__args *a, int64_t g, int64_t b, const room *m)
{
    int64_t n = points(a);
    const float *K = kernel_of(a, g);
    place p = place_of(a, g, b);
    gather(a, &a->in[PHA__SSM_X], &p, m->x);
    for (int k = 0; k < V; k++) {
        float *x = m->x + k * n * VF, *y = m->y + k * n * VF;
        pha__fft_real(m->z, x, table(a), n);
        multiply(m->z, K + k * n * Z, n, false);
        pha__fft_real_back(y, m->z, table(a), n);
    }
    write_out(a, &p, m->y, m->x);
}

static void forward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    room m = room_of(a, memory);
    for (int64_t k = begin; k < end; k++) {
        if (!convolves(a)) step_group(a, k, &m);
        else if (phase == 0) pha__fft_table(table(a), points(a));
        else if (phase == 1) make_kernel(a, k, &m);
        else convolve(a, k / a->B, k % a->B, &m);
    }
}

/* ---- backward ---- */

static bool wants_kernel(const pha__args *a)
{
    bool any = false;
    for (int i = PHA__SSM_C_RE; i < PHA__SSM_INPUTS; i++) any |= i != PHA__SSM_D && a->d_in[i].data;
    return any;
}

/* One vector of channels of one sequence: x and dy are gathered; y becomes dx without the skip. */
static void backward_vector(const pha__args *a, int k, const float *K, float *d_kernel, const room *m)
{
    int64_t n = points(a);
    float *x = m->x + k * n * VF, *dy = m->y + k * n * VF;
    pha__fft_real(m->z, dy, table(a), n);
    if (wants_kernel(a)) {
        pha__fft_real(m->z2, x, table(a), n);
        add_correlation(d_kernel + k * n * Z, m->z2, m->z, n);
    }
    if (!a->d_in[PHA__SSM_X].data) return;
    multiply(m->z, K + k * n * Z, n, true);
    pha__fft_real_back(x, m->z, table(a), n);
}

static void add_skip(const pha__args *a, const room *m, float *dd)
{
    int64_t n = points(a);
    for (int k = 0; k < V; k++) {
        vf sum = vf_zero();
        for (int64_t t = 0; t < a->T; t++)
            sum = vf_fma(vf_load(m->x + (k * n + t) * VF), vf_load(m->y + (k * n + t) * VF), sum);
        vf_store(dd + k * VF, vf_load(dd + k * VF) + sum);
    }
}

static void backward_slice(const pha__args *a, int64_t g, int64_t slice, const room *m)
{
    float *sums = sliced(a) ? slice_of(a, g, slice) : sums_of(a, g), *dd = sums + group_floats(a);
    if (sliced(a) || !a->sums || !a->more) memset(sums, 0, (size_t)(group_floats(a) + CH) * sizeof *sums);
    int64_t end = sliced(a) ? slice + 1 : a->B;
    for (int64_t b = slice; b < end; b++) {
        place p = place_of(a, g, b);
        gather(a, &a->in[PHA__SSM_X], &p, m->x);
        gather(a, &a->d_out, &p, m->y);
        add_skip(a, m, dd);
        for (int k = 0; k < V; k++) backward_vector(a, k, kernel_of(a, g), sums, m);
        if (a->d_in[PHA__SSM_X].data) write_gradient(a, &p, m->x, m->y);
    }
}

/* Adds the slices of a group to its sums. */
static void add_slices(const pha__args *a, int64_t g, float *sums)
{
    int64_t n = group_floats(a) + CH;
    bool first = !a->sums || !a->more;
    if (first && a->sums) memcpy(sums, slice_of(a, g, 0), (size_t)n * sizeof *sums);
    for (int64_t i = first; i < slices(a); i++) pha__add_scaled(sums, 1, slice_of(a, g, i), n);
}

/* dK of group g from its sums, zero beyond T. */
static float *kernel_gradient(const pha__args *a, const float *sums, const room *m)
{
    int64_t n = points(a);
    vf scale = vf_set1(1.0f / (float)n);
    for (int k = 0; k < V; k++) {
        float *out = m->x + k * n * VF;
        memcpy(m->z, sums + k * n * Z, (size_t)(n * Z) * sizeof *out);
        pha__fft_real_back(out, m->z, table(a), n);
        for (int64_t i = 0; i < a->T * VF; i += VF) vf_store(out + i, scale * vf_load(out + i));
        memset(out + a->T * VF, 0, (size_t)((n - a->T) * VF) * sizeof *out);
    }
    return m->x;
}

static void backward_parameters(const pha__args *a, int64_t g, const room *m)
{
    place p = place_of(a, g, 0);
    float *sums = sums_of(a, g), *dd = sums + group_floats(a);
    if (sliced(a)) add_slices(a, g, sums);
    if (!ends(a)) return;
    const pha__view *d = &a->d_in[PHA__SSM_D];
    if (d->data) pha__row_grad(d, 0, p.first, p.n, dd, a->add & PHA__IN(PHA__SSM_D));
    if (wants_kernel(a))
        pha__ssm_gradients(a, g, kernel_gradient(a, sums, m), points(a), shared_of(a, g), m->modes);
}

/* Gradients of rate and im of all channels. */
static void sum_groups(const pha__args *a, float *row)
{
    int64_t N = a->in[PHA__SSM_C_RE].width;
    for (int part = 0; part < 2; part++) {
        const pha__view *d = &a->d_in[PHA__SSM_RATE + part];
        for (int64_t n = 0; n < N; n++) {
            double sum = 0;
            for (int64_t g = 0; d->data && g < groups(a); g++) sum += shared_of(a, g)[part * N + n];
            row[n] = (float)sum;
        }
        if (d->data) pha__row_grad(d, 0, 0, N, row, a->add & PHA__IN(PHA__SSM_RATE + part));
    }
}

static void backward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    room m = room_of(a, memory);
    for (int64_t k = begin; k < end; k++) {
        if (phase == 0) backward_slice(a, k / slices(a), k % slices(a), &m);
        else if (phase == 1) backward_parameters(a, k, &m);
        else sum_groups(a, m.x);
    }
}

PHA__KERNEL(ssm) = {.tasks = tasks, .forward = forward, .backward = backward, .work = work, .scratch = scratch};
