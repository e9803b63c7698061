/* mix_test.c -- y = sum_k w_k gain_k z_k / rms(z_k), out = alpha base + beta mask y or the norm of that; weights of
 * all three kinds */
#include <math.h>
#include <stdlib.h>

#include "ops/harness.h"
#include "ops/mix/mix.h"

enum {
    BASE = PHA__MIX_BASE,
    P = PHA__MIX_P,
    M = PHA__MIX_M,
    INPUT = PHA__MIX_U,
    BRANCH = PHA__MIX_BRANCH,
    GAIN = PHA__MIX_GAIN,
    NORM = PHA__MIX_NORM,
    N = PHA__MIX_MAX
};

static double mask(const pha__op_reference *r, int64_t row, int column)
{
    const pha__mix_attr *attr = r->attr;
    return pha__mask_of(r, attr->dropout, attr->site, row, column);
}

/* c_k and s_k = softplus(c_k) of a row; returns the sum of s. */
static double pre_weights(const pha__op_reference *r, int64_t row, double *c, double *s)
{
    const pha__mix_attr *attr = r->attr;
    double sum = 0;
    for (int k = 0; k < attr->n; k++) {
        c[k] = r->in[P] ? r->in[P][k] : 0;
        for (int i = 0; r->in[M] && i < r->out_width; i++) {
            c[k] += r->in[M][k * r->out_width + i] * r->in[INPUT][row * r->out_width + i];
        }
        s[k] = fmax(c[k], 0) + log1p(exp(-fabs(c[k])));
        sum += s[k];
    }
    return sum;
}

static double inverse_rms(const pha__op_reference *r, const double *z)
{
    const pha__mix_attr *attr = r->attr;
    double sum = 0;
    for (int i = 0; i < r->out_width; i++) sum += z[i] * z[i];
    return 1 / sqrt(sum / r->out_width + attr->eps);
}

static double gain(const pha__op_reference *r, int k, int i) { return r->in[GAIN + k] ? r->in[GAIN + k][i] : 1; }

static void sum_branches(const pha__op_reference *r, int64_t row, double *out)
{
    const pha__mix_attr *attr = r->attr;
    int D = r->out_width;
    double c[N], s[N], rms[N], sum = pre_weights(r, row, c, s);
    for (int k = 0; k < attr->n; k++) rms[k] = inverse_rms(r, r->in[BRANCH + k] + row * D);
    for (int i = 0; i < D; i++) {
        double y = 0;
        for (int k = 0; k < attr->n; k++) {
            y += s[k] / sum * gain(r, k, i) * rms[k] * r->in[BRANCH + k][row * D + i];
        }
        out[i] = attr->alpha * r->in[BASE][row * D + i] + attr->beta * mask(r, row, i) * y;
    }
}

static void forward(pha__op_reference *r)
{
    const pha__mix_attr *attr = r->attr;
    int D = r->out_width;
    for (int64_t row = 0; row < r->B * r->T; row++) {
        sum_branches(r, row, r->out + row * D);
        if (r->in[NORM]) pha__norm_of(r->out + row * D, r->in[NORM], D, attr->norm_eps);
    }
}

/* The gradient of branch k of a row from dy = g w_k; returns <g, norm(z_k)>, the gradient of w_k. */
static double backward_branch(pha__op_reference *r, int64_t row, int k, double w, const double *g)
{
    int D = r->out_width;
    const double *z = r->in[BRANCH + k] + row * D;
    double rms = inverse_rms(r, z), dw = 0;
    for (int i = 0; i < D; i++) {
        dw += g[i] * gain(r, k, i) * rms * z[i];
        if (r->d_in[GAIN + k]) r->d_in[GAIN + k][i] += w * g[i] * rms * z[i];
    }
    for (int i = 0; i < D; i++) {
        r->d_in[BRANCH + k][row * D + i] += rms * (w * g[i] * gain(r, k, i) - rms * z[i] * w * dw / D);
    }
    return dw;
}

