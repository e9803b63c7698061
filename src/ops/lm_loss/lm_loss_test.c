/* lm_loss_test.c -- the cross-entropy in double, one token after the other */
#include <math.h>
#include <stdlib.h>

#include "base/dtype.h"
#include "harness.h"
#include "ops/lm_loss/lm_loss.h"

extern const pha__op_test pha__test_lm_loss;

/* p = softmax of the logits of row t; returns nll and whether the target is the first of the largest logits. */
static double token(const pha__op_reference *r, int64_t t, int c, double *p, int *hit)
{
    int n = r->rows[1], d = r->width[1], best = 0;
    for (int j = 0; j < n; j++) {
        p[j] = 0;
        for (int i = 0; i < d; i++) p[j] += r->in[1][(int64_t)j * d + i] * r->in[0][t * d + i];
        if (p[j] > p[best]) best = j;
    }
    double top = p[best], target = p[c], sum = 0;
    *hit = best == c;
    for (int j = 0; j < n; j++) sum += p[j] = exp(p[j] - top);
    for (int j = 0; j < n; j++) p[j] /= sum;
    return log(sum) + top - target;
}

static void forward(pha__op_reference *r)
{
    double *p = malloc(sizeof *p * (size_t)r->rows[1]);
    for (int64_t t = 0; t < (int64_t)r->B * r->T; t++) {
        int c = r->run->targets[t], hit = 0;
        r->out[PHA__LOSS_WIDTH * t + PHA__NLL] = c < 0 ? 0 : token(r, t, c, p, &hit);
        r->out[PHA__LOSS_WIDTH * t + PHA__HIT] = hit;
    }
    free(p);
}

static void backward(pha__op_reference *r)
{
    int n = r->rows[1], d = r->width[1];
    double *p = malloc(sizeof *p * (size_t)n), weight = r->attr ? ((const pha__lm_loss_attr *)r->attr)->weight : 1;
    for (int64_t t = 0; t < (int64_t)r->B * r->T; t++) {
        int c = r->run->targets[t], hit;
        if (c < 0) continue;
        token(r, t, c, p, &hit);
        for (int j = 0; j < n; j++) {
            double g = (p[j] - (j == c)) * weight * r->d_out[PHA__LOSS_WIDTH * t + PHA__NLL];
            for (int i = 0; i < d; i++) {
                if (r->d_in[0]) r->d_in[0][t * d + i] += g * r->in[1][(int64_t)j * d + i];
                if (r->d_in[1]) r->d_in[1][(int64_t)j * d + i] += g * r->in[0][t * d + i];
            }
        }
    }
    free(p);
}

static void equal_rows(float *x, int rows, int width, pha__random *r) /* all logits equal: the first one wins */
{
    for (int j = 0; j < width; j++) x[j] = pha__random_normal(r);
    for (int64_t i = width; i < (int64_t)rows * width; i++) x[i] = x[i - width];
}

/* bf16 inputs against the inputs before they were rounded: over many tokens the errors cancel, so the mean is closer
 * than the single token (numerics.md 2). */
static void extra(const pha__kernel *kernel)
{
    enum { T = 1200, V = 997, D = 64 };
    double *in = malloc(sizeof *in * (T + V) * D), mean = 0, ref = 0, worst = 0, *p = malloc(sizeof *p * V);
    uint16_t *half = malloc(sizeof *half * (T + V) * D);
    float *out = malloc(sizeof *out * PHA__LOSS_WIDTH * T);
    int32_t targets[T];
    pha__random r = 23;
    for (int k = 0; k < (T + V) * D; k++)
        half[k] = f32_to_bf16((float)(in[k] = (k < T * D ? 1 : 0.25) * pha__random_normal(&r)));
    for (int t = 0; t < T; t++) targets[t] = pha__random_below(&r, V);
    pha__run run = {.targets = targets, .loss_scale = 1};
    pha__args a = {.B = 1, .T = T, .n_in = 2, .run = &run};
    a.in[0] = (pha__view){half, D, 0, D, PHA__BF16}, a.in[1] = (pha__view){half + T * D, D, V, D, PHA__BF16};
    a.out = (pha__view){out, PHA__LOSS_WIDTH, 0, PHA__LOSS_WIDTH, PHA__F32};
    pha__run_kernel(kernel, &a, NULL, PHA__FORWARD, PHA__ONE_BY_ONE);
    pha__op_reference reference = {.in = {in, in + T * D}, .rows = {0, V}, .width = {D, D}};
    for (int t = 0; t < T; t++) {
        int hit;
        double nll = token(&reference, t, targets[t], p, &hit);
        float found = out[PHA__LOSS_WIDTH * t + PHA__NLL];
        worst = fmax(worst, fabs(found - nll));
        mean += found / T, ref += nll / T;
    }
    pha__check(fabs(mean - ref) <= 5e-4, "bf16: the mean of %d tokens is %.6f, not %.6f", T, mean, ref);
    pha__check(worst > 5e-4, "bf16: no token is off by more than %.1e; were the inputs rounded?", worst);
    free(in);
    free(p);
    free(half);
    free(out);
}

