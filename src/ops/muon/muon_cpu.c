/* muon_cpu.c -- phases: momentum and the squares of u; X; then of each round A = X X^T, A A, the polynomial of A, its
 * product with X; at last the parameter. A task of the plain ones is a block of rows; products are cut by gemm.h.
 */
#include <math.h>

#include "backend/cpu/gemm.h"
#include "backend/cpu/rows.h"
#include "ops/muon/muon.h"

enum { BLOCK = 16 }; /* rows of a task */
enum { MOMENTUM, NORMALISE, ROUNDS, OF_ROUND = 4, UPDATE = ROUNDS + OF_ROUND * PHA__MUON_ROUNDS };
enum { GRAM, SQUARE, POLYNOMIAL, PRODUCT }; /* phases of a round */

typedef struct places {
    int64_t rows, width, m, n; /* X is (m, n), m <= n */
    bool turned;               /* X is u transposed */
    float *x[2], *gram, *square; /* (m, n) twice, (m, m) twice */
    double *sums;                /* of the squares of u, by task */
} places;

static int64_t blocks(int64_t rows) { return (rows + BLOCK - 1) / BLOCK; }
static int64_t padded(int64_t floats) { return (floats + 15) / 16 * 16; }

static places places_of(const pha__args *a)
{
    places s = {.rows = a->in[0].rows, .width = a->in[0].width};
    s.turned = s.rows > s.width;
    s.m = s.turned ? s.width : s.rows, s.n = s.turned ? s.rows : s.width;
    s.x[0] = a->work;
    if (!a->work) return s;
    s.x[1] = s.x[0] + padded(s.m * s.n), s.gram = s.x[1] + padded(s.m * s.n);
    s.square = s.gram + padded(s.m * s.m);
    s.sums = (double *)(void *)(s.square + padded(s.m * s.m));
    return s;
}

static size_t work(const pha__args *a, pha__pass pass)
{
    places s = places_of(a);
    if (pass != PHA__FORWARD) return 0;
    return (size_t)(2 * padded(s.m * s.n) + 2 * padded(s.m * s.m)) * sizeof(float) +
           (size_t)blocks(s.rows) * sizeof(double);
}

/* The product of a phase. X goes from x[round % 2] to the other. */
static pha__gemm product(const places *s, int round, int phase)
{
    float *x = s->x[round % 2], *to = s->x[1 - round % 2];
    pha__gemm g = {.m = s->m, .n = s->m, .k = s->m, .a = s->gram, .b = s->gram, .c = s->square, .a_row = s->m,
                   .a_col = 1, .b_row = s->m, .b_col = 1, .c_row = s->m, .a_type = PHA__F32, .b_type = PHA__F32,
                   .c_type = PHA__F32};
    if (phase == GRAM) {
        g.k = s->n, g.a = g.b = x, g.c = s->gram;
        g.a_row = s->n, g.b_row = 1, g.b_col = s->n;
    } else if (phase == PRODUCT) {
        g.n = s->n, g.a = s->square, g.b = x, g.c = to;
        g.b_row = g.c_row = s->n;
    }
    return g;
}

static size_t scratch_size(const pha__args *a, pha__pass pass)
{
    places s = places_of(a);
    size_t most = (size_t)padded(s.width) * sizeof(float);
    for (int phase = GRAM; phase <= PRODUCT && pass == PHA__FORWARD; phase++) {
        pha__gemm g = product(&s, 0, phase);
        size_t one = pha__gemm_scratch(g.m, g.n, g.k);
        most = one > most ? one : most;
    }
    return most;
}

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    places s = places_of(a);
    if (pass != PHA__FORWARD || phase > UPDATE) return 0;
    if (phase < ROUNDS || phase == UPDATE) return blocks(s.rows);
    int of_round = (phase - ROUNDS) % OF_ROUND;
    pha__gemm g = product(&s, 0, of_round);
    return of_round == POLYNOMIAL ? blocks(s.m) : pha__gemm_tasks(&g);
}

