/* ssm_test.c -- the recurrence, mode by mode and step by step: s <- e^(lambda D) s + x, y = Re(kappa C B w s) + d x */
#include <complex.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/harness.h"
#include "ops/ssm/ssm.h"

enum { X, C_RE, C_IM, RATE, IM, D, LOG_DT, B_RE, B_IM };

typedef struct mode {
    double complex lambda, a, C, B, in; /* a = e^(lambda D), in = (a - 1) / lambda */
    double dt, kappa;
} mode;

static int of_rate(const pha__op_reference *r, int p, int n)
{
    return (r->rows[RATE] == 1 ? 0 : p) * r->width[C_RE] + n;
}

static double imaginary(const pha__op_reference *r, int k)
{
    return ((const pha__ssm_attr *)r->attr)->log_im ? exp(r->in[IM][k]) : r->in[IM][k];
}

static double complex expm1_of(double complex z) /* by halves, so that nothing cancels */
{
    double complex h = z / 2;
    return creal(z) < -1 ? cexp(z) - 1 : 2 * cexp(h) * csinh(h);
}

static mode mode_of(const pha__op_reference *r, int p, int n)
{
    int k = of_rate(r, p, n), i = p * r->width[C_RE] + n;
    mode m = {.lambda = -exp(r->in[RATE][k]) + I * imaginary(r, k), .C = r->in[C_RE][i] + I * r->in[C_IM][i], .B = 1,
              .dt = r->in[LOG_DT] ? exp(r->in[LOG_DT][p]) : 1, .kappa = ((const pha__ssm_attr *)r->attr)->kappa};
    if (r->in[B_RE]) m.B = r->in[B_RE][i] + I * r->in[B_IM][i];
    m.a = cexp(m.lambda * m.dt);
    m.in = expm1_of(m.lambda * m.dt) / m.lambda;
    return m;
}

static void forward(pha__op_reference *r)
{
    int P = r->out_width, N = r->width[C_RE];
    for (int b = 0; b < r->B; b++) {
        for (int p = 0; p < P; p++) {
            int64_t first = (int64_t)b * r->T;
            for (int t = 0; t < r->T; t++) r->out[(first + t) * P + p] = r->in[D][p] * r->in[X][(first + t) * P + p];
            for (int n = 0; n < N; n++) {
                mode m = mode_of(r, p, n);
                double complex s = 0;
                for (int t = 0; t < r->T; t++) {
                    s = m.a * s + m.B * m.in * r->in[X][(first + t) * P + p];
                    r->out[(first + t) * P + p] += m.kappa * creal(m.C * s);
                }
            }
        }
    }
}

/* The adjoint of the recurrence, run backwards: with u = dL/ds (dL = Re(u ds)) u_t = kappa C dy_t + a u_(t+1), and the
 * derivatives of a and of the input's factor by lambda and D. */
typedef struct sums {
    double complex C, in, a; /* dL = Re(.. d..) */
} sums;

static sums adjoint(const pha__op_reference *r, const mode *m, int b, int p, double complex *s)
{
    int P = r->out_width;
    int64_t first = (int64_t)b * r->T;
    sums g = {0, 0, 0};
    double complex u = 0;
    for (int t = 0; t < r->T; t++) s[t] = (t ? m->a * s[t - 1] : 0) + m->B * m->in * r->in[X][(first + t) * P + p];
    for (int t = r->T - 1; t >= 0; t--) {
        double dy = r->d_out[(first + t) * P + p];
        u = m->kappa * m->C * dy + m->a * u;
        g.C += m->kappa * dy * s[t];
        g.in += u * r->in[X][(first + t) * P + p];
        if (t > 0) g.a += u * s[t - 1];
        r->d_in[X][(first + t) * P + p] += creal(u * m->B * m->in);
    }
    return g;
}

static void add_complex(double *re, double *im, double complex g)
{
    *re += creal(g);
    *im -= cimag(g);
}

/* d in / d lambda and d in / d D, in = (e^z - 1) / lambda, z = lambda D */
static double complex slope(const mode *m)
{
    double complex z = m->lambda * m->dt, term = 1, sum = 0;
    if (cabs(z) > 0.5) return m->dt * m->dt * (z * m->a - m->a + 1) / (z * z);
    for (int k = 0; k < 30; k++) { /* sum_k (k + 1) / (k + 2)! z^k; term = z^k / (k + 1)! */
        term = k ? term * z / (k + 1) : 1;
        sum += term * (k + 1) / (k + 2);
    }
    return m->dt * m->dt * sum;
}

