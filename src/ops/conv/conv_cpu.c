/* conv_cpu.c -- a task is a block of tokens of one sequence; vectors run over the channels
 *
 * A block reads up to n - 1 rows of its neighbour, so blocks do not wait for each other. The state is read by the first
 * block and written by a phase of its own. Backward walks a block in reverse with the gradients of rows t to t + n - 1
 * at hand, which give both
 *
 *   du_t = sum_j k_j dv_(t+j),     dk_j = sum_t u_t dv_(t+j)        (dv beyond the last token is 0)
 *
 * with dk per block in `work`, added in order by phase 1; the first block adds the rows before the first token.
 */
#include "backend/cpu/history.h"
#include "ops/conv/conv.h"

enum { U, TAPS }; /* inputs */
enum { BLOCK = 64, COLUMNS = 256 };
enum { ROW = VF > PHA__CONV_MAX ? VF : PHA__CONV_MAX }; /* a channel's taps; no less than a vector */

typedef struct lanes { /* room for some channels of a task */
    float taps[PHA__CONV_MAX][COLUMNS], d_taps[PHA__CONV_MAX][COLUMNS];
    float ring[PHA__CONV_MAX][COLUMNS]; /* the last rows, where they had to be widened */
    float x[COLUMNS], zero[COLUMNS];
} lanes;

typedef struct place { /* channels [first, first + n) of tokens [begin, end) of sequence b */
    int b;
    pha__sequence tokens;
    int64_t begin, end, first, n;
} place;

static int n_taps(const pha__args *a) { return a->in[TAPS].width; }
static int64_t blocks(const pha__args *a) { return (a->T + BLOCK - 1) / BLOCK; } /* of a sequence */
static size_t carried(const pha__args *a) { return (size_t)(n_taps(a) - 1) * (size_t)a->out.width; } /* floats */

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    if (phase == 0) return a->B * blocks(a);
    if (phase != 1) return 0;
    if (pass == PHA__FORWARD) return a->state ? a->B : 0;
    return a->d_in[TAPS].data ? (a->out.width + COLUMNS - 1) / COLUMNS : 0;
}

static size_t work(const pha__args *a, pha__pass pass)
{
    int64_t sums = a->B * blocks(a) * n_taps(a);
    return pass == PHA__BACKWARD ? (size_t)(sums * a->out.width) * sizeof(float) : 0;
}

static size_t scratch(const pha__args *a, pha__pass pass)
{
    (void)a, (void)pass;
    return sizeof(lanes);
}

/* taps[j] = tap j of each channel */
static void load_taps(const pha__args *a, const place *p, lanes *l)
{
    float buffer[ROW];
    for (int64_t i = 0; i < p->n; i++) {
        const float *k = pha__row_in(&a->in[TAPS], p->first + i, 0, n_taps(a), buffer);
        for (int j = 0; j < n_taps(a); j++) l->taps[j][i] = k[j];
    }
}

/* The input at token t; before the first token it is a row of `before` (NULL: 0). */
static const float *input(const pha__args *a, const place *p, int64_t t, const float *before, float *buffer,
                          const lanes *l)
{
    if (t >= 0) return pha__row_in(&a->in[U], p->tokens.row + t, p->first, p->n, buffer);
    return before ? before + (t + n_taps(a) - 1) * a->out.width + p->first : l->zero;
}

/* sum_j taps[j] row[j] */
static void weigh(float *out, const lanes *l, const float *const *row, int taps, int64_t n)
{
    for (int64_t i = 0; i < n; i += VF) {
        vf v = vf_load(l->taps[0] + i) * pha__load(row[0] + i, n - i);
        for (int j = 1; j < taps; j++) v = vf_fma(vf_load(l->taps[j] + i), pha__load(row[j] + i, n - i), v);
        pha__store(out + i, v, n - i);
    }
}

static void push(const float **row, const float *newest, int taps)
{
    for (int j = taps - 1; j > 0; j--) row[j] = row[j - 1];
    row[0] = newest;
}

static void forward_block(const pha__args *a, const place *p, lanes *l)
{
    int n = n_taps(a);
    const float *before = a->state ? pha__slot(a, p->b) : NULL, *row[PHA__CONV_MAX] = {0}; /* row[j]: u_(t-j) */
    for (int64_t t = p->begin - (n - 1); t < p->end; t++) {
        push(row, input(a, p, t, before, l->ring[(t + n) % n], l), n);
        if (t < p->begin) continue;
        int64_t at = p->tokens.row + t;
        float *out = pha__row_out(&a->out, at, p->first, l->x);
        weigh(out, l, row, n, p->n);
        pha__row_done(&a->out, at, p->first, p->n, out);
    }
}