static void backward(pha__op_reference *r)
{
    const pha__mix_attr *attr = r->attr;
    int D = r->out_width;
    for (int64_t row = 0; row < r->B * r->T; row++) {
        double c[N], s[N], dw[N], d[1024], g[1024], mean = 0, sum = pre_weights(r, row, c, s);
        for (int i = 0; i < D; i++) d[i] = r->d_out[row * D + i];
        sum_branches(r, row, g);
        if (r->in[NORM]) pha__norm_gradient(d, g, r->in[NORM], r->d_in[NORM], D, attr->norm_eps);
        for (int i = 0; i < D; i++) {
            r->d_in[BASE][row * D + i] += attr->alpha * d[i];
            g[i] = attr->beta * mask(r, row, i) * d[i];
        }
        for (int k = 0; k < attr->n; k++) {
            dw[k] = backward_branch(r, row, k, s[k] / sum, g);
            mean += s[k] / sum * dw[k];
        }
        for (int k = 0; k < attr->n && r->in[P]; k++) {
            double dc = (dw[k] - mean) / sum / (1 + exp(-c[k]));
            r->d_in[P][k] += dc;
            for (int i = 0; r->in[M] && i < D; i++) {
                r->d_in[M][k * D + i] += dc * r->in[INPUT][row * D + i];
                r->d_in[INPUT][row * D + i] += dc * r->in[M][k * D + i];
            }
        }
    }
}

static void far_apart(float *x, int rows, int width, pha__random *r)
{
    static const float p[] = {40, -40, 0, -5};
    (void)r;
    for (int i = 0; i < rows * width; i++) x[i] = p[i % 4];
}

static void zero_rows(float *x, int rows, int width, pha__random *r)
{
    for (int64_t k = 0; k < (int64_t)rows * width; k++) x[k] = k / width % 3 ? pha__random_normal(r) : 0;
}

static const pha__mix_attr three = {.n = 3, .alpha = 2.2f, .beta = 1, .eps = 1e-6f, .dropout = 0.1f, .site = 10},
                           two = {.n = 2, .alpha = 1, .beta = 0.5f, .eps = 1e-6f, .dropout = 0.3f, .site = 2},
                           four = {.n = 4, .alpha = 1.5f, .beta = 1, .eps = 1e-6f},
                           single = {.n = 1, .alpha = 2, .beta = 1, .eps = 1e-6f},
                           three_normed = {.n = 3, .alpha = 2.2f, .beta = 1, .eps = 1e-6f, .dropout = 0.1f, .site = 10,
                                           .norm_eps = 1e-6f},
                           two_normed = {.n = 2, .alpha = 1, .beta = 0.5f, .eps = 1e-6f, .dropout = 0.3f, .site = 2,
                                         .norm_eps = 0.1f},
                           single_normed = {.n = 1, .alpha = 2, .beta = 1, .eps = 1e-6f, .norm_eps = 1e-6f};

#define V(D) {.width = (D), .scale = 1}
#define WEIGHTS(n) {.rows = 1, .width = (n), .scale = 1}
#define MATRIX(n, D) {.rows = (n), .width = (D), .scale = 0.1f}
#define G(D) {.rows = 1, .width = (D), .scale = 0.3f, .shift = 1}

/* Weights that change from row to row make some gradients 15 times their rms: the correct rounding of those to bf16
 * (4.7642 to 4.75) is an error of 0.046 rms by itself, above the usual limit of 0.04. */
#define ROUNDED PHA__LIMITS(1e-6, 1e-5, 6e-3, 6e-2)

#define NORMED .out = PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2) /* the norm is rounded, the sum is not */