static void backward(pha__op_reference *r)
{
    int P = r->out_width, N = r->width[C_RE];
    bool log_im = ((const pha__ssm_attr *)r->attr)->log_im;
    double complex *s = malloc((size_t)r->T * sizeof *s);
    for (int64_t k = 0; k < (int64_t)r->B * r->T * P; k++) {
        r->d_in[X][k] += r->in[D][k % P] * r->d_out[k];
        r->d_in[D][k % P] += r->in[X][k] * r->d_out[k];
    }
    for (int b = 0; b < r->B; b++) {
        for (int p = 0; p < P; p++) {
            for (int n = 0; n < N; n++) {
                mode m = mode_of(r, p, n);
                int k = of_rate(r, p, n), i = p * N + n;
                sums g = adjoint(r, &m, b, p, s);
                double complex lambda = g.in * m.B * slope(&m) + g.a * m.dt * m.a, scale;
                add_complex(&r->d_in[C_RE][i], &r->d_in[C_IM][i], g.C);
                if (r->in[B_RE]) add_complex(&r->d_in[B_RE][i], &r->d_in[B_IM][i], g.in * m.in);
                scale = log_im ? imaginary(r, k) : 1;
                add_complex(&r->d_in[RATE][k], &(double){0}, -exp(r->in[RATE][k]) * lambda);
                add_complex(&(double){0}, &r->d_in[IM][k], lambda * scale);
                if (r->in[LOG_DT]) r->d_in[LOG_DT][p] += m.dt * creal(g.in * m.B * m.a + g.a * m.lambda * m.a);
            }
        }
    }
    free(s);
}

/* ---- cases ---- */

/* Im lambda = pi n, as of S4D-Lin */
static void lin(float *x, int rows, int width, pha__random *r)
{
    (void)r;
    for (int i = 0; i < rows * width; i++) x[i] = 3.14159265f * (float)(i % width);
}

/* steps from 1e-3 to 1e-1 */
static void steps(float *x, int rows, int width, pha__random *r)
{
    (void)r;
    for (int i = 0; i < rows * width; i++)
        x[i] = logf(1e-3f * powf(100.0f, (float)i / (float)(width > 1 ? width - 1 : 1)));
}

/* ln(1/2) and a little */
static void half(float *x, int rows, int width, pha__random *r)
{
    for (int i = 0; i < rows * width; i++) x[i] = -0.6931472f + 0.1f * pha__random_normal(r);
}

/* rates of every size: modes that forget at once, and some that hardly do */
static void extreme(float *x, int rows, int width, pha__random *r)
{
    static const float rate[] = {-7, 4, -3, 20, 0, -5, 7, 1};
    (void)r;
    for (int i = 0; i < rows * width; i++) x[i] = rate[i % 8];
}

static const pha__ssm_attr shared = {1, true, false}, shared_g = {1, true, true};
static const pha__ssm_attr real_im = {1, false, false}, real_im_g = {1, false, true};
static const pha__ssm_attr pairs = {2, false, false}, pairs_g = {2, false, true};

#define VALUE(P) {.width = (P), .scale = 1}
#define OF(P, N) {.rows = (P), .width = (N), .scale = 1, .f32 = true}
#define ONES(P, N) {.rows = (P), .width = (N), .scale = 0.3f, .shift = 1, .f32 = true}
#define FILLED(P, N, f) {.rows = (P), .width = (N), .fill = f, .f32 = true}
/* GSS: modes of all channels; DSS: steps of each channel besides; S4D (as in H3): everything of each channel */
#define GSS(P, N) .in = {VALUE(P), OF(P, N), OF(P, N), OF(1, N), OF(1, N), OF(1, P)}
#define DSS(P, N) .in = {VALUE(P), OF(P, N), OF(P, N), FILLED(1, N, half), FILLED(1, N, lin), OF(1, P), \
                         FILLED(1, P, steps)}
#define S4D(P, N) .in = {VALUE(P), OF(P, N), OF(P, N), FILLED(P, N, half), FILLED(P, N, lin), OF(1, P), \
                         FILLED(1, P, steps), ONES(P, N), OF(P, N)}

/* by transforms, or as the sum stands up to T 64, in a program with gradients; else step by step */
#define CONVOLVED(kind) .attr = &kind##_g
#define STEPPED(kind) .attr = &kind, .forward_only = true