/* name, B, T, V, D, size of the logits */
#define CASE(name_, b, t, v, d, s) .name = name_, .B = b, .T = t, .vocabulary = v, .in = {{0, d, 1}, {v, d, (float)(s)}}
#define NLL {.e2 = 0, .emax = 2e-5, .bf16_e2 = 0, .bf16_emax = 1e-2, .absolute = true}
#define GRADIENT {1e-5, 1e-4, 1e-2, 1e-1}

static const pha__lm_loss_attr quarter = {0.25f};

static const pha__op_case cases[] = {
    {CASE("differences", 2, 3, 11, 4, 0.5), .differences = true, .unscored = 30},
    {CASE("one token", 1, 1, 300, 60, 0.1)},
    {CASE("two classes", 3, 2, 2, 5, 0.5)},
    {CASE("one class", 1, 2, 1, 5, 1), .grad = {{1e-5, 1e-4, 1e-2, 1e-1, .floor = 1e-3},
                                               {1e-5, 1e-4, 1e-2, 1e-1, .floor = 1e-3}}},
    {CASE("63", 1, 63, 257, 76, 0.2), .unscored = 50},
    {CASE("65", 3, 65, 100, 33, 0.1)},
    {CASE("weight", 2, 9, 40, 16, 0.3), .attr = &quarter, .unscored = 20},
    {CASE("none scored", 1, 5, 40, 8, 0.5), .unscored = 100},
    /* the limit of the table is for logits of size 10; of one of 70 the last bit alone is 8e-6 */
    {CASE("sharp: logits up to 70", 1, 30, 64, 64, 3), .out = {.emax = 1e-4, .bf16_emax = 1e-2, .absolute = true}},
    {.name = "equal logits", .B = 1, .T = 40, .vocabulary = 9, .in = {{0, 16, 1}, {9, 16, 1, .fill = equal_rows}},
     .grad = {{1e-5, 1e-4, 1e-2, 1e-1, .floor = 0.02}, GRADIENT}}, /* dh is 0 */
    {CASE("T 2, D 768", 3, 2, 100, 768, 0.03)},
    {CASE("several blocks", 2, 600, 70, 20, 0.2), .big = true, .unscored = 10},
    {CASE("a third scored", 3, 7, 40, 24, 0.3), .unscored = 70}, /* gathered */
    {CASE("gathered, several blocks", 2, 900, 70, 20, 0.2), .big = true, .unscored = 60},
    {CASE("scored pieces larger than the room", 2, 600, 5, 64, 0.2), .big = true, .unscored = 60}, /* not gathered */
    {CASE("gathered, weight", 2, 65, 300, 33, 0.1), .attr = &quarter, .unscored = 90},
    {CASE("blocks by memory", 1, 370, 50257, 8, 0.4), .big = true, .unscored = 5},
};

const pha__op_test pha__test_lm_loss = {
    .op = &pha__op_lm_loss,
    .forward = forward,
    .backward = backward,
    .out = NLL,
    .grad = {GRADIENT, GRADIENT},
    PHA__CASES(cases),
    .extra = extra,
};
