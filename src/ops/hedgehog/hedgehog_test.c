/* hedgehog_test.c -- out = [softmax(W x); softmax(-W x)] or e^([W x; -W x] - max), per head, at least `floor` */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/harness.h"
#include "ops/hedgehog/hedgehog.h"

enum { X, W };

/* z = [W x; -W x] of a head and the features f before the floor. */
static void features(const pha__op_reference *r, int64_t row, int h, double *z, double *f)
{
    const pha__hedgehog_attr *c = r->attr;
    int dh = c->head_width;
    const double *x = r->in[X] + row * r->width[X] + h * dh;
    for (int i = 0; i < dh; i++) {
        const double *w = r->in[W] + (int64_t)(h * dh + i) * dh;
        z[i] = 0;
        for (int j = 0; j < dh; j++) z[i] += w[j] * x[j];
        z[dh + i] = -z[i];
    }
    int groups = c->map == PHA__MAP_EXP ? 1 : 2, n = 2 * dh / groups;
    for (int g = 0; g < groups; g++) {
        double top = z[g * n], sum = 0;
        for (int i = 0; i < n; i++) top = fmax(top, z[g * n + i]);
        for (int i = 0; i < n; i++) sum += f[g * n + i] = exp(z[g * n + i] - top);
        for (int i = 0; i < n && c->map == PHA__MAP_SOFTMAX; i++) f[g * n + i] /= sum;
    }
}

static void forward(pha__op_reference *r)
{
    const pha__hedgehog_attr *c = r->attr;
    int dh = c->head_width;
    double *z = malloc(sizeof *z * (size_t)(4 * dh)), *f = z + 2 * dh;
    for (int64_t row = 0; row < r->B * r->T; row++)
        for (int h = 0; h < c->n_head; h++) {
            features(r, row, h, z, f);
            for (int i = 0; i < 2 * dh; i++) r->out[row * r->out_width + h * 2 * dh + i] = fmax(f[i], c->floor);
        }
    free(z);
}

/* dz of a row: of each softmax f (d - <d, f>); of exp f d, less their sum at the first of the largest z. */
static void gradient(const pha__hedgehog_attr *c, const double *z, const double *f, const double *d, double *dz)
{
    int groups = c->map == PHA__MAP_EXP ? 1 : 2, n = 2 * c->head_width / groups;
    for (int g = 0; g < groups; g++) {
        double sum = 0;
        int top = 0;
        for (int i = 0; i < n; i++) {
            dz[g * n + i] = f[g * n + i] < c->floor ? 0 : f[g * n + i] * d[g * n + i];
            sum += dz[g * n + i];
            if (z[g * n + i] > z[g * n + top]) top = i;
        }
        for (int i = 0; i < n && c->map == PHA__MAP_SOFTMAX; i++) dz[g * n + i] -= f[g * n + i] * sum;
        if (c->map == PHA__MAP_EXP) dz[top] -= sum;
    }
}

static void backward(pha__op_reference *r)
{
    const pha__hedgehog_attr *c = r->attr;
    int dh = c->head_width;
    double *z = malloc(sizeof *z * (size_t)(6 * dh)), *f = z + 2 * dh, *dz = f + 2 * dh;
    for (int64_t row = 0; row < r->B * r->T; row++)
        for (int h = 0; h < c->n_head; h++) {
            features(r, row, h, z, f);
            gradient(c, z, f, r->d_out + row * r->out_width + h * 2 * dh, dz);
            for (int i = 0; i < dh; i++)
                for (int j = 0; j < dh; j++) {
                    int64_t w = (int64_t)(h * dh + i) * dh + j, x = row * r->width[X] + h * dh + j;
                    r->d_in[W][w] += (dz[i] - dz[dh + i]) * r->in[X][x];
                    r->d_in[X][x] += (dz[i] - dz[dh + i]) * r->in[W][w];
                }
        }
    free(z);
}

static void identity(float *x, int rows, int width, pha__random *r)
{
    (void)r;
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < width; j++) x[i * width + j] = i % width == j;
}

#define ATTR(h, dh, map) &(const pha__hedgehog_attr){h, dh, map, 1e-12f}
#define CASE(n, b, t, h, dh, map, s)                                  \
    .name = n, .B = b, .T = t, .attr = ATTR(h, dh, PHA__MAP_##map),   \
    .in = {{.width = (h) * (dh), .scale = s}, {.rows = (h) * (dh), .width = dh, .scale = 0.5f, .f32 = true}}
#define LIMIT {.e2 = 3e-6, .emax = 1e-4, .bf16_e2 = 6e-3, .bf16_emax = 1e-1}
#define GRADIENT {.e2 = 5e-6, .emax = 1e-4, .bf16_e2 = 1e-2, .bf16_emax = 2e-1}

static const pha__op_case cases[] = {
    {CASE("differences", 2, 3, 3, 4, SOFTMAX, 1), .differences = true},
    {CASE("differences, exp", 2, 3, 2, 5, EXP, 1), .differences = true},
    {CASE("one token", 3, 1, 4, 60, SOFTMAX, 0.3f)},
    {CASE("one token, exp", 1, 1, 4, 76, EXP, 0.3f)},
    {CASE("63", 1, 63, 2, 64, SOFTMAX, 0.3f)},
    {CASE("65", 3, 65, 4, 17, SOFTMAX, 1)},
    {CASE("65, exp", 3, 65, 4, 17, EXP, 1)},
    {CASE("heads of width 1", 2, 40, 5, 1, SOFTMAX, 1), .grad = {{.unlimited = true}, {.unlimited = true}}},
    {.name = "from the identity, large", .B = 1, .T = 64, .attr = ATTR(3, 16, PHA__MAP_SOFTMAX),
     .in = {{.width = 48, .scale = 12}, {.rows = 48, .width = 16, .fill = identity, .f32 = true}}},
    {.name = "from the identity, large, exp", .B = 1, .T = 64, .attr = ATTR(3, 16, PHA__MAP_EXP),
     .in = {{.width = 48, .scale = 12}, {.rows = 48, .width = 16, .fill = identity, .f32 = true}}},
    {.name = "a floor felt", .B = 2, .T = 33,
     .attr = &(const pha__hedgehog_attr){3, 16, PHA__MAP_SOFTMAX, 0.05f},
     .in = {{.width = 48, .scale = 1}, {.rows = 48, .width = 16, .scale = 0.5f, .f32 = true}}},
    {.name = "a floor felt, exp", .B = 2, .T = 33,
     .attr = &(const pha__hedgehog_attr){3, 16, PHA__MAP_EXP, 0.05f},
     .in = {{.width = 48, .scale = 1}, {.rows = 48, .width = 16, .scale = 0.5f, .f32 = true}}},
    {CASE("width 768", 1, 70, 12, 64, SOFTMAX, 0.3f), .big = true},
    {CASE("several segments", 3, 800, 2, 32, SOFTMAX, 0.5f), .big = true},
    {CASE("several segments, exp", 3, 800, 2, 32, EXP, 0.5f), .big = true},
};

const pha__op_test pha__test_hedgehog = {
    .op = &pha__op_hedgehog,
    .forward = forward,
    .backward = backward,
    .out = LIMIT,
    .grad = {GRADIENT, GRADIENT},
    PHA__CASES(cases),
};
