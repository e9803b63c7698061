/* hedgehog_cpu.c -- forward: a task is a head of a block of rows. Backward: a head of a segment of a sequence, which
 * makes the features again; its sum of dW goes to `work`, and phase 1 adds the segments in order
 *
 *   softmax    dy = s+ (ds+ - <ds+, s+>) - s- (ds- - <ds-, s->)
 *   exp        dy = f+ df+ - f- df-, less the sum of f df at the place of the largest, whose exponent is taken from all
 *   dx = W^T dy,   dW = sum over tokens of dy x^T
 */
#include "backend/cpu/gemm.h"
#include "backend/cpu/rows.h"
#include "ops/hedgehog/hedgehog.h"

enum { X, W, ROWS = PHA__ROW_BLOCK, SEGMENT = 16 * ROWS }; /* inputs; rows at a time, and per sum of dW */

static const pha__hedgehog_attr *attr_of(const pha__args *a) { return a->attr; }
static int64_t segments_each(const pha__args *a) { return (a->T + SEGMENT - 1) / SEGMENT; } /* of a sequence */
static int64_t segments(const pha__args *a) { return a->B * segments_each(a); }

typedef struct memory {
    float *w, *x, *y, *f, *d, *dy, *dx; /* (dh, dh); (ROWS, dh), f and d (2 dh); */
    void *gemm;
} memory;

static size_t lines(size_t floats) { return (floats + 15) / 16 * 16; }

static size_t take(memory *m, const pha__args *a, float *at)
{
    size_t dh = (size_t)attr_of(a)->head_width, block = lines(ROWS * dh);
    float *begin = at;
    m->w = at, at += lines(dh * dh);
    m->x = at, m->y = m->x + block, m->dy = m->y + block, m->dx = m->dy + block, at = m->dx + block;
    m->f = at, m->d = m->f + 2 * block, at = m->d + 2 * block;
    m->gemm = at;
    return (size_t)(at - begin);
}

static size_t scratch(const pha__args *a, pha__pass pass)
{
    memory m;
    int64_t dh = attr_of(a)->head_width, most = dh > ROWS ? dh : ROWS;
    (void)pass;
    return take(&m, a, NULL) * sizeof(float) + pha__gemm_scratch(most, dh, most);
}

static size_t work(const pha__args *a, pha__pass pass)
{
    size_t one = (size_t)a->in[W].rows * (size_t)a->in[W].width * sizeof(float);
    return pass == PHA__BACKWARD ? (size_t)segments(a) * one : 0;
}

/* C (m, n) = or += A (m, k) B (k, n), whose elements lie a_row and a_col, b_row and b_col apart. */
static void multiply(float *c, const float *a, int64_t a_row, int64_t a_col, const float *b, int64_t b_row,
                     int64_t b_col, int64_t m, int64_t n, int64_t k, bool add, void *room)
{
    pha__gemm g = {.m = m, .n = n, .k = k, .a = a, .b = b, .c = c, .a_row = a_row, .a_col = a_col, .b_row = b_row,
                   .b_col = b_col, .c_row = n, .add = add};
    pha__gemm_run(&g, 0, pha__gemm_tasks(&g), room);
}

static void load_map(const pha__args *a, int head, memory *m)
{
    int64_t dh = attr_of(a)->head_width;
    for (int64_t i = 0; i < dh; i++) {
        const float *row = pha__row_in(&a->in[W], head * dh + i, 0, dh, m->w + i * dh);
        if (row != m->w + i * dh) memcpy(m->w + i * dh, row, (size_t)dh * sizeof *row);
    }
}

/* x and y = W x of rows [row, row + n) */
static void load_block(const pha__args *a, int head, int64_t row, int64_t n, memory *m)
{
    int64_t dh = attr_of(a)->head_width;
    for (int64_t i = 0; i < n; i++) {
        const float *x = pha__row_in(&a->in[X], row + i, head * dh, dh, m->x + i * dh);
        if (x != m->x + i * dh) memcpy(m->x + i * dh, x, (size_t)dh * sizeof *x);
    }
    multiply(m->y, m->x, dh, 1, m->w, 1, dh, n, dh, dh, false, m->gemm);
}