/* Row r of u to its place in X, times a factor. */
static void to_x(const places *s, float *x, int64_t r, const float *u, float factor)
{
    if (!s->turned)
        for (int64_t c = 0; c < s->width; c++) x[r * s->n + c] = factor * u[c];
    else
        for (int64_t c = 0; c < s->width; c++) x[c * s->n + r] = factor * u[c];
}

/* m, and the squares of u; u itself is not kept. */
static void momentum(const pha__args *a, const places *s, int64_t task, float *u)
{
    const pha__muon_attr *t = a->attr;
    float scale = a->run->update.scale;
    double sum = 0;
    for (int64_t r = task * BLOCK; r < s->rows && r < (task + 1) * BLOCK; r++) {
        const float *g = pha__at(&a->in[1], r, 0);
        float *m = pha__at(&a->in[2], r, 0);
        for (int64_t c = 0; c < s->width; c++) {
            m[c] = t->momentum * m[c] + scale * g[c];
            u[c] = scale * g[c] + t->momentum * m[c];
        }
        for (int64_t c = 0; c < s->width; c++) sum += (double)u[c] * u[c];
    }
    s->sums[task] = sum;
}

/* X = u / |u|; of zeros it is zero. */
static void normalise(const pha__args *a, const places *s, int64_t task, float *u)
{
    const pha__muon_attr *t = a->attr;
    float scale = a->run->update.scale;
    double sum = 0;
    for (int64_t i = 0; i < blocks(s->rows); i++) sum += s->sums[i];
    float factor = (float)(1 / fmax(sqrt(sum), 1e-30));
    for (int64_t r = task * BLOCK; r < s->rows && r < (task + 1) * BLOCK; r++) {
        const float *g = pha__at(&a->in[1], r, 0), *m = pha__at(&a->in[2], r, 0);
        for (int64_t c = 0; c < s->width; c++) u[c] = scale * g[c] + t->momentum * m[c];
        to_x(s, s->x[0], r, u, factor);
    }
}

/* a I + b A + c A A in the place of A A */
static void polynomial(const places *s, int64_t task)
{
    for (int64_t r = task * BLOCK; r < s->m && r < (task + 1) * BLOCK; r++) {
        float *square = s->square + r * s->m;
        const float *gram = s->gram + r * s->m;
        for (int64_t c = 0; c < s->m; c++) square[c] = PHA__MUON_B * gram[c] + PHA__MUON_C * square[c];
        square[r] += PHA__MUON_A;
    }
}

static void update(const pha__args *a, const places *s, int64_t task)
{
    const pha__muon_attr *t = a->attr;
    const float *x = s->x[PHA__MUON_ROUNDS % 2];
    float lr = a->run->update.lr, shrink = lr * t->decay;
    float rate = (float)(lr * PHA__MUON_SIZE * sqrt((double)s->n));
    for (int64_t r = task * BLOCK; r < s->rows && r < (task + 1) * BLOCK; r++) {
        float *p = pha__at(&a->in[0], r, 0);
        for (int64_t c = 0; c < s->width; c++) {
            float o = s->turned ? x[c * s->n + r] : x[r * s->n + c];
            p[c] = p[c] - shrink * p[c] - rate * o;
        }
        if (!a->out.data) continue;
        uint16_t *copy = pha__at(&a->out, r, 0);
        for (int64_t c = 0; c < s->width; c++) copy[c] = f32_to_bf16(p[c]);
    }
}

static void forward(const pha__args *a, int phase, int64_t begin, int64_t end, void *scratch)
{
    places s = places_of(a);
    int round = (phase - ROUNDS) / OF_ROUND, of_round = (phase - ROUNDS) % OF_ROUND;
    bool plain = phase < ROUNDS || phase == UPDATE || of_round == POLYNOMIAL;
    pha__gemm g = product(&s, round, of_round);
    if (!plain) pha__gemm_run(&g, begin, end, scratch);
    for (int64_t i = begin; i < end && plain; i++)
        if (phase == MOMENTUM) momentum(a, &s, i, scratch);
        else if (phase == NORMALISE) normalise(a, &s, i, scratch);
        else if (phase == UPDATE) update(a, &s, i);
        else polynomial(&s, i);
}

PHA__KERNEL(muon) = {.tasks = tasks, .forward = forward, .work = work, .scratch = scratch_size};
