/* conv_test.c -- v_t = sum_(j<n) k_j u_(t-j) */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/conv/conv.h"
#include "ops/harness.h"

enum { U, TAPS };

static void forward(pha__op_reference *r)
{
    int S = r->out_width, n = r->width[TAPS];
    for (int b = 0; b < r->B; b++) {
        for (int t = 0; t < r->T; t++) {
            for (int i = 0; i < S; i++) {
                double sum = 0;
                for (int j = 0; j < n && j <= t; j++)
                    sum += r->in[TAPS][i * n + j] * r->in[U][((int64_t)b * r->T + t - j) * S + i];
                r->out[((int64_t)b * r->T + t) * S + i] = sum;
            }
        }
    }
}

static void backward(pha__op_reference *r)
{
    int S = r->out_width, n = r->width[TAPS];
    for (int b = 0; b < r->B; b++) {
        for (int t = 0; t < r->T; t++) {
            for (int i = 0; i < S; i++) {
                double d = r->d_out[((int64_t)b * r->T + t) * S + i];
                for (int j = 0; j < n && j <= t; j++) {
                    int64_t from = ((int64_t)b * r->T + t - j) * S + i;
                    r->d_in[U][from] += r->in[TAPS][i * n + j] * d;
                    r->d_in[TAPS][i * n + j] += r->in[U][from] * d;
                }
            }
        }
    }
}

/* some rows and taps are zero, some large */
static void uneven(float *x, int rows, int width, pha__random *r)
{
    static const float scale[] = {0, 1e-4f, 1, 1e4f};
    for (int row = 0; row < rows; row++)
        for (int i = 0; i < width; i++) x[row * width + i] = scale[pha__random_below(r, 4)] * pha__random_normal(r);
}

#define VALUE(S) {.width = (S), .scale = 1}
#define TAPS_IN(S, n) {.rows = (S), .width = (n), .scale = 0.5f, .f32 = true}

static const pha__op_case cases[] = {
    {.name = "small", .B = 2, .T = 5, .in = {VALUE(3), TAPS_IN(3, 4)}, .differences = true},
    {.name = "two taps", .B = 1, .T = 4, .in = {VALUE(5), TAPS_IN(5, 2)}, .differences = true},
    {.name = "eight taps", .B = 2, .T = 11, .in = {VALUE(2), TAPS_IN(2, 8)}, .differences = true},
    {.name = "one", .B = 1, .T = 1, .in = {VALUE(1), TAPS_IN(1, 4)}},
    {.name = "T 1", .B = 3, .T = 1, .in = {VALUE(60), TAPS_IN(60, 4)}},
    {.name = "T 2", .B = 3, .T = 2, .in = {VALUE(60), TAPS_IN(60, 4)}},
    {.name = "T 3", .B = 3, .T = 3, .in = {VALUE(60), TAPS_IN(60, 4)}},
    {.name = "T 4", .B = 1, .T = 4, .in = {VALUE(61), TAPS_IN(61, 4)}},
    {.name = "T 3, eight taps", .B = 3, .T = 3, .in = {VALUE(33), TAPS_IN(33, 8)}},
    {.name = "T 63", .B = 1, .T = 63, .in = {VALUE(160), TAPS_IN(160, 4)}},
    {.name = "T 64", .B = 3, .T = 64, .in = {VALUE(76), TAPS_IN(76, 4)}},
    {.name = "T 65", .B = 3, .T = 65, .in = {VALUE(76), TAPS_IN(76, 4)}},
    {.name = "T 65, five taps in bf16", .B = 2, .T = 65,
     .in = {VALUE(67), {.rows = 67, .width = 5, .scale = 0.5f}}},
    {.name = "T 130, many channels", .B = 2, .T = 130, .in = {VALUE(600), TAPS_IN(600, 3)}},
    {.name = "uneven", .B = 2, .T = 70,
     .in = {{.width = 64, .fill = uneven}, {.rows = 64, .width = 4, .fill = uneven, .f32 = true}}},
    {.name = "long", .B = 3, .T = 1000, .in = {VALUE(480), TAPS_IN(480, 4)}, .big = true},
};