static void backward_block(const pha__args *a, const place *p, lanes *l)
{
    int n = n_taps(a);
    bool sums = a->d_in[TAPS].data;
    int64_t low = sums && p->begin == 0 ? -(n - 1) : p->begin;
    const float *before = a->saved + (size_t)p->b * carried(a), *row[PHA__CONV_MAX] = {0}; /* row[j]: dv_(t+j) */
    memset(l->d_taps, 0, (size_t)n * sizeof l->d_taps[0]);
    for (int64_t t = p->end - 1 + (n - 1); t >= low; t--) {
        int64_t at = p->tokens.row + t;
        bool exists = t >= 0 && t < p->tokens.n;
        push(row, exists ? pha__row_in(&a->d_out, at, p->first, p->n, l->ring[t % n]) : l->zero, n);
        if (t >= p->end) continue;
        if (t >= 0 && a->d_in[U].data) {
            weigh(l->x, l, row, n, p->n);
            pha__row_grad(&a->d_in[U], at, p->first, p->n, l->x, a->add & PHA__IN(U));
        }
        if (!sums) continue;
        const float *u = input(a, p, t, before, l->x, l);
        for (int j = 0; j < n; j++) {
            float *sum = l->d_taps[j];
            for (int64_t i = 0; i < p->n; i += VF) {
                vf x = pha__load(u + i, p->n - i), d = pha__load(row[j] + i, p->n - i);
                vf_store(sum + i, vf_fma(x, d, vf_load(sum + i)));
            }
        }
    }
    float *out = (float *)a->work + (p->b * blocks(a) + p->begin / BLOCK) * n * a->out.width + p->first;
    for (int j = 0; sums && j < n; j++) memcpy(out + j * a->out.width, l->d_taps[j], (size_t)p->n * sizeof *out);
}

/* Runs a task of phase 0 over all channels, some at a time. */
static void run(const pha__args *a, int64_t task, lanes *l, void (*block)(const pha__args *, const place *, lanes *))
{
    place p = {.b = (int)(task / blocks(a)), .begin = task % blocks(a) * BLOCK};
    p.tokens = pha__sequence_of(a, p.b);
    p.end = p.begin + BLOCK < p.tokens.n ? p.begin + BLOCK : p.tokens.n;
    for (p.first = 0; p.first < a->out.width; p.first += COLUMNS) {
        p.n = a->out.width - p.first < COLUMNS ? a->out.width - p.first : COLUMNS;
        load_taps(a, &p, l);
        block(a, &p, l);
    }
}

static void forward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    lanes *l = memory;
    memset(l->zero, 0, sizeof l->zero);
    for (int64_t k = begin; k < end; k++) {
        if (phase == 1) pha__history_carry(a, (int)k, n_taps(a) - 1);
        else run(a, k, l, forward_block);
        if (phase == 0 && a->saved && k % blocks(a) == 0) pha__history_save(a, (int)(k / blocks(a)), n_taps(a) - 1);
    }
}

static void sum_taps(const pha__args *a, int64_t first, int64_t n, lanes *l)
{
    int taps = n_taps(a);
    int64_t S = a->out.width;
    float row[ROW];
    for (int64_t i = 0; i < n; i++) {
        pha__sum_begin(row, &a->d_in[TAPS], first + i, 0, taps, a->add & PHA__IN(TAPS));
        for (int j = 0; j < taps; j++) l->d_taps[j][i] = row[j];
    }
    for (int64_t k = 0; k < a->B * blocks(a); k++)
        for (int j = 0; j < taps; j++)
            pha__add_scaled(l->d_taps[j], 1.0f, (float *)a->work + (k * taps + j) * S + first, n);
    for (int64_t i = 0; i < n; i++) {
        for (int j = 0; j < taps; j++) row[j] = l->d_taps[j][i];
        pha__row_grad(&a->d_in[TAPS], first + i, 0, taps, row, false);
    }
}

static void backward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    lanes *l = memory;
    memset(l->zero, 0, sizeof l->zero);
    for (int64_t k = begin; k < end; k++) {
        int64_t first = k * COLUMNS, left = a->out.width - first;
        if (phase == 0) run(a, k, l, backward_block);
        else sum_taps(a, first, left < COLUMNS ? left : COLUMNS, l);
    }
}

PHA__KERNEL(conv) = {.tasks = tasks, .forward = forward, .backward = backward, .work = work, .scratch = scratch};
