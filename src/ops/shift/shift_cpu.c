/* shift_cpu.c -- a task is a block of tokens of one sequence; vectors run over the channels
 *
 * A block reads up to n - 1 rows of its neighbour, so blocks do not wait for each other. The taps, [n][channels to
 * COLUMNS], are made first, in `work`. The state is read by the first block and written by a phase of its own. Some
 * channels of some tokens are brought together, and several sums run at a time, each in the order of its taps (of its
 * tokens, from the last to the first) by itself:
 *
 *   v_t = sum_j k_j u_(t-j),     du_t = sum_j k_j dv_(t+j),     dk_j = sum_t u_t dv_(t+j)     (dv beyond the last is 0)
 *
 * with dk per block in `work`, summed over the blocks of a sequence by a later phase, which goes on to the parameters:
 *
 *   dc_i = sum_j dk_j b_(i-j),     db_i = sum_j dk_j c_(i+j)          (algorithms.md 2.5)
 *
 * The first block of a sequence adds the rows before the first token to dk.
 */
#include "backend/cpu/history.h"
#include "ops/shift/shift.h"

enum { U, B, C, SKIP }; /* inputs */
enum { PIECE = 64, BLOCK = 256, COLUMNS = 32, SUMS = 8 };
enum { ROWS = PIECE + PHA__SHIFT_MAX - 1 };

typedef struct room { /* of some channels */
    float taps[PHA__SHIFT_MAX][COLUMNS], d_taps[PHA__SHIFT_MAX][COLUMNS];
    float u[ROWS][COLUMNS], dv[ROWS][COLUMNS], out[PIECE][COLUMNS];
} room;

typedef struct place { /* channels [first, first + n) of tokens [begin, end) of sequence b */
    int b;
    pha__sequence tokens;
    int64_t begin, end, first, n;
} place;

static int n_taps(const pha__args *a) { return a->in[B].width; }
static int64_t blocks(const pha__args *a) { return (a->T + BLOCK - 1) / BLOCK; } /* of a sequence */
static size_t carried(const pha__args *a) { return (size_t)(n_taps(a) - 1) * (size_t)a->out.width; } /* floats */
static int64_t columns(const pha__args *a) { return (a->out.width + COLUMNS - 1) / COLUMNS; } /* pieces of the width */
static int64_t floats(const pha__args *a) { return n_taps(a) * columns(a) * COLUMNS; } /* of the taps */

static bool wants_taps(const pha__args *a) { return a->d_in[B].data || a->d_in[C].data || a->d_in[SKIP].data; }

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    if (phase == 0) return columns(a); /* taps */
    if (phase == 1) return a->B * blocks(a);
    if (phase != 2) return 0;
    if (pass == PHA__FORWARD) return a->state ? a->B : 0;
    return wants_taps(a) ? columns(a) : 0;
}

static size_t work(const pha__args *a, pha__pass pass)
{
    int64_t sums = pass == PHA__BACKWARD ? a->B * blocks(a) : 0;
    return (size_t)((1 + sums) * floats(a)) * sizeof(float);
}

static size_t scratch(const pha__args *a, pha__pass pass)
{
    (void)a, (void)pass;
    return sizeof(room);
}

/* Taps of piece c of the width, [n][COLUMNS]; block -1: the taps themselves, else their gradient in that block. */
static float *taps_of(const pha__args *a, int64_t c, int64_t block)
{
    return (float *)a->work + (block + 1) * floats(a) + c * n_taps(a) * COLUMNS;
}

/* ---- taps ---- */

static void set_columns(const pha__args *a, int64_t c, place *p)
{
    p->first = c * COLUMNS;
    p->n = a->out.width - p->first < COLUMNS ? a->out.width - p->first : COLUMNS;
}

