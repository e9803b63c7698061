/* linear_attention_cpu.c -- one recurrence, run four times
 *
 *   S <- S + x_t y_t^T,   out_t = S^T q_t          S (rows, columns)
 *
 *   out       x = k, y = v, q = q, times r_t = 1 / (q_t . n_t + eps)
 *   dq        x = [v, 1], y = k, q = [do, e], times r_t      e_t = -<do_t, o_t>, r_t e_t is that of the denominator
 *   dk        x = [do, e], y = r q, q = [v, 1], from the last token to the first
 *   dv        x = q, y = r do, q = k, from the last token to the first                            (algorithms.md 4)
 *
 * This is the chunkwise form with chunks of one token. Longer ones cost more here, Q (M + dh) operations per token and
 * head besides the same 4 M dh: they are made for devices where only products of large matrices are fast. In place of
 * chunks some tokens pass at a time: a vector of S is read once, meets all of them in registers and is written once.
 * Every number has one order of summation, by token and by row, wherever a text is cut and however many pass together.
 *
 * A task is some columns of a head of a sequence, walked through all of T. The denominators are made by phase 0.
 */
#include "backend/cpu/rows.h"
#include "ops/linear_attention/linear_attention.h"

enum { Q, K, V };                                  /* inputs */
enum { COLUMNS = 32, BLOCK = 16 };                 /* of a task, and tokens that are loaded at a time */
enum { NV = 2, TOGETHER = VREGS == 32 ? 4 : 2 };   /* vectors and tokens in registers */

static const pha__linear_attention_attr *attr_of(const pha__args *a) { return a->attr; }
static int64_t heads(const pha__args *a) { return (int64_t)a->B * attr_of(a)->n_head; }
static bool rounded(const pha__args *a) { return a->out.dtype != PHA__F32; }

/* The output as it was before it was rounded. */
static pha__view exact_out(const pha__args *a)
{
    pha__view v = a->out;
    if (!rounded(a)) return v;
    v.data = a->saved ? a->saved + heads(a) * a->T : NULL;
    v.ld = v.width, v.dtype = PHA__F32;
    return v;
}

static int64_t blocks(int64_t width) { return (width + COLUMNS - 1) / COLUMNS; }

/* ---- the recurrence -------------------------------------------------------------------------------------- */

typedef struct block { /* of tokens, in the order in which they pass */
    const float *x[BLOCK], *q[BLOCK]; /* (rows) of each */
    float more_x[BLOCK], more_q[BLOCK]; /* of one row more, where there is one */
    float y[BLOCK * COLUMNS], out[BLOCK * COLUMNS];
} block;

/* A row of S, n vectors of it, and the tokens t0, t0 + 1, ...: x and q are their factors. */
#define PASS(x_of, q_of)                                                                         \
    {                                                                                            \
        vf s[NV];                                                                                \
        for (int v = 0; v < n; v++) s[v] = vf_load(S + v * VF);                                  \
        for (int t = 0; t < tokens; t++) {                                                       \
            vf x = vf_set1(x_of), q = vf_set1(q_of);                                             \
            for (int v = 0; v < n; v++) {                                                        \
                s[v] = vf_fma(x, y[t][v], s[v]);                                                 \
                acc[t][v] = vf_fma(q, s[v], acc[t][v]);                                          \
            }                                                                                    \
        }                                                                                        \
        for (int v = 0; v < n; v++) vf_store(S + v * VF, s[v]);                                  \
    }

