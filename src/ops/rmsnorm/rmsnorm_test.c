/* rmsnorm_test.c -- out_i = gain_i x_i / sqrt(mean x^2 + eps) */
#include <math.h>

#include "ops/harness.h"
#include "ops/rmsnorm/rmsnorm.h"

static double inverse_rms(const pha__op_reference *r, const double *x)
{
    const pha__rmsnorm_attr *attr = r->attr;
    double sum = 0;
    for (int i = 0; i < r->out_width; i++) sum += x[i] * x[i];
    return 1 / sqrt(sum / r->out_width + attr->eps);
}

static void forward(pha__op_reference *r)
{
    int D = r->out_width;
    for (int64_t row = 0; row < r->B * r->T; row++) {
        const double *x = r->in[0] + row * D;
        double rms = inverse_rms(r, x);
        for (int i = 0; i < D; i++) r->out[row * D + i] = (r->in[1] ? r->in[1][i] : 1) * rms * x[i];
    }
}

/* dx_i = r t_i - r^3 x_i sum_j t_j x_j / D,  t = d gain */
static void backward(pha__op_reference *r)
{
    int D = r->out_width;
    for (int64_t row = 0; row < r->B * r->T; row++) {
        const double *x = r->in[0] + row * D, *d = r->d_out + row * D;
        double rms = inverse_rms(r, x), sum = 0;
        for (int i = 0; i < D; i++) {
            sum += d[i] * (r->in[1] ? r->in[1][i] : 1) * x[i];
            if (r->d_in[1]) r->d_in[1][i] += d[i] * rms * x[i];
        }
        for (int i = 0; i < D; i++) {
            double t = d[i] * (r->in[1] ? r->in[1][i] : 1);
            r->d_in[0][row * D + i] += rms * t - rms * rms * rms * x[i] * sum / D;
        }
    }
}

/* Every third row is zero, every third tiny. */
static void zero_rows(float *x, int rows, int width, pha__random *r)
{
    for (int row = 0; row < rows; row++) {
        float scale = row % 3 == 0 ? 0 : row % 3 == 1 ? 1e-4f : 1;
        for (int i = 0; i < width; i++) x[row * width + i] = scale * pha__random_normal(r);
    }
}

static const pha__rmsnorm_attr attr = {.eps = 1e-6f};

#define X(D) {.width = (D), .scale = 1}
#define G(D) {.rows = 1, .width = (D), .scale = 0.3f, .shift = 1}

static const pha__op_case cases[] = {
    {.name = "small", .B = 2, .T = 3, .attr = &attr, .in = {X(10), G(10)}, .differences = true},
    {.name = "no gain", .B = 1, .T = 3, .attr = &attr, .in = {X(17)}, .differences = true},
    {.name = "one", .B = 1, .T = 1, .attr = &attr, .in = {X(60), G(60)}},
    {.name = "T 63", .B = 3, .T = 63, .attr = &attr, .in = {X(76), G(76)}},
    {.name = "T 64", .B = 1, .T = 64, .attr = &attr, .in = {X(480), G(480)}},
    {.name = "T 65", .B = 3, .T = 65, .attr = &attr, .in = {X(257), G(257)}},
    {.name = "zero rows", .B = 2, .T = 9, .attr = &attr, .in = {{.width = 60, .fill = zero_rows}, G(60)},
     .differences = false},
    {.name = "T 2, D 768", .B = 3, .T = 2, .attr = &attr, .in = {X(768), G(768)}},
    {.name = "long", .B = 3, .T = 1000, .attr = &attr, .in = {X(608), G(608)}, .big = true},
};

const pha__op_test pha__test_rmsnorm = {
    .op = &pha__op_rmsnorm,
    .forward = forward,
    .backward = backward,
    .out = PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2),
    .grad = {PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2), PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2)},
    PHA__CASES(cases),
};