/* A parameter (S, n) as [n][COLUMNS], 0 where there is no channel. */
static void load_parameter(const pha__args *a, int input, const place *p, float (*out)[COLUMNS])
{
    float buffer[PHA__SHIFT_MAX];
    memset(out, 0, (size_t)n_taps(a) * sizeof *out);
    for (int64_t i = 0; i < p->n; i++) {
        const float *k = pha__row_in(&a->in[input], p->first + i, 0, n_taps(a), buffer);
        for (int j = 0; j < n_taps(a); j++) out[j][i] = k[j];
    }
}

/* to += x y of all channels */
PHA__INLINE void add_product(float *to, const float *x, const float *y)
{
    for (int i = 0; i < COLUMNS; i += VF) vf_store(to + i, vf_fma(vf_load(x + i), vf_load(y + i), vf_load(to + i)));
}

static void make_taps(const pha__args *a, int64_t c, room *r)
{
    place p = {.b = 0};
    int n = n_taps(a);
    set_columns(a, c, &p);
    load_parameter(a, B, &p, r->taps);
    load_parameter(a, C, &p, r->u);
    memset(r->out, 0, sizeof r->out);
    for (int j = 0; j < n; j++)
        for (int i = 0; i + j < n; i++) add_product(r->out[j], r->taps[i], r->u[i + j]);
    const float *d = pha__row_in(&a->in[SKIP], 0, p.first, p.n, r->dv[0]);
    for (int64_t i = 0; i < p.n; i++) r->out[0][i] += d[i];
    memcpy(taps_of(a, c, -1), r->out, (size_t)n * sizeof *r->out);
}

/* From dk, the sum over the blocks of a sequence, to the parameters. */
static void store_parameter(const pha__args *a, int input, const place *p, float (*from)[COLUMNS], bool add)
{
    float row[PHA__SHIFT_MAX];
    for (int64_t i = 0; i < p->n; i++) {
        for (int j = 0; j < n_taps(a); j++) row[j] = from[j][i];
        pha__row_grad(&a->d_in[input], p->first + i, 0, n_taps(a), row, add);
    }
}

/* Sequence p->b. */
static void add_taps(const pha__args *a, int64_t c, const place *p, room *r)
{
    int n = n_taps(a);
    uint32_t add = p->b ? ~0u : a->add;
    pha__sum_blocks(r->d_taps[0], taps_of(a, c, p->b * blocks(a)), blocks(a), floats(a), n * COLUMNS);
    if (a->d_in[SKIP].data) pha__row_grad(&a->d_in[SKIP], 0, p->first, p->n, r->d_taps[0], add & PHA__IN(SKIP));
    if (!a->in[C].data) {
        if (a->d_in[B].data) store_parameter(a, B, p, r->d_taps, add & PHA__IN(B));
        return;
    }
    memset(r->dv, 0, sizeof r->dv);
    memset(r->out, 0, sizeof r->out);
    for (int j = 0; j < n; j++) {
        for (int i = 0; i + j < n; i++) {
            add_product(r->dv[i + j], r->d_taps[j], r->taps[i]); /* dc */
            add_product(r->out[i], r->d_taps[j], r->u[i + j]);   /* db */
        }
    }
    if (a->d_in[B].data) store_parameter(a, B, p, r->out, add & PHA__IN(B));
    if (a->d_in[C].data) store_parameter(a, C, p, r->dv, add & PHA__IN(C));
}

static void sum_taps(const pha__args *a, int64_t c, room *r)
{
    place p = {.b = 0};
    set_columns(a, c, &p);
    load_parameter(a, B, &p, r->taps);
    if (a->in[C].data) load_parameter(a, C, &p, r->u);
    for (; p.b < a->B; p.b++) add_taps(a, c, &p, r);
}

/* ---- rows ---- */

/* The input at tokens [from, to); before the first token it is a row of `before` (NULL: 0). */
static void read_inputs(const pha__args *a, const place *p, int64_t from, int64_t to, const float *before,
                        float (*out)[COLUMNS])
{
    for (int64_t t = from; t < to; t++, out++) {
        memset(*out, 0, sizeof *out);
        if (t >= 0) {
            const float *row = pha__row_in(&a->in[U], p->tokens.row + t, p->first, p->n, *out);
            if (row != *out) memcpy(*out, row, (size_t)p->n * sizeof **out);
        } else if (before) {
            memcpy(*out, before + (t + n_taps(a) - 1) * a->out.width + p->first, (size_t)p->n * sizeof **out);
        }
    }
}

