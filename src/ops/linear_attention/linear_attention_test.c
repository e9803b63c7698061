/* linear_attention_test.c -- o_t = sum_s b_ts v_s / (sum_s b_ts + eps), b_ts = q_t . k_s, s <= t, pair by pair */
#include <math.h>
#include <stdlib.h>

#include "ops/harness.h"
#include "ops/linear_attention/linear_attention.h"

enum { Q, K, V };

static double *at(double *x, int width, int64_t row, int head, int heads)
{
    return x + row * width + head * (width / heads);
}

/* b (t + 1) of token t of sequence b; their sum and eps. */
static double weights(const pha__op_reference *r, int b, int t, int h, double *w)
{
    const pha__linear_attention_attr *c = r->attr;
    double sum = c->eps;
    const double *q = at((double *)r->in[Q], r->width[Q], (int64_t)b * r->T + t, h, c->n_head);
    for (int s = 0; s <= t; s++) {
        const double *k = at((double *)r->in[K], r->width[K], (int64_t)b * r->T + s, h, c->n_head);
        w[s] = 0;
        for (int i = 0; i < c->n_feature; i++) w[s] += q[i] * k[i];
        sum += w[s];
    }
    return sum;
}

static void forward(pha__op_reference *r)
{
    const pha__linear_attention_attr *c = r->attr;
    double *w = malloc((size_t)r->T * sizeof *w);
    for (int b = 0; b < r->B; b++)
        for (int t = 0; t < r->T; t++)
            for (int h = 0; h < c->n_head; h++) {
                double sum = weights(r, b, t, h, w);
                double *o = at(r->out, r->out_width, (int64_t)b * r->T + t, h, c->n_head);
                for (int j = 0; j < c->head_width; j++) o[j] = 0;
                for (int s = 0; s <= t; s++) {
                    const double *v = at((double *)r->in[V], r->width[V], (int64_t)b * r->T + s, h, c->n_head);
                    for (int j = 0; j < c->head_width; j++) o[j] += w[s] / sum * v[j];
                }
            }
    free(w);
}

/* db_ts = <do_t, v_s - o_t> / sum_t:  dq_t = sum_s db_ts k_s,  dk_s = sum_t db_ts q_t,  dv_s = sum_t b_ts do_t / sum_t
 */
static void backward_token(pha__op_reference *r, int b, int t, int h, double *w)
{
    const pha__linear_attention_attr *c = r->attr;
    int64_t row = (int64_t)b * r->T + t;
    double sum = weights(r, b, t, h, w);
    const double *o = at(r->out, r->out_width, row, h, c->n_head);
    const double *d = at((double *)r->d_out, r->out_width, row, h, c->n_head);
    for (int s = 0; s <= t; s++) {
        int64_t other = (int64_t)b * r->T + s;
        const double *v = at((double *)r->in[V], r->width[V], other, h, c->n_head);
        double db = 0, *dv = at(r->d_in[V], r->width[V], other, h, c->n_head);
        for (int j = 0; j < c->head_width; j++) {
            db += d[j] * (v[j] - o[j]) / sum;
            dv[j] += w[s] / sum * d[j];
        }
        double *dq = at(r->d_in[Q], r->width[Q], row, h, c->n_head);
        double *dk = at(r->d_in[K], r->width[K], other, h, c->n_head);
        const double *q = at((double *)r->in[Q], r->width[Q], row, h, c->n_head);
        const double *k = at((double *)r->in[K], r->width[K], other, h, c->n_head);
        for (int i = 0; i < c->n_feature; i++) dq[i] += db * k[i], dk[i] += db * q[i];
    }
}

static void backward(pha__op_reference *r)
{
    const pha__linear_attention_attr *c = r->attr;
    double *w = malloc((size_t)r->T * sizeof *w);
    for (int b = 0; b < r->B; b++)
        for (int t = 0; t < r->T; t++)
            for (int h = 0; h < c->n_head; h++) backward_token(r, b, t, h, w);
    free(w);
}

/* elu(x) + 1, and features of one softmax in which few are large. */
static void positive(float *x, int rows, int width, pha__random *r)
{
    for (int64_t k = 0; k < (int64_t)rows * width; k++) {
        float v = pha__random_normal(r);
        x[k] = v > 0 ? v + 1 : expf(v);
    }
}
static void peaked(float *x, int rows, int width, pha__random *r)
{
    for (int64_t k = 0; k < (int64_t)rows * width; k++) x[k] = fmaxf(expf(pha__random_normal(r) * 1.5f - 3), 1e-12f);
}

#define ATTR(h, m, dh, eps) &(const pha__linear_attention_attr){h, m, dh, eps}
#define CASE(n, b, t, h, m, dh, f)                                         \
    .name = n, .B = b, .T = t, .attr = ATTR(h, m, dh, 1e-6f),              \
    .in = {{.width = (h) * (m), .fill = f}, {.width = (h) * (m), .fill = f}, {.width = (h) * (dh), .scale = 1}}
#define LIMIT {.e2 = 1e-5, .emax = 2e-4, .bf16_e2 = 1e-2, .bf16_emax = 2e-1}
/* floor: with one key in sight the gradients of q and k are zero but for eps */
#define GRADIENT {.e2 = 3e-5, .emax = 5e-4, .bf16_e2 = 2e-2, .bf16_emax = 4e-1, .floor = 0.05}
/* with one feature there is one weight for all keys that a token sees: q and k do not matter */
#define NOTHING {.e2 = 3e-5, .emax = 5e-4, .bf16_e2 = 2e-2, .bf16_emax = 4e-1, .floor = 1}

static const pha__op_case cases[] = {
    {CASE("differences", 2, 7, 3, 4, 5, positive), .differences = true},
    {CASE("differences, one feature", 1, 5, 2, 1, 3, positive), .differences = true,
     .grad = {NOTHING, GRADIENT, GRADIENT}},
    {CASE("one token", 3, 1, 4, 60, 60, positive)},
    {CASE("two tokens", 1, 2, 4, 152, 76, positive)},
    {CASE("63", 1, 63, 4, 64, 64, positive)},
    {CASE("64, more features", 1, 64, 2, 128, 64, positive)},
    {CASE("65", 3, 65, 4, 24, 12, positive)},
    {CASE("width 768", 1, 65, 12, 64, 64, positive)},
    {CASE("wide heads", 1, 40, 2, 33, 130, positive)},
    {CASE("peaked", 2, 100, 4, 32, 16, peaked)},
    {CASE("1000", 1, 1000, 2, 64, 64, positive), .big = true},
    {CASE("1000, batch", 3, 700, 2, 32, 16, peaked), .big = true},
};

const pha__op_test pha__test_linear_attention = {
    .op = &pha__op_linear_attention,
    .forward = forward,
    .backward = backward,
    .out = LIMIT,
    .grad = {GRADIENT, GRADIENT, GRADIENT},
    PHA__CASES(cases),
};
