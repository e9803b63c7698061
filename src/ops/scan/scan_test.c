/* scan_test.c -- h_t = g_t (a h_(t-1) + c u_t), step by step; out = h or SiLU(f) h */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/gates.h"
#include "ops/harness.h"
#include "ops/scan/scan.h"

enum { Z, U, THETA, BIAS, C, F };

static double gate(const pha__op_reference *r, int64_t row, int i)
{
    return 1 / (1 + exp(-(r->in[Z][row * r->out_width + i] + (r->in[BIAS] ? r->in[BIAS][i] : 0))));
}

static double factor(const pha__op_reference *r, int i) { return r->in[C] ? r->in[C][i] : 1; }

/* h of all rows. */
static void states(const pha__op_reference *r, double *out)
{
    int S = r->out_width;
    for (int b = 0; b < r->B; b++) {
        for (int i = 0; i < S; i++) {
            double h = 0, a = exp(-exp(r->in[THETA][i]));
            for (int64_t row = (int64_t)b * r->T; row < (int64_t)(b + 1) * r->T; row++) {
                h = gate(r, row, i) * (a * h + factor(r, i) * r->in[U][row * S + i]);
                out[row * S + i] = h;
            }
        }
    }
}

static double silu(double x) { return x / (1 + exp(-x)); }
static double silu_slope(double x) { return (1 + x * (1 - 1 / (1 + exp(-x)))) / (1 + exp(-x)); }

static void forward(pha__op_reference *r)
{
    states(r, r->out);
    for (int64_t k = 0; r->in[F] && k < (int64_t)r->B * r->T * r->out_width; k++) r->out[k] *= silu(r->in[F][k]);
}

/* algorithms.md 1.1, with s_t = a h_(t-1) + c u_t as it stands there before it is simplified. */
static void backward_states(pha__op_reference *r, const double *h, const double *dh)
{
    int S = r->out_width;
    for (int b = 0; b < r->B; b++) {
        for (int i = 0; i < S; i++) {
            double a = exp(-exp(r->in[THETA][i])), from_next = 0; /* lambda_(t+1) q_(t+1) */
            int64_t first = (int64_t)b * r->T;
            for (int64_t row = first + r->T - 1; row >= first; row--) {
                double g = gate(r, row, i), before = row > first ? h[(row - 1) * S + i] : 0;
                double q = dh[row * S + i] + from_next;
                double s = a * before + factor(r, i) * r->in[U][row * S + i];
                double dz = q * s * g * (1 - g);
                r->d_in[Z][row * S + i] += dz;
                if (r->d_in[BIAS]) r->d_in[BIAS][i] += dz;
                r->d_in[U][row * S + i] += factor(r, i) * g * q;
                r->d_in[THETA][i] += g * q * before * a * log(a > 0 ? a : 1);
                from_next = a * g * q;
            }
        }
    }
}

static void backward(pha__op_reference *r)
{
    size_t n = (size_t)r->B * (size_t)r->T * (size_t)r->out_width;
    double *h = malloc(2 * n * sizeof *h), *dh = h + n;
    states(r, h);
    for (size_t k = 0; k < n; k++) {
        dh[k] = r->d_out[k] * (r->in[F] ? silu(r->in[F][k]) : 1);
        if (r->d_in[F]) r->d_in[F][k] += r->d_out[k] * h[k] * silu_slope(r->in[F][k]);
    }
    backward_states(r, h, dh);
    free(h);
}

#define VALUE(S) {.width = (S), .scale = 1}
#define OPEN(S) {.width = (S), .scale = 1, .shift = 4} /* gates that remember */
#define RATES(S) {.rows = 1, .width = (S), .fill = pha__fill_rates}
#define BIAS_IN(S) {.rows = 1, .width = (S), .scale = 1}
#define CONSTANT(S) {.rows = 1, .width = (S), .scale = 0.5f, .shift = 1, .no_grad = true}