static const pha__op_case cases[] = {
    {.name = "small static", .B = 2, .T = 3, .attr = &three, .dropout = true, .differences = true,
     .in = {V(7), WEIGHTS(3), [BRANCH] = V(7), V(7), V(7), [GAIN] = G(7), G(7), G(7)}},
    {.name = "small dynamic", .B = 2, .T = 3, .attr = &two, .dropout = true, .differences = true,
     .in = {V(9), WEIGHTS(2), MATRIX(2, 9), V(9), V(9), V(9), [GAIN] = G(9), G(9)}},
    {.name = "small uniform", .B = 1, .T = 4, .attr = &four, .differences = true,
     .in = {V(6), [BRANCH] = V(6), V(6), V(6), V(6), [GAIN] = G(6), {0}, G(6)}},
    {.name = "norm and residual", .B = 1, .T = 65, .attr = &single, .in = {V(60), [BRANCH] = V(60), [GAIN] = G(60)}},
    {.name = "one", .B = 1, .T = 1, .attr = &three,
     .in = {V(60), WEIGHTS(3), [BRANCH] = V(60), V(60), V(60), [GAIN] = G(60), G(60), G(60)}},
    {.name = "no gains", .B = 3, .T = 63, .attr = &three, .in = {V(76), WEIGHTS(3), [BRANCH] = V(76), V(76), V(76)}},
    {.name = "static, T 65", .B = 3, .T = 65, .attr = &three, .dropout = true,
     .in = {V(130), WEIGHTS(3), [BRANCH] = V(130), V(130), V(130), [GAIN] = G(130), G(130), G(130)}},
    {.name = "dynamic, T 65", .B = 3, .T = 65, .attr = &three, .dropout = true,
     .in = {V(130), WEIGHTS(3), MATRIX(3, 130), V(130), V(130), V(130), V(130), [GAIN] = G(130), G(130), G(130)},
     .grad = {[BRANCH] = ROUNDED, ROUNDED, ROUNDED}},
    /* dp of the weight e^-40 is rounding only: it is measured against the size of the others */
    {.name = "weights far apart", .B = 1, .T = 9, .attr = &four,
     .in = {V(60), {.rows = 1, .width = 4, .fill = far_apart}, [BRANCH] = V(60), V(60), V(60), V(60), [GAIN] = G(60)}},
    {.name = "zero rows", .B = 1, .T = 9, .attr = &two,
     .in = {V(60), WEIGHTS(2), [BRANCH] = {.width = 60, .fill = zero_rows}, V(60), [GAIN] = G(60), G(60)}},
    {.name = "fp32 base, D 768", .B = 3, .T = 2, .attr = &three, .dropout = true,
     .in = {{.width = 768, .scale = 1, .f32 = true}, WEIGHTS(3), MATRIX(3, 768), V(768), V(768), V(768), V(768),
            [GAIN] = G(768), G(768), G(768)},
     .grad = {[BRANCH] = ROUNDED, ROUNDED, ROUNDED}},
    {.name = "long", .B = 3, .T = 1000, .attr = &three, .dropout = true, .big = true,
     .in = {V(608), WEIGHTS(3), [BRANCH] = V(608), V(608), V(608), [GAIN] = G(608), G(608), G(608)}},
    {.name = "normed, small", .B = 2, .T = 3, .attr = &three_normed, .dropout = true, .differences = true, NORMED,
     .in = {V(7), WEIGHTS(3), [BRANCH] = V(7), V(7), V(7), [GAIN] = G(7), G(7), G(7), [NORM] = G(7)}},
    {.name = "normed, small dynamic", .B = 2, .T = 3, .attr = &two_normed, .dropout = true, .differences = true, NORMED,
     .in = {V(9), WEIGHTS(2), MATRIX(2, 9), V(9), V(9), V(9), [GAIN] = G(9), G(9), [NORM] = G(9)}},
    {.name = "normed, one branch", .B = 1, .T = 65, .attr = &single_normed, NORMED,
     .in = {V(60), [BRANCH] = V(60), [GAIN] = G(60), [NORM] = G(60)}},
    {.name = "normed, one row", .B = 1, .T = 1, .attr = &three_normed, NORMED,
     .in = {V(60), WEIGHTS(3), [BRANCH] = V(60), V(60), V(60), [NORM] = G(60)}},
    {.name = "normed, zero rows", .B = 1, .T = 9, .attr = &single_normed, NORMED,
     .in = {{.width = 60, .fill = zero_rows}, [BRANCH] = {.width = 60, .fill = zero_rows}, [NORM] = G(60)}},
    {.name = "normed, dynamic, T 65", .B = 3, .T = 65, .attr = &three_normed, .dropout = true, NORMED,
     .in = {V(130), WEIGHTS(3), MATRIX(3, 130), V(130), V(130), V(130), V(130), [GAIN] = G(130), G(130), G(130),
            [NORM] = G(130)},
     .grad = {[BRANCH] = ROUNDED, ROUNDED, ROUNDED}},
    {.name = "normed, fp32 base", .B = 3, .T = 2, .attr = &three_normed, .dropout = true, NORMED,
     .in = {{.width = 768, .scale = 1, .f32 = true}, WEIGHTS(3), [BRANCH] = V(768), V(768), V(768),
            [GAIN] = G(768), G(768), G(768), [NORM] = G(768)}},
    {.name = "normed, long", .B = 3, .T = 1000, .attr = &three_normed, .dropout = true, .big = true, NORMED,
     .in = {V(608), WEIGHTS(3), [BRANCH] = V(608), V(608), V(608), [GAIN] = G(608), G(608), G(608), [NORM] = G(608)}},
};