/* ---- beyond the cases: backward from a carried state, by any cut ---- */

enum { S = 20, T = 9, N = 4 };

typedef struct carried {
    float u[T * S], taps[S * N], v[T * S], d[T * S], du[T * S], d_taps[S * N], saved[(N - 1) * S];
} carried;

/* Tokens [first, first + n) from the state; the gradient of the taps is added up over the pieces. */
static void run_carried(const pha__kernel *kernel, carried *x, float *state, int first, int n)
{
    char *slot = (char *)state;
    pha__args a = {.B = 1, .T = n, .n_in = 2, .saved = x->saved, .state = &slot, .add = PHA__IN(TAPS)};
    a.in[U] = (pha__view){.data = x->u + first * S, .ld = S, .width = S};
    a.in[TAPS] = (pha__view){.data = x->taps, .ld = N, .rows = S, .width = N};
    a.out = (pha__view){.data = x->v + first * S, .ld = S, .width = S};
    pha__run_kernel(kernel, &a, NULL, PHA__FORWARD, PHA__ONE_BY_ONE);
    a.d_out = (pha__view){.data = x->d + first * S, .ld = S, .width = S};
    a.d_in[U] = (pha__view){.data = x->du + first * S, .ld = S, .width = S};
    a.d_in[TAPS] = (pha__view){.data = x->d_taps, .ld = N, .rows = S, .width = N};
    pha__run_kernel(kernel, &a, NULL, PHA__BACKWARD, PHA__ONE_BY_ONE);
}

/* The taps see the same products whether a sequence comes whole or in two pieces; the gradient of u is cut off at the
 * piece's end and the same before the last n - 1 tokens of it. */
static void extra(const pha__kernel *kernel)
{
    carried *whole = calloc(1, sizeof *whole), *cut = calloc(1, sizeof *cut);
    pha__random r = 7;
    for (int k = 0; k < T * S; k++) whole->u[k] = pha__random_normal(&r), whole->d[k] = pha__random_normal(&r);
    for (int k = 0; k < S * N; k++) whole->taps[k] = pha__random_normal(&r);
    *cut = *whole;
    float from_zero[(N - 1) * S] = {0};
    run_carried(kernel, whole, from_zero, 0, T);
    for (int first = 1; first < T; first++) {
        float state[(N - 1) * S] = {0};
        memset(cut->d_taps, 0, sizeof cut->d_taps);
        run_carried(kernel, cut, state, 0, first);
        run_carried(kernel, cut, state, first, T - first);
        bool taps = true, values = memcmp(whole->v, cut->v, sizeof cut->v) == 0;
        for (int k = 0; k < S * N; k++) taps &= fabsf(whole->d_taps[k] - cut->d_taps[k]) <= 1e-5f;
        for (int t = 0; t < T; t++) {
            if (t + N - 1 >= first && t < first) continue;
            values &= memcmp(whole->du + t * S, cut->du + t * S, S * sizeof(float)) == 0;
        }
        pha__check(taps, "the taps' gradient of a sequence cut at %d differs from that of the whole", first);
        pha__check(values, "values or gradients of a sequence cut at %d differ from those of the whole", first);
        pha__check(memcmp(state, whole->u + (T - N + 1) * S, sizeof state) == 0,
                   "the state after a cut at %d is not the last %d rows", first, N - 1);
    }
    free(whole);
    free(cut);
}

const pha__op_test pha__test_conv = {
    .op = &pha__op_conv,
    .forward = forward,
    .backward = backward,
    .out = PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2),
    .grad = {[U] = PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2), [TAPS] = PHA__LIMITS(1e-6, 1e-5, 1e-6, 1e-5)},
    PHA__CASES(cases),
    .extra = extra,
};