static const pha__op_case cases[] = {
    {.name = "small",
     .B = 2,
     .T = 5,
     .in = {VALUE(3), VALUE(3), RATES(3), BIAS_IN(3), CONSTANT(3)},
     .differences = true},
    {.name = "small, open", .B = 1, .T = 9, .in = {OPEN(5), VALUE(5), RATES(5)}, .differences = true},
    {.name = "one",
     .B = 1,
     .T = 1,
     .in = {VALUE(1), VALUE(1), RATES(1), BIAS_IN(1)},
     .grad = {[THETA] = {.e2 = 1e-9, .emax = 1e-9, .bf16_e2 = 1e-9, .bf16_emax = 1e-9, .absolute = true}}},
    {.name = "T 2", .B = 3, .T = 2, .in = {VALUE(60), VALUE(60), RATES(60), BIAS_IN(60)}},
    {.name = "T 63", .B = 1, .T = 63, .in = {VALUE(160), VALUE(160), RATES(160), BIAS_IN(160)}},
    {.name = "T 64", .B = 3, .T = 64, .in = {OPEN(76), VALUE(76), RATES(76), {0}, CONSTANT(76)}},
    {.name = "T 65, many channels", .B = 1, .T = 65, .in = {OPEN(600), VALUE(600), RATES(600), BIAS_IN(600)}},
    {.name = "saturated",
     .B = 1,
     .T = 33,
     .in = {SATURATED(64), VALUE(64), EXTREME_RATES(64), BIAS_IN(64)}},
    {.name = "long", .B = 3, .T = 1000, .in = {OPEN(480), VALUE(480), RATES(480), BIAS_IN(480)}, .big = true},
    {.name = "768 channels", .B = 1, .T = 70, .in = {OPEN(768), VALUE(768), RATES(768), BIAS_IN(768)}, .big = true},
    {.name = "cut in time", .B = 2, .T = 1100, .apart_on_card = true,
     .in = {OPEN(12), VALUE(12), RATES(12), BIAS_IN(12), CONSTANT(12)}},
    {.name = "filter, cut in time", .B = 1, .T = 700, .apart_on_card = true,
     .in = {OPEN(20), VALUE(20), RATES(20), BIAS_IN(20), [F] = VALUE(20)}},
    {.name = "filter, small", .B = 2, .T = 5, .differences = true,
     .in = {VALUE(3), VALUE(3), RATES(3), BIAS_IN(3), CONSTANT(3), VALUE(3)}},
    {.name = "filter, open", .B = 1, .T = 9, .in = {OPEN(5), VALUE(5), RATES(5), [F] = VALUE(5)}, .differences = true},
    {.name = "filter, one", .B = 1, .T = 1, .in = {VALUE(1), VALUE(1), RATES(1), [F] = VALUE(1)},
     .grad = {[THETA] = {.e2 = 1e-9, .emax = 1e-9, .bf16_e2 = 1e-9, .bf16_emax = 1e-9, .absolute = true}}},
    {.name = "filter, T 63", .B = 1, .T = 63,
     .in = {VALUE(160), VALUE(160), RATES(160), BIAS_IN(160), [F] = VALUE(160)}},
    {.name = "filter, T 64", .B = 3, .T = 64, .in = {OPEN(76), VALUE(76), RATES(76), {0}, CONSTANT(76), VALUE(76)}},
    {.name = "filter, many channels", .B = 3, .T = 65,
     .in = {OPEN(601), VALUE(601), RATES(601), BIAS_IN(601), [F] = VALUE(601)}},
    {.name = "filter, saturated", .B = 1, .T = 33,
     .in = {SATURATED(64), VALUE(64), EXTREME_RATES(64), BIAS_IN(64),
            [F] = SATURATED(64)}},
    {.name = "filter, long", .B = 3, .T = 1000, .big = true,
     .in = {OPEN(480), VALUE(480), RATES(480), BIAS_IN(480), [F] = VALUE(480)}},
    {.name = "T 16384", .B = 1, .T = 16384, .in = {OPEN(48), VALUE(48), RATES(48), BIAS_IN(48)}, .big = true},
};

/* ---- beyond the cases: backward from a carried state, and gates that are shut ---- */

enum { S = 20, T = 6 };

typedef struct carried {
    bool filter;
    float z[T * S], u[T * S], f[T * S], theta[S], h[T * S], d[T * S], dz[T * S], du[T * S], df[T * S], dtheta[S];
    float saved[2 * S + T * S];
} carried;

/* B sequences of n tokens, the first of which is `first`. */
static void run_carried(const pha__kernel *kernel, carried *x, float *state, int B, int first, int n)
{
    char *slots[] = {(char *)state, (char *)(state + S)};
    pha__args a = {.B = B, .T = n, .n_in = x->filter ? F + 1 : 3, .saved = x->saved, .state = slots};
    if (x->filter) a.in[F] = (pha__view){.data = x->f + first * S, .ld = S, .width = S};
    a.in[Z] = (pha__view){.data = x->z + first * S, .ld = S, .width = S};
    a.in[U] = (pha__view){.data = x->u + first * S, .ld = S, .width = S};
    a.in[THETA] = (pha__view){.data = x->theta, .ld = S, .rows = 1, .width = S};
    a.out = (pha__view){.data = x->h + first * S, .ld = S, .width = S};
    pha__run_kernel(kernel, &a, NULL, PHA__FORWARD, PHA__ONE_BY_ONE);
    a.d_out = (pha__view){.data = x->d + first * S, .ld = S, .width = S};
    a.d_in[Z] = (pha__view){.data = x->dz + first * S, .ld = S, .width = S};
    a.d_in[U] = (pha__view){.data = x->du + first * S, .ld = S, .width = S};
    a.d_in[THETA] = (pha__view){.data = x->dtheta, .ld = S, .rows = 1, .width = S};
    if (x->filter) a.d_in[F] = (pha__view){.data = x->df + first * S, .ld = S, .width = S};
    pha__run_kernel(kernel, &a, NULL, PHA__BACKWARD, PHA__ONE_BY_ONE);
}

