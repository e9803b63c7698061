/* shift_test.c -- a state that shifts: s_i <- s_(i-1) + b_i u_t, v_t = sum_i c_i s_i + d u_t; and its adjoint */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/harness.h"
#include "ops/shift/shift.h"

enum { U, B, C, SKIP };

static int64_t at(const pha__op_reference *r, int b, int t, int i)
{
    return ((int64_t)b * r->T + t) * r->out_width + i;
}

/* The states after each token of channel i, [T][n]. */
static void states(const pha__op_reference *r, int b, int i, double *s)
{
    int n = r->width[B];
    for (int t = 0; t < r->T; t++, s += n)
        for (int k = 0; k < n; k++) s[k] = (t && k ? s[k - 1 - n] : 0) + r->in[B][i * n + k] * r->in[U][at(r, b, t, i)];
}

static void forward(pha__op_reference *r)
{
    int n = r->width[B];
    double *s = malloc((size_t)(r->T * n) * sizeof *s);
    for (int b = 0; b < r->B; b++) {
        for (int i = 0; i < r->out_width; i++) {
            states(r, b, i, s);
            for (int t = 0; t < r->T; t++) {
                double v = r->in[SKIP][i] * r->in[U][at(r, b, t, i)];
                for (int k = 0; k < n; k++) v += r->in[C][i * n + k] * s[t * n + k];
                r->out[at(r, b, t, i)] = v;
            }
        }
    }
    free(s);
}

/* a, the gradient of the state after token t: a_k(t) = c_k dv_t + a_(k+1)(t+1) */
static void backward(pha__op_reference *r)
{
    int n = r->width[B];
    double *s = malloc((size_t)(r->T * n + n + 1) * sizeof *s), *a = s + r->T * n;
    for (int b = 0; b < r->B; b++) {
        for (int i = 0; i < r->out_width; i++) {
            states(r, b, i, s);
            memset(a, 0, (size_t)(n + 1) * sizeof *a);
            for (int t = r->T - 1; t >= 0; t--) {
                double u = r->in[U][at(r, b, t, i)], dv = r->d_out[at(r, b, t, i)];
                r->d_in[U][at(r, b, t, i)] += r->in[SKIP][i] * dv;
                r->d_in[SKIP][i] += u * dv;
                for (int k = 0; k < n; k++) {
                    a[k] = a[k + 1] + r->in[C][i * n + k] * dv;
                    r->d_in[U][at(r, b, t, i)] += r->in[B][i * n + k] * a[k];
                    r->d_in[B][i * n + k] += u * a[k];
                    r->d_in[C][i * n + k] += s[t * n + k] * dv;
                }
            }
        }
    }
    free(s);
}

/* some rows and places are zero, some large */
static void uneven(float *x, int rows, int width, pha__random *r)
{
    static const float scale[] = {0, 1e-4f, 1, 1e4f};
    for (int row = 0; row < rows; row++)
        for (int i = 0; i < width; i++) x[row * width + i] = scale[pha__random_below(r, 4)] * pha__random_normal(r);
}

#define VALUE(S) {.width = (S), .scale = 1}
#define PLACES(S, n) {.rows = (S), .width = (n), .scale = 0.3f, .f32 = true}
#define INPUTS(S, n) .in = {VALUE(S), PLACES(S, n), PLACES(S, n), PLACES(1, S)}

static const pha__op_case cases[] = {
    {.name = "small", .B = 2, .T = 6, INPUTS(3, 4), .differences = true},
    {.name = "eleven places", .B = 2, .T = 9, INPUTS(5, 11), .differences = true},
    {.name = "one", .B = 1, .T = 1, INPUTS(1, 2)},
    {.name = "T 2", .B = 3, .T = 2, INPUTS(33, 8)},
    {.name = "T 63", .B = 1, .T = 63, INPUTS(32, 64)},
    {.name = "T 65", .B = 3, .T = 65, INPUTS(40, 64)},
    {.name = "T 70, b and c in bf16", .B = 2, .T = 70,
     .in = {VALUE(35), {.rows = 35, .width = 19, .scale = 0.3f}, {.rows = 35, .width = 19, .scale = 0.3f},
            PLACES(1, 35)}},
    {.name = "uneven", .B = 2, .T = 70,
     .in = {{.width = 48, .fill = uneven}, {.rows = 48, .width = 12, .fill = uneven, .f32 = true}, PLACES(48, 12),
            PLACES(1, 48)}},
    {.name = "T 300", .B = 2, .T = 300, INPUTS(40, 64), .big = true},
    {.name = "long", .B = 3, .T = 1000, INPUTS(100, 64), .big = true},
};

