/* scan_complex_test.c -- h_t = g_t (a h_(t-1) + c u_t) in complex numbers, step by step */
#include <complex.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/gates.h"
#include "ops/harness.h"
#include "ops/scan_complex/scan_complex.h"

enum { Z, U, THETA, OMEGA, BIAS, C };

static double gate(const pha__op_reference *r, int64_t row, int i)
{
    return 1 / (1 + exp(-(r->in[Z][row * (r->out_width / 2) + i] + (r->in[BIAS] ? r->in[BIAS][i] : 0))));
}

static double factor(const pha__op_reference *r, int i) { return r->in[C] ? r->in[C][i] : 1; }

static double complex number(const pha__op_reference *r, const double *x, int64_t row, int i)
{
    return x[row * r->out_width + i] + I * x[row * r->out_width + r->out_width / 2 + i];
}

static void add(const pha__op_reference *r, double *x, int64_t row, int i, double complex value)
{
    x[row * r->out_width + i] += creal(value);
    x[row * r->out_width + r->out_width / 2 + i] += cimag(value);
}

static void forward(pha__op_reference *r)
{
    memset(r->out, 0, (size_t)r->B * (size_t)r->T * (size_t)r->out_width * sizeof *r->out);
    for (int b = 0; b < r->B; b++) {
        for (int i = 0; i < r->out_width / 2; i++) {
            double complex h = 0, a = cexp(-exp(r->in[THETA][i]) + I * r->in[OMEGA][i]);
            for (int64_t row = (int64_t)b * r->T; row < (int64_t)(b + 1) * r->T; row++) {
                h = gate(r, row, i) * (a * h + factor(r, i) * number(r, r->in[U], row, i));
                add(r, r->out, row, i, h);
            }
        }
    }
}

/* By s_t = a h_(t-1) + c u_t, h_t = g_t s_t; the gradient of a complex number is d/dRe + i d/dIm. */
static void backward(pha__op_reference *r)
{
    size_t n = (size_t)r->B * (size_t)r->T * (size_t)r->out_width;
    double *own = r->out, *h = calloc(n, sizeof *h);
    r->out = h;
    forward(r);
    r->out = own;
    for (int b = 0; b < r->B; b++) {
        for (int i = 0; i < r->out_width / 2; i++) {
            double complex a = cexp(-exp(r->in[THETA][i]) + I * r->in[OMEGA][i]), from_next = 0, da = 0;
            int64_t first = (int64_t)b * r->T;
            for (int64_t row = first + r->T - 1; row >= first; row--) {
                double g = gate(r, row, i);
                double complex before = row > first ? number(r, h, row - 1, i) : 0;
                double complex s = a * before + factor(r, i) * number(r, r->in[U], row, i);
                double complex q = number(r, r->d_out, row, i) + from_next, ds = g * q;
                double dz = (creal(q) * creal(s) + cimag(q) * cimag(s)) * g * (1 - g);
                r->d_in[Z][row * (r->out_width / 2) + i] += dz;
                if (r->d_in[BIAS]) r->d_in[BIAS][i] += dz;
                add(r, r->d_in[U], row, i, factor(r, i) * ds);
                da += conj(before) * ds;
                from_next = conj(a) * ds;
            }
            /* da/dtheta = -e^theta a, da/domega = i a */
            double rate = exp(r->in[THETA][i]);
            r->d_in[THETA][i] += creal(conj(-(rate < 700 ? rate : 0) * a) * da);
            r->d_in[OMEGA][i] += creal(conj(I * a) * da);
        }
    }
    free(h);
}

/* from no turn to more than one a token, both ways */
static void angles(float *x, int rows, int width, pha__random *r)
{
    for (int i = 0; i < rows * width; i++) x[i] = i % 7 == 0 ? 0 : 2.5f * pha__random_normal(r);
}

#define VALUE(N) {.width = (N), .scale = 1}
#define OPEN(N) {.width = (N), .scale = 1, .shift = 4} /* gates that remember */
#define RATES(N) {.rows = 1, .width = (N), .fill = pha__fill_rates}
#define ANGLES(N) {.rows = 1, .width = (N), .fill = angles}
#define BIAS_IN(N) {.rows = 1, .width = (N), .scale = 1}
#define CONSTANT(N) {.rows = 1, .width = (N), .scale = 0.5f, .shift = 1, .no_grad = true}
#define TRANSITION(N) RATES(N), ANGLES(N)

