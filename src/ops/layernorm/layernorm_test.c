/* layernorm_test.c -- out_i = gain_i (x_i - mean) / sqrt(var + eps) + bias_i */
#include <math.h>

#include "ops/harness.h"
#include "ops/layernorm/layernorm.h"

enum { X, GAIN, BIAS };

static void moments(const pha__op_reference *r, const double *x, double *mean, double *inverse)
{
    const pha__layernorm_attr *attr = r->attr;
    int D = r->out_width;
    double sum = 0, squares = 0;
    for (int i = 0; i < D; i++) sum += x[i];
    *mean = sum / D;
    for (int i = 0; i < D; i++) squares += (x[i] - *mean) * (x[i] - *mean);
    *inverse = 1 / sqrt(squares / D + attr->eps);
}

static void forward(pha__op_reference *r)
{
    int D = r->out_width;
    for (int64_t row = 0; row < r->B * r->T; row++) {
        const double *x = r->in[X] + row * D;
        double mean, inverse;
        moments(r, x, &mean, &inverse);
        for (int i = 0; i < D; i++)
            r->out[row * D + i] = r->in[GAIN][i] * (x[i] - mean) * inverse + r->in[BIAS][i];
    }
}

/* dx_i = (t_i - mean t - v_i mean(t v)) inverse,  t = d gain,  v = (x - mean) inverse */
static void backward(pha__op_reference *r)
{
    int D = r->out_width;
    for (int64_t row = 0; row < r->B * r->T; row++) {
        const double *x = r->in[X] + row * D, *d = r->d_out + row * D, *gain = r->in[GAIN];
        double mean, inverse, t = 0, tv = 0;
        moments(r, x, &mean, &inverse);
        for (int i = 0; i < D; i++) {
            double v = (x[i] - mean) * inverse;
            t += d[i] * gain[i] / D, tv += d[i] * gain[i] * v / D;
            r->d_in[GAIN][i] += d[i] * v;
            r->d_in[BIAS][i] += d[i];
        }
        for (int i = 0; i < D; i++)
            r->d_in[X][row * D + i] += inverse * (d[i] * gain[i] - t - (x[i] - mean) * inverse * tv);
    }
}

/* Every third row is constant, every third tiny. */
static void flat_rows(float *x, int rows, int width, pha__random *r)
{
    for (int row = 0; row < rows; row++)
        for (int i = 0; i < width; i++)
            x[row * width + i] = row % 3 == 0 ? (float)row : (row % 3 == 1 ? 1e-4f : 1) * pha__random_normal(r);
}

static const pha__layernorm_attr attr = {.eps = 1e-5f};

#define IN(D) {{.width = (D), .scale = 1}, {.rows = 1, .width = (D), .scale = 0.3f, .shift = 1}, \
               {.rows = 1, .width = (D), .scale = 0.5f}}
#define FAR(D) {{.width = (D), .scale = 1, .shift = 30}, {.rows = 1, .width = (D), .scale = 0.3f, .shift = 1}, \
                {.rows = 1, .width = (D), .scale = 0.5f}}

static const pha__op_case cases[] = {
    {.name = "small", .B = 2, .T = 3, .attr = &attr, .in = IN(10), .differences = true},
    {.name = "one token", .B = 1, .T = 1, .attr = &attr, .in = IN(60)},
    {.name = "T 63", .B = 3, .T = 63, .attr = &attr, .in = IN(76)},
    {.name = "T 64", .B = 1, .T = 64, .attr = &attr, .in = IN(480)},
    {.name = "T 65", .B = 3, .T = 65, .attr = &attr, .in = IN(257)},
    {.name = "T 2, D 768", .B = 3, .T = 2, .attr = &attr, .in = IN(768)},
    {.name = "flat rows", .B = 2, .T = 9, .attr = &attr,
     .in = {{.width = 60, .fill = flat_rows}, {.rows = 1, .width = 60, .scale = 0.3f, .shift = 1},
            {.rows = 1, .width = 60, .scale = 0.5f}}},
    /* x itself is known to 30 u, 2e-6 of what is left without the mean */
    {.name = "far from 0", .B = 2, .T = 33, .attr = &attr, .in = FAR(100), .out = PHA__LIMITS(5e-6, 3e-5, 2e-2, 2e-1),
     .grad = {PHA__LIMITS(5e-6, 3e-5, 2e-2, 2e-1), PHA__LIMITS(5e-6, 3e-5, 2e-2, 2e-1),
              PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2)}},
    {.name = "long", .B = 3, .T = 1000, .attr = &attr, .in = IN(608), .big = true},
};

const pha__op_test pha__test_layernorm = {
    .op = &pha__op_layernorm,
    .forward = forward,
    .backward = backward,
    .out = PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2),
    .grad = {PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2), PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2),
             PHA__LIMITS(1e-6, 1e-5, 6e-3, 4e-2)},
    PHA__CASES(cases),
};