/* ---- the features of a row ------------------------------------------------------------------------------- */

/* out_i = e^(sign y_i - top); their sum */
static float exponentials(float *out, const float *y, int64_t n, float sign, float top)
{
    vf s = vf_set1(sign), t = vf_set1(top), sum = vf_zero();
    int64_t i = 0;
    for (; i + VF <= n; i += VF) {
        vf e = vf_exp(vf_fma(s, vf_load(y + i), -t));
        vf_store(out + i, e);
        sum += e;
    }
    float rest = 0, last[VF];
    if (i < n) vf_store(last, vf_exp(vf_fma(s, vf_load_n(y + i, (int)(n - i)), -t)));
    for (int64_t j = i; j < n; j++) rest += out[j] = last[j - i];
    return vf_sum(sum) + rest;
}

static float largest(const float *y, int64_t n, float sign)
{
    vf s = vf_set1(sign), top = vf_set1(sign * y[0]);
    int64_t i = 0;
    for (; i + VF <= n; i += VF) top = vf_max(top, s * vf_load(y + i));
    float most = vf_hmax(top);
    for (; i < n; i++) most = sign * y[i] > most ? sign * y[i] : most;
    return most;
}

static void scale(float *x, float f, int64_t n)
{
    for (int64_t i = 0; i < n; i += VF) pha__store(x + i, vf_set1(f) * pha__load(x + i, n - i), n - i);
}

/* [f+; f-], before what is below the floor is raised */
static void features(const pha__args *a, float *f, const float *y)
{
    int64_t dh = attr_of(a)->head_width;
    float up = largest(y, dh, 1), down = largest(y, dh, -1);
    bool exp_map = attr_of(a)->map == PHA__MAP_EXP;
    if (exp_map) up = down = up > down ? up : down;
    float plus = exponentials(f, y, dh, 1, up), minus = exponentials(f + dh, y, dh, -1, down);
    if (exp_map) return;
    scale(f, 1 / plus, dh);
    scale(f + dh, 1 / minus, dh);
}

/* dy from d; d becomes f d, or 0 where f was raised to the floor. */
static void features_backward(const pha__args *a, float *dy, float *d, const float *f, const float *y)
{
    int64_t dh = attr_of(a)->head_width;
    vf floor = vf_set1(attr_of(a)->floor), sums[2] = {vf_zero(), vf_zero()};
    for (int half = 0; half < 2; half++)
        for (int64_t i = 0; i < dh; i += VF) {
            vf fi = pha__load(f + half * dh + i, dh - i), p = fi * pha__load(d + half * dh + i, dh - i);
            p = vf_select(fi >= floor, p, vf_zero());
            pha__store(d + half * dh + i, p, dh - i);
            sums[half] += p;
        }
    vf plus = vf_set1(vf_sum(sums[0])), minus = vf_set1(vf_sum(sums[1]));
    bool exp_map = attr_of(a)->map == PHA__MAP_EXP;
    for (int64_t i = 0; i < dh; i += VF) {
        vf up = pha__load(d + i, dh - i), down = pha__load(d + dh + i, dh - i);
        if (!exp_map) up -= plus * pha__load(f + i, dh - i), down -= minus * pha__load(f + dh + i, dh - i);
        pha__store(dy + i, up - down, dh - i);
    }
    if (!exp_map) return;
    int64_t at = 0;
    for (int64_t i = 1; i < dh; i++) at = fabsf(y[i]) > fabsf(y[at]) ? i : at;
    float all = vf_sum(sums[0]) + vf_sum(sums[1]);
    dy[at] -= y[at] < 0 ? -all : all;
}

/* ---- passes ---------------------------------------------------------------------------------------------- */