static const pha__op_case cases[] = {
    {.name = "small", .B = 2, .T = 5, .differences = true,
     .in = {VALUE(3), VALUE(6), TRANSITION(3), BIAS_IN(3), CONSTANT(3)}},
    {.name = "small, open", .B = 1, .T = 9, .in = {OPEN(5), VALUE(10), TRANSITION(5)}, .differences = true},
    {.name = "one", .B = 1, .T = 1, .in = {VALUE(1), VALUE(2), TRANSITION(1), BIAS_IN(1)},
     .grad = {[THETA] = {.e2 = 1e-9, .emax = 1e-9, .bf16_e2 = 1e-9, .bf16_emax = 1e-9, .absolute = true},
              [OMEGA] = {.e2 = 1e-9, .emax = 1e-9, .bf16_e2 = 1e-9, .bf16_emax = 1e-9, .absolute = true}}},
    {.name = "T 2", .B = 3, .T = 2, .in = {VALUE(30), VALUE(60), TRANSITION(30), BIAS_IN(30)}},
    {.name = "T 63", .B = 1, .T = 63, .in = {VALUE(80), VALUE(160), TRANSITION(80), BIAS_IN(80)}},
    {.name = "T 64", .B = 3, .T = 64, .in = {OPEN(38), VALUE(76), TRANSITION(38), {0}, CONSTANT(38)}},
    {.name = "T 65, many pairs", .B = 2, .T = 65, .in = {OPEN(301), VALUE(602), TRANSITION(301), BIAS_IN(301)}},
    {.name = "saturated", .B = 1, .T = 33,
     .in = {SATURATED(32), VALUE(64), EXTREME_RATES(32), ANGLES(32),
            BIAS_IN(32)}},
    {.name = "long", .B = 3, .T = 1000, .in = {OPEN(240), VALUE(480), TRANSITION(240), BIAS_IN(240)}, .big = true},
};

/* ---- beyond the cases: backward from a carried state ---- */

enum { N = 10, S = 2 * N, T = 6 };

typedef struct carried {
    float z[T * N], u[T * S], theta[N], omega[N], h[T * S], d[T * S], dz[T * N], du[T * S], dtheta[N], domega[N];
    float saved[2 * S];
} carried;

/* B sequences of n tokens, the first of which is `first`. */
static void run_carried(const pha__kernel *kernel, carried *x, float *state, int B, int first, int n)
{
    char *slots[] = {(char *)state, (char *)(state + S)};
    pha__args a = {.B = B, .T = n, .n_in = 4, .saved = x->saved, .state = slots};
    a.in[Z] = (pha__view){.data = x->z + first * N, .ld = N, .width = N};
    a.in[U] = (pha__view){.data = x->u + first * S, .ld = S, .width = S};
    a.in[THETA] = (pha__view){.data = x->theta, .ld = N, .rows = 1, .width = N};
    a.in[OMEGA] = (pha__view){.data = x->omega, .ld = N, .rows = 1, .width = N};
    a.out = (pha__view){.data = x->h + first * S, .ld = S, .width = S};
    pha__run_kernel(kernel, &a, NULL, PHA__FORWARD, PHA__ONE_BY_ONE);
    a.d_out = (pha__view){.data = x->d + first * S, .ld = S, .width = S};
    a.d_in[Z] = (pha__view){.data = x->dz + first * N, .ld = N, .width = N};
    a.d_in[U] = (pha__view){.data = x->du + first * S, .ld = S, .width = S};
    a.d_in[THETA] = (pha__view){.data = x->dtheta, .ld = N, .rows = 1, .width = N};
    a.d_in[OMEGA] = (pha__view){.data = x->domega, .ld = N, .rows = 1, .width = N};
    pha__run_kernel(kernel, &a, NULL, PHA__BACKWARD, PHA__ONE_BY_ONE);
}

/* Only the last token has a gradient: its dz, du and those of a are the same whether the tokens before it were carried
 * in or run along, but that of a lacks what flows through earlier steps. */