/* The weights sum to 1, whatever they are: with one and the same branch everywhere the mix is its norm. */
static void check_sum(const pha__kernel *kernel, int n, bool learned, bool dynamic, pha__dtype dtype)
{
    enum { D = 76, ROWS = 33 };
    static const float sizes[] = {1, 40, -40, -5};
    const pha__mix_attr attr = {.n = n, .alpha = 0, .beta = 1, .eps = 1e-6f};
    float *z = calloc(4 * ROWS * D, sizeof *z), *out = z + ROWS * D, *u = out + ROWS * D, *matrix = u + ROWS * D, p[N];
    uint16_t *half = calloc(ROWS * D, sizeof *half);
    pha__random r = 17;
    for (int k = 0; k < ROWS * D; k++) {
        half[k] = f32_to_bf16(z[k] = pha__random_normal(&r)), u[k] = pha__random_normal(&r);
        if (dtype == PHA__BF16) z[k] = bf16_to_f32(half[k]);
    }
    for (int k = 0; k < n * D; k++) matrix[k] = pha__random_normal(&r);
    for (int k = 0; k < n; k++) p[k] = sizes[k];
    pha__args a = {.B = 1, .T = ROWS, .n_in = 13, .attr = &attr};
    pha__view branch = {dtype == PHA__BF16 ? (void *)half : z, D, 0, D, dtype};
    a.in[BASE] = branch, a.out = (pha__view){out, D, 0, D, PHA__F32};
    for (int k = 0; k < n; k++) a.in[BRANCH + k] = branch;
    if (learned) a.in[P] = (pha__view){p, n, 1, n, PHA__F32};
    if (dynamic) a.in[M] = (pha__view){matrix, D, n, D, PHA__F32}, a.in[INPUT] = (pha__view){u, D, 0, D, PHA__F32};
    pha__run_kernel(kernel, &a, NULL, PHA__FORWARD, PHA__ONE_BY_ONE);
    for (int row = 0; row < ROWS; row++) {
        double squares = 0, product = 0;
        for (int i = row * D; i < (row + 1) * D; i++) squares += (double)z[i] * z[i], product += (double)z[i] * out[i];
        double sum = product / squares * sqrt(squares / D + attr.eps);
        pha__check(fabs(sum - 1) <= 1e-6, "%d weights, row %d: their sum is 1 %+.2e", n, row, sum - 1);
    }
    free(z);
    free(half);
}

static void extra(const pha__kernel *kernel)
{
    for (int n = 1; n <= N; n++)
        for (int kind = 0; kind < 3; kind++) {
            check_sum(kernel, n, kind > 0, kind > 1, PHA__F32);
            check_sum(kernel, n, kind > 0, kind > 1, PHA__BF16);
        }
}

#define VALUE PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2)
#define SUM PHA__LIMITS(1e-5, 1e-4, 1e-2, 1e-1) /* sums over tokens with cancellation */

const pha__op_test pha__test_mix = {
    .op = &pha__op_mix,
    .forward = forward,
    .backward = backward,
    .out = PHA__LIMITS(1e-6, 1e-5, 1e-6, 1e-5), /* fp32 in any storage */
    .grad = {VALUE, SUM, SUM, PHA__LIMITS(1e-5, 1e-4, 1e-2, 1e-1), VALUE, VALUE, VALUE, VALUE, VALUE, VALUE, VALUE,
             VALUE, SUM},
    PHA__CASES(cases),
    .extra = extra,
};