/* ---- beyond the cases: backward from a carried state, by any cut ---- */

enum { S = 20, T = 9, N = 4 };

typedef struct carried {
    float u[T * S], b[S * N], c[S * N], d[S], v[T * S], dv[T * S], du[T * S], db[S * N], saved[(N - 1) * S];
} carried;

/* Tokens [first, first + n) from the state; the gradient of b is added up over the pieces. */
static void run_carried(const pha__kernel *kernel, carried *x, float *state, int first, int n)
{
    char *slot = (char *)state;
    pha__args a = {.B = 1, .T = n, .n_in = 4, .saved = x->saved, .state = &slot, .add = PHA__IN(B)};
    a.in[U] = (pha__view){.data = x->u + first * S, .ld = S, .width = S};
    a.in[B] = (pha__view){.data = x->b, .ld = N, .rows = S, .width = N};
    a.in[C] = (pha__view){.data = x->c, .ld = N, .rows = S, .width = N};
    a.in[SKIP] = (pha__view){.data = x->d, .ld = S, .rows = 1, .width = S};
    a.out = (pha__view){.data = x->v + first * S, .ld = S, .width = S};
    pha__run_kernel(kernel, &a, NULL, PHA__FORWARD, PHA__ONE_BY_ONE);
    a.d_out = (pha__view){.data = x->dv + first * S, .ld = S, .width = S};
    a.d_in[U] = (pha__view){.data = x->du + first * S, .ld = S, .width = S};
    a.d_in[B] = (pha__view){.data = x->db, .ld = N, .rows = S, .width = N};
    pha__run_kernel(kernel, &a, NULL, PHA__BACKWARD, PHA__ONE_BY_ONE);
}

/* b sees the same products whether a sequence comes whole or in two pieces; the gradient of u is cut off at the piece's
 * end and the same before the last n - 1 tokens of it. */
static void extra(const pha__kernel *kernel)
{
    carried *whole = calloc(1, sizeof *whole), *cut = calloc(1, sizeof *cut);
    pha__random r = 7;
    for (int k = 0; k < T * S; k++) whole->u[k] = pha__random_normal(&r), whole->dv[k] = pha__random_normal(&r);
    for (int k = 0; k < S * N; k++) whole->b[k] = pha__random_normal(&r), whole->c[k] = pha__random_normal(&r);
    *cut = *whole;
    float from_zero[(N - 1) * S] = {0};
    run_carried(kernel, whole, from_zero, 0, T);
    for (int first = 1; first < T; first++) {
        float state[(N - 1) * S] = {0};
        memset(cut->db, 0, sizeof cut->db);
        run_carried(kernel, cut, state, 0, first);
        run_carried(kernel, cut, state, first, T - first);
        bool taps = true, values = memcmp(whole->v, cut->v, sizeof cut->v) == 0;
        for (int k = 0; k < S * N; k++) taps &= fabsf(whole->db[k] - cut->db[k]) <= 2e-5f;
        for (int t = 0; t < T; t++) {
            if (t + N - 1 >= first && t < first) continue;
            values &= memcmp(whole->du + t * S, cut->du + t * S, S * sizeof(float)) == 0;
        }
        pha__check(taps, "the gradient of b of a sequence cut at %d differs from that of the whole", first);
        pha__check(values, "values or gradients of a sequence cut at %d differ from those of the whole", first);
        pha__check(memcmp(state, whole->u + (T - N + 1) * S, sizeof state) == 0,
                   "the state after a cut at %d is not the last %d rows", first, N - 1);
    }
    free(whole);
    free(cut);
}

const pha__op_test pha__test_shift = {
    .op = &pha__op_shift,
    .forward = forward,
    .backward = backward,
    .out = PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2),
    .grad = {[U] = PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2), [B] = PHA__LIMITS(1e-6, 1e-5, 1e-6, 1e-5),
             [C] = PHA__LIMITS(1e-6, 1e-5, 1e-6, 1e-5), [SKIP] = PHA__LIMITS(1e-6, 1e-5, 1e-6, 1e-5)},
    PHA__CASES(cases),
    .extra = extra,
};