static void forward(const pha__args *a, int phase, int64_t begin, int64_t end, void *at)
{
    (void)phase;
    int64_t dh = attr_of(a)->head_width, heads = attr_of(a)->n_head;
    vf floor = vf_set1(attr_of(a)->floor);
    memory m;
    take(&m, a, at);
    for (int64_t task = begin; task < end; task++) {
        int64_t block = task / heads, head = task % heads, row = block * ROWS;
        load_map(a, (int)head, &m);
        load_block(a, (int)head, row, pha__row_block_end(a, block) - row, &m);
        for (int64_t i = 0; row < pha__row_block_end(a, block); row++, i++) {
            features(a, m.f, m.y + i * dh);
            for (int64_t j = 0; j < 2 * dh; j += VF)
                pha__store(m.f + j, vf_max(floor, pha__load(m.f + j, 2 * dh - j)), 2 * dh - j);
            pha__row_grad(&a->out, row, head * 2 * dh, 2 * dh, m.f, false);
        }
    }
}

/* Rows [row, row + n) of a head; dW is added to. */
static void backward_block(const pha__args *a, int head, int64_t row, int64_t n, float *dw, memory *m)
{
    int64_t dh = attr_of(a)->head_width;
    load_block(a, head, row, n, m);
    for (int64_t i = 0; i < n; i++) {
        const float *d = pha__row_in(&a->d_out, row + i, head * 2 * dh, 2 * dh, m->d);
        if (d != m->d) memcpy(m->d, d, (size_t)(2 * dh) * sizeof *d);
        features(a, m->f, m->y + i * dh);
        features_backward(a, m->dy + i * dh, m->d, m->f, m->y + i * dh);
    }
    multiply(dw, m->dy, 1, dh, m->x, dh, 1, dh, dh, n, true, m->gemm);
    if (!a->d_in[X].data) return;
    multiply(m->dx, m->dy, dh, 1, m->w, dh, 1, n, dh, dh, false, m->gemm);
    for (int64_t i = 0; i < n; i++)
        pha__row_grad(&a->d_in[X], row + i, head * dh, dh, m->dx + i * dh, a->add & PHA__IN(X));
}

static void backward_segment(const pha__args *a, int64_t task, float *at)
{
    int64_t dh = attr_of(a)->head_width, heads = attr_of(a)->n_head, segment = task / heads, head = task % heads;
    int64_t b = segment / segments_each(a), first = b * a->T + segment % segments_each(a) * SEGMENT;
    int64_t end = first + SEGMENT < (b + 1) * a->T ? first + SEGMENT : (b + 1) * a->T;
    float *dw = (float *)a->work + (segment * heads + head) * dh * dh;
    memory m;
    take(&m, a, at);
    memset(dw, 0, (size_t)(dh * dh) * sizeof *dw);
    load_map(a, (int)head, &m);
    for (int64_t row = first; row < end; row += ROWS)
        backward_block(a, (int)head, row, end - row < ROWS ? end - row : ROWS, dw, &m);
}

static void backward(const pha__args *a, int phase, int64_t begin, int64_t end, void *at)
{
    int64_t dh = attr_of(a)->head_width, all = (int64_t)a->in[W].rows * dh;
    for (int64_t i = begin; i < end; i++) {
        if (phase == 0) {
            backward_segment(a, i, at);
            continue;
        }
        pha__fold_blocks(&a->d_in[W], i, 0, dh, a->add & PHA__IN(W), (const float *)a->work + i * dh, segments(a), all,
                         at); /* row i of W */
    }
}

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    int64_t heads = attr_of(a)->n_head;
    if (pass == PHA__FORWARD) return phase == 0 ? pha__row_blocks(a) * heads : 0;
    if (phase == 0) return a->d_in[X].data || a->d_in[W].data ? segments(a) * heads : 0;
    return phase == 1 && a->d_in[W].data ? a->in[W].rows : 0;
}

PHA__KERNEL(hedgehog) = {.tasks = tasks, .forward = forward, .backward = backward, .work = work, .scratch = scratch};