static const pha__op_case cases[] = {
    {.name = "gss, small", .B = 2, .T = 5, CONVOLVED(shared), GSS(3, 2), .differences = true},
    {.name = "dss, small", .B = 2, .T = 6, CONVOLVED(real_im), DSS(3, 5), .differences = true},
    {.name = "s4d, small", .B = 2, .T = 7, CONVOLVED(pairs), S4D(3, 3), .differences = true},
    {.name = "one", .B = 1, .T = 1, CONVOLVED(shared), GSS(1, 1)},
    {.name = "gss, T 1, steps", .B = 3, .T = 1, STEPPED(shared), GSS(20, 9)},
    {.name = "gss, T 65", .B = 3, .T = 65, CONVOLVED(shared), GSS(33, 40)},
    {.name = "gss, T 65, steps", .B = 3, .T = 65, STEPPED(shared), GSS(33, 40)},
    {.name = "dss, T 130, steps", .B = 2, .T = 130, STEPPED(real_im), DSS(18, 12)},
    {.name = "s4d, T 70", .B = 3, .T = 70, CONVOLVED(pairs), S4D(17, 9)},
    {.name = "s4d, T 64, steps", .B = 2, .T = 64, STEPPED(pairs), S4D(17, 9)},
    {.name = "gss, T 63", .B = 2, .T = 63, CONVOLVED(shared), GSS(20, 9), .big = true},
    {.name = "gss, T 64", .B = 1, .T = 64, CONVOLVED(shared), GSS(16, 40), .big = true},
    {.name = "dss, T 130", .B = 2, .T = 130, CONVOLVED(real_im), DSS(18, 12), .big = true},
    {.name = "s4d, T 200", .B = 5, .T = 200, CONVOLVED(pairs), S4D(24, 33), .big = true},
    {.name = "gss, many channels", .B = 2, .T = 20, CONVOLVED(shared), GSS(500, 3), .big = true}, /* not sliced */
    {.name = "extreme", .B = 2, .T = 150, CONVOLVED(pairs), .big = true,
     .in = {VALUE(16), OF(16, 8), OF(16, 8), FILLED(16, 8, extreme), FILLED(16, 8, lin), OF(1, 16), OF(1, 16)}},
    {.name = "extreme, steps", .B = 2, .T = 150, STEPPED(pairs), .big = true,
     .in = {VALUE(16), OF(16, 8), OF(16, 8), FILLED(16, 8, extreme), FILLED(16, 8, lin), OF(1, 16), OF(1, 16)}},
    {.name = "gss, long", .B = 3, .T = 1000, CONVOLVED(shared), GSS(48, 64), .big = true},
    {.name = "s4d, long", .B = 2, .T = 1024, CONVOLVED(pairs), S4D(40, 32), .big = true},
    {.name = "s4d, long, steps", .B = 2, .T = 1024, STEPPED(pairs), S4D(40, 32), .big = true},
    {.name = "T 16384", .B = 1, .T = 16384, CONVOLVED(pairs), S4D(16, 6), .big = true},
    {.name = "T 16384, steps", .B = 1, .T = 16384, STEPPED(pairs), S4D(16, 6), .big = true},
};

const pha__op_test pha__test_ssm = {
    .op = &pha__op_ssm,
    .forward = forward,
    .backward = backward,
    .out = PHA__LIMITS(5e-6, 5e-5, 1e-2, 2e-1),
    .grad = {[X] = PHA__LIMITS(5e-6, 5e-5, 1e-2, 2e-1), [C_RE] = PHA__LIMITS(1e-5, 1e-4, 1e-5, 1e-4),
             [C_IM] = PHA__LIMITS(1e-5, 1e-4, 1e-5, 1e-4), [RATE] = PHA__LIMITS(1e-5, 1e-4, 1e-5, 1e-4),
             [IM] = PHA__LIMITS(1e-5, 1e-4, 1e-5, 1e-4), [D] = PHA__LIMITS(1e-5, 1e-4, 1e-5, 1e-4),
             [LOG_DT] = PHA__LIMITS(1e-5, 1e-4, 1e-5, 1e-4), [B_RE] = PHA__LIMITS(1e-5, 1e-4, 1e-5, 1e-4),
             [B_IM] = PHA__LIMITS(1e-5, 1e-4, 1e-5, 1e-4)},
    PHA__CASES(cases),
};