PHA__INLINE void pass(const int tokens, const int n, float *S, int rows, bool more, block *b, int t0, int column)
{
    vf acc[TOGETHER][NV], y[TOGETHER][NV];
    for (int t = 0; t < tokens; t++)
        for (int v = 0; v < n; v++)
            y[t][v] = vf_load(b->y + (t0 + t) * COLUMNS + column + v * VF), acc[t][v] = vf_zero();
    const float *xs[TOGETHER], *qs[TOGETHER];
    for (int t = 0; t < tokens; t++) xs[t] = b->x[t0 + t], qs[t] = b->q[t0 + t];
    S += column;
    for (int r = 0; r < rows; r++, S += COLUMNS) PASS(xs[t][r], qs[t][r])
    if (more) PASS(b->more_x[t0 + t], b->more_q[t0 + t])
    for (int t = 0; t < tokens; t++)
        for (int v = 0; v < n; v++) vf_store(b->out + (t0 + t) * COLUMNS + column + v * VF, acc[t][v]);
}

static void pass_many(float *S, int rows, bool more, block *b, int t0, int column)
{
    pass(TOGETHER, NV, S, rows, more, b, t0, column);
}

static void pass_one(float *S, int rows, bool more, block *b, int t0, int column)
{
    pass(1, NV, S, rows, more, b, t0, column);
}

/* All tokens of a block and all columns of S (rows, COLUMNS); those beyond the head are zeros. */
static void run_block(float *S, int rows, bool more, block *b, int count)
{
    for (int column = 0; column < COLUMNS; column += NV * VF) {
        int t = 0;
        for (; t + TOGETHER <= count; t += TOGETHER) pass_many(S, rows, more, b, t, column);
        for (; t < count; t++) pass_one(S, rows, more, b, t, column);
    }
}

/* ---- the four of them ------------------------------------------------------------------------------------ */

typedef struct sweep {
    const pha__args *a;
    const pha__view *x, *q, *y, *out;
    const pha__view *copy; /* of what goes to out; NULL: none */
    const float *r, *e;   /* (B, T, H); e NULL: no row more */
    int head, rows, first, columns; /* columns [first, first + columns) of the head in y and out */
    int x_width, y_width; /* of a head in x and q, in y and out */
    bool reverse, e_in_x, scale_y, scale_out, add;
} sweep;

static size_t scratch_floats(const pha__linear_attention_attr *c)
{
    int64_t wide = c->n_feature > c->head_width ? c->n_feature : c->head_width;
    return (size_t)((wide + 1) * COLUMNS + 2 * BLOCK * wide) + sizeof(block) / sizeof(float) + 16;
}

/* Token i of the block that begins at the t-th token passing is row row_of of the values. */
static int64_t row_of(const sweep *s, pha__sequence tokens, int64_t t)
{
    return tokens.row + (s->reverse ? tokens.n - 1 - t : t);
}

static void load_token(const sweep *s, block *b, int i, int64_t row, float *room)
{
    int64_t at = row * attr_of(s->a)->n_head + s->head;
    float *bx = room + i * s->x_width, *bq = room + (BLOCK + i) * s->x_width, *y = b->y + i * COLUMNS;
    b->x[i] = pha__row_in(s->x, row, (int64_t)s->head * s->x_width, s->x_width, bx);
    b->q[i] = pha__row_in(s->q, row, (int64_t)s->head * s->x_width, s->x_width, bq);
    if (s->e) b->more_x[i] = s->e_in_x ? s->e[at] : 1, b->more_q[i] = s->e_in_x ? 1 : s->e[at];
    float widened[COLUMNS];
    const float *from = pha__row_in(s->y, row, (int64_t)s->head * s->y_width + s->first, s->columns, widened);
    vf r = vf_set1(s->scale_y ? s->r[at] : 1);
    for (int j = 0; j < COLUMNS; j += VF)
        vf_store(y + j, j < s->columns ? r * pha__load(from + j, s->columns - j) : vf_zero());
}

static void store_token(const sweep *s, block *b, int i, int64_t row)
{
    float *out = b->out + i * COLUMNS;
    vf r = vf_set1(s->r[row * attr_of(s->a)->n_head + s->head]);
    for (int j = 0; s->scale_out && j < COLUMNS; j += VF) vf_store(out + j, r * vf_load(out + j));
    int64_t column = (int64_t)s->head * s->y_width + s->first;
    pha__row_grad(s->out, row, column, s->columns, out, s->add);
    if (s->copy) pha__row_grad(s->copy, row, column, s->columns, out, false);
}