static void check_carried(const pha__kernel *kernel)
{
    carried *whole = calloc(2, sizeof *whole), *parts = whole + 1;
    pha__random r = 7;
    for (int k = 0; k < T * N; k++) whole->z[k] = pha__random_normal(&r);
    for (int k = 0; k < T * S; k++) {
        whole->u[k] = pha__random_normal(&r);
        whole->d[k] = k < (T - 1) * S ? 0 : pha__random_normal(&r);
    }
    for (int i = 0; i < N; i++) whole->theta[i] = -3, whole->omega[i] = 0.3f * (float)i;
    *parts = *whole;
    float state[S] = {0}, from_zero[S] = {0};
    run_carried(kernel, whole, from_zero, 1, 0, T);
    run_carried(kernel, parts, state, 1, 0, T - 1);
    run_carried(kernel, parts, state, 1, T - 1, 1);
    pha__check(memcmp(whole->dz + (T - 1) * N, parts->dz + (T - 1) * N, N * sizeof(float)) == 0 &&
                   memcmp(whole->du + (T - 1) * S, parts->du + (T - 1) * S, S * sizeof(float)) == 0,
               "gradients from a carried state differ from those of the whole");
    pha__check(memcmp(state, whole->h + (T - 1) * S, sizeof state) == 0, "the state is not the last h");
    for (int i = 0; i < N; i++) { /* da = g q h*, domega = Im(a* da), dtheta = -e^theta Re(a* da) */
        int64_t now = (T - 1) * S + i, before = now - S;
        double g = 1 / (1 + exp(-(double)whole->z[(T - 1) * N + i])), rate = exp(-3.0);
        double complex a = cexp(-rate + I * (double)whole->omega[i]), q = whole->d[now] + I * whole->d[now + N];
        double complex da = g * q * (whole->h[before] - I * whole->h[before + N]);
        double domega = cimag(conj(a) * da), dtheta = -rate * creal(conj(a) * da);
        pha__check(fabs(parts->domega[i] - domega) < 1e-5 && fabs(parts->dtheta[i] - dtheta) < 1e-5,
                   "pair %d: gradients of a behind a carried state: %g and %g, not %g and %g", i, parts->domega[i],
                   parts->dtheta[i], domega, dtheta);
    }
    free(whole);
}

/* Two sequences have a state each, and what is kept of it for backward. */
static void check_two(const pha__kernel *kernel)
{
    carried *both = calloc(2, sizeof *both), *alone = both + 1;
    pha__random r = 9;
    for (int k = 0; k < 2 * N; k++) both->z[k] = pha__random_normal(&r);
    for (int k = 0; k < 2 * S; k++) both->u[k] = pha__random_normal(&r), both->d[k] = pha__random_normal(&r);
    for (int i = 0; i < N; i++) both->theta[i] = -3, both->omega[i] = 0.3f * (float)i;
    *alone = *both;
    float state[2 * S], same[2 * S];
    for (int k = 0; k < 2 * S; k++) state[k] = same[k] = pha__random_normal(&r);
    run_carried(kernel, both, state, 2, 0, 1);
    run_carried(kernel, alone, same, 1, 0, 1);
    for (int i = 0; i < N; i++) both->dtheta[i] -= alone->dtheta[i], both->domega[i] -= alone->domega[i];
    run_carried(kernel, alone, same + S, 1, 1, 1);
    for (int i = 0; i < N; i++)
        pha__check(fabsf(both->dtheta[i] - alone->dtheta[i]) < 1e-6f &&
                       fabsf(both->domega[i] - alone->domega[i]) < 1e-6f,
                   "a gradient of two sequences is not that of each");
    pha__check(!memcmp(both->dz, alone->dz, 2 * N * sizeof(float)) && !memcmp(both->du, alone->du, sizeof state) &&
                   !memcmp(state, same, sizeof state), "two sequences with states are not as each alone");
    free(both);
}

static void extra(const pha__kernel *kernel)
{
    check_carried(kernel);
    check_two(kernel);
}

const pha__op_test pha__test_scan_complex = {
    .op = &pha__op_scan_complex,
    .forward = forward,
    .backward = backward,
    .out = PHA__LIMITS(2e-5, 3e-4, 1e-2, 2e-1),
    .grad = {[Z] = PHA__LIMITS(5e-5, 1e-3, 2e-2, 4e-1), [U] = PHA__LIMITS(5e-5, 1e-3, 2e-2, 4e-1),
             [THETA] = PHA__LIMITS(1e-4, 1e-3, 2e-2, 1e-1), [OMEGA] = PHA__LIMITS(1e-4, 1e-3, 2e-2, 1e-1),
             [BIAS] = PHA__LIMITS(1e-4, 1e-3, 2e-2, 1e-1)},
    PHA__CASES(cases),
    .extra = extra,
};