/* z = +-30 in all orders: the gate is shut or open but for 1e-13, and dz stays within numerics.md 4.6. */
static void check_saturated(const pha__kernel *kernel)
{
    enum { W = 24, LONG = 40, N = W * LONG };
    float *x = calloc(7 * N + 3 * W, sizeof *x), *z = x, *u = z + N, *h = u + N, *d = h + N, *dz = d + N, *du = dz + N;
    float *theta = x + 7 * N, *dtheta = theta + W, *saved = dtheta + W;
    double *q = calloc(N + W, sizeof *q), most = 0;
    pha__random r = 11;
    for (int k = 0; k < N; k++) {
        z[k] = pha__random_below(&r, 2) ? 30 : -30;
        u[k] = pha__random_normal(&r), d[k] = pha__random_normal(&r);
    }
    pha__fill_extreme_rates(theta, 1, W, &r);
    pha__args a = {.B = 1, .T = LONG, .n_in = 3, .saved = saved};
    a.in[Z] = (pha__view){z, W, 0, W, PHA__F32}, a.in[U] = (pha__view){u, W, 0, W, PHA__F32};
    a.in[THETA] = (pha__view){theta, W, 1, W, PHA__F32}, a.out = (pha__view){h, W, 0, W, PHA__F32};
    pha__run_kernel(kernel, &a, NULL, PHA__FORWARD, PHA__ONE_BY_ONE);
    a.d_out = (pha__view){d, W, 0, W, PHA__F32};
    a.d_in[Z] = (pha__view){dz, W, 0, W, PHA__F32}, a.d_in[U] = (pha__view){du, W, 0, W, PHA__F32};
    a.d_in[THETA] = (pha__view){dtheta, W, 1, W, PHA__F32};
    pha__run_kernel(kernel, &a, NULL, PHA__BACKWARD, PHA__ONE_BY_ONE);
    for (int k = N - 1; k >= 0; k--) { /* q_t = d_t + a g_(t+1) q_(t+1) */
        double decay = exp(-exp((double)theta[k % W]));
        q[k] = d[k] + (k + W < N ? decay * q[k + W] / (1 + exp(-(double)z[k + W])) : 0);
        most = fmax(most, fabs(q[k]));
    }
    for (int k = 0; k < N; k++) {
        double decay = exp(-exp((double)theta[k % W])), s = (k < W ? 0 : decay * h[k - W]) + u[k];
        pha__check(fabs(dz[k]) <= 1e-12 * most * fmax(1, fabs(s)), "z %g, a h + u = %g, q up to %g: dz is %g", z[k], s,
                   most, dz[k]);
    }
    free(x);
    free(q);
}

/* Only the second half has a gradient: its dz, du, df are the same whether the first half was carried in or run along.
 */
static void check_carried(const pha__kernel *kernel, bool filter)
{
    carried *whole = calloc(2, sizeof *whole), *halves = whole + 1;
    pha__random r = 7;
    whole->filter = filter;
    for (int k = 0; k < T * S; k++) {
        whole->f[k] = pha__random_normal(&r);
        whole->z[k] = k == 3 * S + 1 ? -1e4f : k == 3 * S + 2 ? 1e4f : pha__random_normal(&r);
        whole->u[k] = pha__random_normal(&r);
        whole->d[k] = k < T / 2 * S ? 0 : pha__random_normal(&r);
    }
    for (int i = 0; i < S; i++) whole->theta[i] = -3;
    *halves = *whole;
    float state[S] = {0}, from_zero[S] = {0};
    run_carried(kernel, whole, from_zero, 1, 0, T);
    run_carried(kernel, halves, state, 1, 0, T / 2);
    run_carried(kernel, halves, state, 1, T / 2, T / 2);
    bool same = true, finite = true;
    for (int k = T / 2 * S; k < T * S; k++) {
        same &= fabsf(whole->dz[k] - halves->dz[k]) <= 1e-6f && fabsf(whole->du[k] - halves->du[k]) <= 1e-6f &&
                fabsf(whole->df[k] - halves->df[k]) <= 1e-6f;
        finite &= isfinite(whole->dz[k]) && isfinite(whole->h[k]);
    }
    pha__check(same, "gradients from a carried state differ from those of the whole");
    pha__check(filter || memcmp(state, whole->h + (T - 1) * S, sizeof state) == 0, "the state is not the last h");
    pha__check(finite, "not finite with z = +-1e4");
    double dtheta = 0; /* the carried state must count in da of the second half's first token */
    for (int i = 0; i < S; i++) dtheta += fabs(halves->dtheta[i]);
    pha__check(dtheta > 0 && isfinite(dtheta), "dtheta is %g", dtheta);
    free(whole);
}