/* Columns of S from a session's state, and back; NULL: S begins as zeros. */
static void run_sweep(const sweep *s, int sequence, float *state, float *memory)
{
    pha__sequence tokens = pha__sequence_of(s->a, sequence);
    size_t bytes = (size_t)s->columns * sizeof(float);
    block *b = (block *)memory;
    float *S = memory + (sizeof *b + 63) / 64 * 16, *room = S + (s->rows + 1) * COLUMNS;
    memset(S, 0, (size_t)(s->rows + 1) * COLUMNS * sizeof *S);
    for (int r = 0; state && r < s->rows; r++) memcpy(S + r * COLUMNS, state + r * s->y_width + s->first, bytes);
    for (int64_t t = 0; t < tokens.n; t += BLOCK) {
        int count = tokens.n - t < BLOCK ? (int)(tokens.n - t) : BLOCK;
        for (int i = 0; i < count; i++) load_token(s, b, i, row_of(s, tokens, t + i), room);
        run_block(S, s->rows, s->e, b, count);
        for (int i = 0; i < count; i++) store_token(s, b, i, row_of(s, tokens, t + i));
    }
    for (int r = 0; state && r < s->rows; r++) memcpy(state + r * s->y_width + s->first, S + r * COLUMNS, bytes);
}

/* ---- forward --------------------------------------------------------------------------------------------- */

/* r_t of all tokens of a head, and n of the session. */
static void denominators(const pha__args *a, int64_t task, float *r, float *memory)
{
    const pha__linear_attention_attr *c = attr_of(a);
    int b = (int)(task / c->n_head), head = (int)(task % c->n_head), M = c->n_feature;
    pha__sequence tokens = pha__sequence_of(a, b);
    float *sum = memory, *bq = sum + M, *bk = bq + M;
    float *state = a->state ? (float *)pha__slot(a, b) + (int64_t)M * (c->n_head * c->head_width + head) : NULL;
    if (state) memcpy(sum, state, (size_t)M * sizeof *sum);
    else memset(sum, 0, (size_t)M * sizeof *sum);
    for (int64_t row = tokens.row; row < tokens.row + tokens.n; row++) {
        pha__add_scaled(sum, 1.0f, pha__row_in(&a->in[K], row, (int64_t)head * M, M, bk), M);
        r[row * c->n_head + head] =
            1.0f / (pha__dot(pha__row_in(&a->in[Q], row, (int64_t)head * M, M, bq), sum, M) + c->eps);
    }
    if (state) memcpy(state, sum, (size_t)M * sizeof *sum);
}

static void columns_forward(const pha__args *a, int64_t task, const float *r, float *memory)
{
    const pha__linear_attention_attr *c = attr_of(a);
    int64_t parts = blocks(c->head_width), index = task / parts;
    int b = (int)(index / c->n_head), first = (int)(task % parts) * COLUMNS, left = c->head_width - first;
    sweep s = {.a = a, .x = &a->in[K], .q = &a->in[Q], .y = &a->in[V], .out = &a->out, .r = r,
               .head = (int)(index % c->n_head), .rows = c->n_feature, .first = first,
               .columns = left < COLUMNS ? left : COLUMNS, .x_width = c->n_feature, .y_width = c->head_width,
               .scale_out = true};
    pha__view copy = exact_out(a);
    if (rounded(a) && copy.data) s.copy = &copy;
    float *state = a->state ? (float *)pha__slot(a, b) + (int64_t)s.head * c->n_feature * c->head_width : NULL;
    run_sweep(&s, b, state, memory);
}