/* The gradients at tokens [from, to), 0 where there is none. */
static void read_gradients(const pha__args *a, const place *p, int64_t from, int64_t to, float (*out)[COLUMNS])
{
    for (int64_t t = from; t < to; t++, out++) {
        memset(*out, 0, sizeof *out);
        if (t < 0 || t >= p->tokens.n) continue;
        const float *row = pha__row_in(&a->d_out, p->tokens.row + t, p->first, p->n, *out);
        if (row != *out) memcpy(*out, row, (size_t)p->n * sizeof **out);
    }
}

/* ---- sums ---- */

#define EACH_SUM(q) _Pragma("GCC unroll 8") for (int q = 0; q < SUMS; q++)

/* out[q] = sum_j taps[j] row[q + step j] for q < SUMS */
PHA__INLINE void weigh_some(float (*out)[COLUMNS], float (*taps)[COLUMNS], float (*row)[COLUMNS], int n, int step,
                            int i)
{
    vf sum[SUMS], k = vf_load(taps[0] + i);
    EACH_SUM(q) sum[q] = k * vf_load(row[q] + i);
    for (int j = 1; j < n; j++) {
        k = vf_load(taps[j] + i);
        EACH_SUM(q) sum[q] = vf_fma(k, vf_load(row[q + step * j] + i), sum[q]);
    }
    EACH_SUM(q) vf_store(out[q] + i, sum[q]);
}

PHA__INLINE void weigh_one(float *out, float (*taps)[COLUMNS], float (*row)[COLUMNS], int n, int step, int i)
{
    vf sum = vf_load(taps[0] + i) * vf_load(row[0] + i);
    for (int j = 1; j < n; j++) sum = vf_fma(vf_load(taps[j] + i), vf_load(row[step * j] + i), sum);
    vf_store(out + i, sum);
}

/* out[t] = sum_j taps[j] row[t + step j] for t < tokens, of `width` channels */
static void weigh(float (*out)[COLUMNS], float (*taps)[COLUMNS], float (*row)[COLUMNS], int n, int step, int64_t tokens,
                  int64_t width)
{
    for (int i = 0; i < width; i += VF) {
        int64_t t = 0;
        for (; t + SUMS <= tokens; t += SUMS) weigh_some(out + t, taps, row + t, n, step, i);
        for (; t < tokens; t++) weigh_one(out[t], taps, row + t, n, step, i);
    }
}

/* d_taps[j] += sum of u[t] dv[t + j] over t from the last one to 0 */
PHA__INLINE void correlate_some(float (*d_taps)[COLUMNS], float (*u)[COLUMNS], float (*dv)[COLUMNS], int64_t tokens,
                                int i, int taps)
{
    vf sum[SUMS];
    _Pragma("GCC unroll 8") for (int j = 0; j < taps; j++) sum[j] = vf_load(d_taps[j] + i);
    for (int64_t t = tokens; t-- > 0;) {
        vf x = vf_load(u[t] + i);
        _Pragma("GCC unroll 8") for (int j = 0; j < taps; j++) sum[j] = vf_fma(x, vf_load(dv[t + j] + i), sum[j]);
    }
    _Pragma("GCC unroll 8") for (int j = 0; j < taps; j++) vf_store(d_taps[j] + i, sum[j]);
}

static void correlate(room *r, int n, int64_t tokens, int64_t width)
{
    for (int i = 0; i < width; i += VF) {
        int j = 0;
        for (; j + SUMS <= n; j += SUMS) correlate_some(r->d_taps + j, r->u, r->dv + j, tokens, i, SUMS);
        for (; j < n; j++) correlate_some(r->d_taps + j, r->u, r->dv + j, tokens, i, 1);
    }
}

/* ---- passes ---- */