/* Two sequences have a state each, and what is kept of it for backward. */
static void check_two(const pha__kernel *kernel, bool filter)
{
    carried *both = calloc(2, sizeof *both), *alone = both + 1;
    pha__random r = 9;
    both->filter = filter;
    for (int k = 0; k < 2 * S; k++) {
        both->f[k] = pha__random_normal(&r), both->z[k] = pha__random_normal(&r);
        both->u[k] = pha__random_normal(&r), both->d[k] = pha__random_normal(&r);
    }
    for (int i = 0; i < S; i++) both->theta[i] = -3;
    *alone = *both;
    float state[2 * S], same[2 * S];
    for (int k = 0; k < 2 * S; k++) state[k] = same[k] = pha__random_normal(&r);
    run_carried(kernel, both, state, 2, 0, 1);
    run_carried(kernel, alone, same, 1, 0, 1);
    for (int i = 0; i < S; i++) both->dtheta[i] -= alone->dtheta[i];
    run_carried(kernel, alone, same + S, 1, 1, 1);
    for (int i = 0; i < S; i++)
        pha__check(fabsf(both->dtheta[i] - alone->dtheta[i]) < 1e-6f, "a gradient of two is not that of each");
    size_t n = sizeof state;
    pha__check(!memcmp(both->dz, alone->dz, n) && !memcmp(both->du, alone->du, n) && !memcmp(both->df, alone->df, n) &&
                   !memcmp(state, same, n), "two sequences with states are not as each alone");
    free(both);
}

/* Nothing is kept where there is nowhere to keep it, and h, where there is, is that of the scan without a filter. */
static void check_kept(const pha__kernel *kernel)
{
    enum { N = T * S };
    float *x = calloc(6 * N + 2 * S, sizeof *x), *saved = x + 5 * N, *theta = saved + S + N;
    pha__random r = 3;
    for (int k = 0; k < 3 * N; k++) x[k] = pha__random_normal(&r);
    pha__args a = {.B = 1, .T = T, .n_in = F + 1, .saved = saved};
    a.in[Z] = (pha__view){x, S, 0, S, PHA__F32}, a.in[U] = (pha__view){x + N, S, 0, S, PHA__F32};
    a.in[THETA] = (pha__view){theta, S, 1, S, PHA__F32}, a.in[F] = (pha__view){x + 2 * N, S, 0, S, PHA__F32};
    a.out = (pha__view){x + 3 * N, S, 0, S, PHA__F32};
    pha__run_kernel(kernel, &a, NULL, PHA__FORWARD, PHA__ONE_BY_ONE);
    a.saved = NULL, a.out.data = x + 4 * N;
    pha__run_kernel(kernel, &a, NULL, PHA__FORWARD, PHA__ONE_BY_ONE);
    pha__check(memcmp(x + 3 * N, x + 4 * N, N * sizeof *x) == 0, "other bits where nothing is kept");
    a.in[F] = (pha__view){0};
    pha__run_kernel(kernel, &a, NULL, PHA__FORWARD, PHA__ONE_BY_ONE);
    pha__check(memcmp(saved + S, x + 4 * N, N * sizeof *x) == 0, "what is kept is not h");
    free(x);
}

static void extra(const pha__kernel *kernel)
{
    check_carried(kernel, false);
    check_carried(kernel, true);
    check_two(kernel, false);
    check_two(kernel, true);
    check_saturated(kernel);
    check_kept(kernel);
}

const pha__op_test pha__test_scan = {
    .op = &pha__op_scan,
    .forward = forward,
    .backward = backward,
    .out = PHA__LIMITS(2e-5, 3e-4, 1e-2, 2e-1),
    .grad = {[Z] = PHA__LIMITS(5e-5, 1e-3, 2e-2, 4e-1), [U] = PHA__LIMITS(5e-5, 1e-3, 2e-2, 4e-1),
             [THETA] = PHA__LIMITS(1e-4, 1e-3, 2e-2, 1e-1), [BIAS] = PHA__LIMITS(1e-4, 1e-3, 2e-2, 1e-1),
             [F] = PHA__LIMITS(5e-5, 1e-3, 2e-2, 4e-1)},
    PHA__CASES(cases),
    .extra = extra,
};