static void forward(const pha__args *a, int phase, int64_t begin, int64_t end, void *scratch)
{
    float *r = a->saved ? a->saved : a->work;
    for (int64_t i = begin; i < end; i++)
        if (phase == 0) denominators(a, i, r, scratch);
        else columns_forward(a, i, r, scratch);
}

/* ---- backward -------------------------------------------------------------------------------------------- */

/* e_t of all tokens of a head */
static void products(const pha__args *a, int64_t task, float *e, float *memory)
{
    const pha__linear_attention_attr *c = attr_of(a);
    int head = (int)(task % c->n_head), dh = c->head_width;
    pha__sequence tokens = pha__sequence_of(a, (int)(task / c->n_head));
    pha__view o = exact_out(a);
    for (int64_t row = tokens.row; row < tokens.row + tokens.n; row++)
        e[row * c->n_head + head] = -pha__dot(pha__row_in(&a->d_out, row, (int64_t)head * dh, dh, memory),
                                              pha__row_in(&o, row, (int64_t)head * dh, dh, memory + dh), dh);
}

/* Which gradient, of a head. */
static sweep sweep_of(const pha__args *a, int input)
{
    const pha__linear_attention_attr *c = attr_of(a);
    sweep s = {.a = a, .r = a->saved, .out = &a->d_in[input], .add = a->add & PHA__IN(input), .reverse = input != Q};
    s.x_width = s.rows = input == V ? c->n_feature : c->head_width;
    s.y_width = input == V ? c->head_width : c->n_feature;
    if (input != V) s.e = a->work;
    if (input == Q) s.x = &a->in[V], s.y = &a->in[K], s.q = &a->d_out, s.scale_out = true;
    if (input == K) s.x = &a->d_out, s.y = &a->in[Q], s.q = &a->in[V], s.e_in_x = s.scale_y = true;
    if (input == V) s.x = &a->in[Q], s.y = &a->d_out, s.q = &a->in[K], s.scale_y = true;
    return s;
}

static int64_t gradient_tasks(const pha__args *a, int input)
{
    const pha__linear_attention_attr *c = attr_of(a);
    return a->d_in[input].data ? heads(a) * blocks(input == V ? c->head_width : c->n_feature) : 0;
}

static void columns_backward(const pha__args *a, int64_t task, float *memory)
{
    int input = Q;
    while (task >= gradient_tasks(a, input)) task -= gradient_tasks(a, input++);
    sweep s = sweep_of(a, input);
    int64_t parts = blocks(s.y_width), index = task / parts;
    s.head = (int)(index % attr_of(a)->n_head), s.first = (int)(task % parts) * COLUMNS;
    s.columns = s.y_width - s.first < COLUMNS ? s.y_width - s.first : COLUMNS;
    run_sweep(&s, (int)(index / attr_of(a)->n_head), NULL, memory);
}

static void backward(const pha__args *a, int phase, int64_t begin, int64_t end, void *scratch)
{
    for (int64_t i = begin; i < end; i++)
        if (phase == 0) products(a, i, a->work, scratch);
        else columns_backward(a, i, scratch);
}

/* ---- the kernel ------------------------------------------------------------------------------------------ */

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    if (phase == 0) return heads(a);
    if (phase > 1) return 0;
    if (pass == PHA__FORWARD) return heads(a) * blocks(attr_of(a)->head_width);
    return gradient_tasks(a, Q) + gradient_tasks(a, K) + gradient_tasks(a, V);
}

static size_t work(const pha__args *a, pha__pass pass)
{
    (void)pass;
    return (size_t)(heads(a) * a->T) * sizeof(float);
}

static size_t scratch_size(const pha__args *a, pha__pass pass)
{
    (void)pass;
    return scratch_floats(attr_of(a)) * sizeof(float);
}

PHA__KERNEL(linear_attention) = {
    .tasks = tasks, .forward = forward, .backward = backward, .work = work, .scratch = scratch_size,
};