static void forward_piece(const pha__args *a, const place *p, int64_t begin, int64_t end, room *r)
{
    int n = n_taps(a);
    read_inputs(a, p, begin - (n - 1), end, a->state ? pha__slot(a, p->b) : NULL, r->u);
    weigh(r->out, r->taps, r->u + n - 1, n, -1, end - begin, p->n);
    for (int64_t t = begin; t < end; t++) {
        int64_t at = p->tokens.row + t;
        float *out = pha__row_out(&a->out, at, p->first, r->out[t - begin]);
        if (out != r->out[t - begin]) memcpy(out, r->out[t - begin], (size_t)p->n * sizeof *out);
        pha__row_done(&a->out, at, p->first, p->n, out);
    }
}

/* Tokens [begin, end); those before the first one are added to dk only. */
static void backward_piece(const pha__args *a, const place *p, int64_t begin, int64_t end, room *r)
{
    int n = n_taps(a);
    read_gradients(a, p, begin, end + n - 1, r->dv);
    if (begin >= 0 && a->d_in[U].data) {
        weigh(r->out, r->taps, r->dv, n, 1, end - begin, p->n);
        for (int64_t t = begin; t < end; t++)
            pha__row_grad(&a->d_in[U], p->tokens.row + t, p->first, p->n, r->out[t - begin], a->add & PHA__IN(U));
    }
    if (!wants_taps(a)) return;
    read_inputs(a, p, begin, end, a->saved + (size_t)p->b * carried(a), r->u);
    correlate(r, n, end - begin, p->n);
}

static void forward_block(const pha__args *a, const place *p, room *r)
{
    for (int64_t t = p->begin; t < p->end; t += PIECE)
        forward_piece(a, p, t, t + PIECE < p->end ? t + PIECE : p->end, r);
}

static void backward_block(const pha__args *a, const place *p, room *r)
{
    int n = n_taps(a);
    memset(r->d_taps, 0, sizeof r->d_taps);
    for (int64_t t = (p->end - 1) / PIECE * PIECE; t >= p->begin; t -= PIECE)
        backward_piece(a, p, t, t + PIECE < p->end ? t + PIECE : p->end, r);
    if (!wants_taps(a)) return;
    if (p->begin == 0) backward_piece(a, p, -(n - 1), 0, r);
    int64_t block = p->b * blocks(a) + p->begin / BLOCK;
    memcpy(taps_of(a, p->first / COLUMNS, block), r->d_taps, (size_t)n * sizeof *r->d_taps);
}

/* Runs a task over all channels, some at a time. */
static void run(const pha__args *a, int64_t task, room *r, void (*block)(const pha__args *, const place *, room *))
{
    place p = {.b = (int)(task / blocks(a)), .begin = task % blocks(a) * BLOCK};
    p.tokens = pha__sequence_of(a, p.b);
    p.end = p.begin + BLOCK < p.tokens.n ? p.begin + BLOCK : p.tokens.n;
    for (int64_t c = 0; c < columns(a); c++) {
        set_columns(a, c, &p);
        memcpy(r->taps, taps_of(a, c, -1), (size_t)n_taps(a) * sizeof *r->taps);
        block(a, &p, r);
    }
}

static void forward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    for (int64_t k = begin; k < end; k++) {
        if (phase == 0) make_taps(a, k, memory);
        else if (phase == 2) pha__history_carry(a, (int)k, n_taps(a) - 1);
        else run(a, k, memory, forward_block);
        if (phase == 1 && a->saved && k % blocks(a) == 0) pha__history_save(a, (int)(k / blocks(a)), n_taps(a) - 1);
    }
}

static void backward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    for (int64_t k = begin; k < end; k++) {
        if (phase == 0) make_taps(a, k, memory);
        else if (phase == 1) run(a, k, memory, backward_block);
        else sum_taps(a, k, memory);
    }
}

PHA__KERNEL(shift) = {.tasks = tasks, .forward = forward, .backward = backward, .work = work, .scratch = scratch};
