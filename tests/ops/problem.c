/* problem.c -- random inputs of a case, the reference's answer, and the check of the reference itself */
#include "problem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/simd.h"

/* ---- random numbers (splitmix64) ---- */

uint32_t pha__random_next(pha__random *r)
{
    uint64_t z = (*r += 0x9E3779B97F4A7C15u);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (uint32_t)(z >> 32);
}

int pha__random_below(pha__random *r, int n) { return (int)((uint64_t)pha__random_next(r) * (uint64_t)n >> 32); }

float pha__random_normal(pha__random *r)
{
    double u = (pha__random_next(r) + 1.0) * 0x1p-32, v = pha__random_next(r) * 0x1p-32;
    return (float)(sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
}

static pha__random random_of_name(const char *name)
{
    pha__random r = 12345;
    for (; *name; name++) r = r * 31 + (unsigned char)*name;
    return r;
}

/* ---- inputs ---- */

pha__dtype pha__input_dtype(const pha__problem *p, int i)
{
    const pha__input *in = &p->c->in[i];
    return in->f32 || in->rows == 1 ? PHA__F32 : p->dtype;
}

bool pha__has_gradient(const pha__problem *p, int i)
{
    return p->c->in[i].width > 0 && !p->c->in[i].no_grad && !p->test->op->no_grad;
}

uint32_t pha__inputs(const pha__problem *p)
{
    uint32_t present = 0;
    for (int i = 0; i < PHA__MAX_IN; i++) present |= p->c->in[i].width ? PHA__IN(i) : 0;
    return present;
}

pha__dtype pha__result_dtype(const pha__problem *p) { return pha__out_dtype(p->test->op, pha__inputs(p), p->dtype); }

int64_t pha__input_rows(const pha__problem *p, int i)
{
    return p->c->in[i].rows ? p->c->in[i].rows : (int64_t)p->ref.B * p->ref.T;
}

pha__shape pha__problem_shape(const pha__problem *p)
{
    pha__shape s = {.B = p->ref.B, .T = p->ref.T, .dtype = p->dtype, .attr = p->c->attr};
    for (int i = 0; i < PHA__MAX_IN; i++) {
        const pha__input *in = &p->c->in[i];
        if (in->width == 0) continue;
        s.in[i].present = true, s.in[i].param = in->rows > 0;
        s.in[i].rows = in->rows, s.in[i].width = in->width;
        s.n_in = i + 1;
    }
    pha__check(p->test->op->shape(&s) == PHA_OK, "shape: %s", pha_errmsg());
    return s;
}

static double *doubles(int64_t n) { return calloc((size_t)(n > 0 ? n : 1), sizeof(double)); }

/* Sizes and empty arrays for B sequences of T tokens. */
static void set_size(pha__problem *p, int B, int T)
{
    p->ref.B = B, p->ref.T = T;
    p->ref.attr = p->c->attr;
    p->ref.run = &p->run;
    for (int i = 0; i < PHA__MAX_IN; i++) {
        if (p->c->in[i].width == 0) continue;
        p->ref.rows[i] = p->c->in[i].rows, p->ref.width[i] = p->c->in[i].width;
        int64_t n = pha__input_rows(p, i) * p->ref.width[i];
        p->ref.in[i] = doubles(n);
        if (pha__has_gradient(p, i)) p->ref.d_in[i] = doubles(n);
    }
    p->ref.out_width = pha__problem_shape(p).width;
    p->ref.out = doubles((int64_t)B * T * p->ref.out_width);
    p->ref.d_out = doubles((int64_t)B * T * p->ref.out_width);
    p->run.tokens = calloc((size_t)B * T, sizeof(int32_t));
    p->run.targets = calloc((size_t)B * T, sizeof(int32_t));
    p->run.order = calloc((size_t)B * T, sizeof(int32_t));
}

static void fill_input(pha__problem *p, int i, pha__random *r)
{
    const pha__input *in = &p->c->in[i];
    int64_t rows = pha__input_rows(p, i), n = rows * in->width;
    float *x = malloc((size_t)n * sizeof *x);
    if (in->fill) {
        in->fill(x, (int)rows, in->width, r);
    } else {
        for (int64_t k = 0; k < n; k++) x[k] = pha__random_normal(r) * in->scale + in->shift;
    }
    bool round = pha__input_dtype(p, i) == PHA__BF16;
    for (int64_t k = 0; k < n; k++) ((double *)p->ref.in[i])[k] = round ? bf16_to_f32(f32_to_bf16(x[k])) : x[k];
    free(x);
}

void pha__problem_open(pha__problem *p, const pha__op_test *test, const pha__op_case *c, pha__dtype dtype)
{
    *p = (pha__problem){.test = test, .c = c, .dtype = dtype};
    p->run = (pha__run){.dropout = c->dropout, .seed = 0x123456789abcdef, .step = 77, .row0 = 5};
    set_size(p, c->B, c->T);
    pha__random r = random_of_name(c->name);
    for (int i = 0; i < PHA__MAX_IN; i++) {
        if (c->in[i].width) fill_input(p, i, &r);
    }
    int64_t rows = (int64_t)c->B * c->T;
    p->run.loss_scale = 1.0f / (float)rows;
    for (int64_t k = 0; k < rows && c->vocabulary > 0; k++) {
        int token = pha__random_below(&r, c->distinct ? c->distinct : c->vocabulary);
        bool unscored = pha__random_below(&r, 100) < c->unscored;
        ((int32_t *)p->run.tokens)[k] = token;
        ((int32_t *)p->run.targets)[k] = unscored ? -1 : pha__random_below(&r, c->vocabulary);
    }
    bool round = pha__result_dtype(p) == PHA__BF16;
    for (int64_t k = 0; k < rows * p->ref.out_width; k++) {
        float d = pha__random_normal(&r);
        if (test->op->is_loss) d = k % p->ref.out_width == 0 ? p->run.loss_scale : 0;
        ((double *)p->ref.d_out)[k] = round ? bf16_to_f32(f32_to_bf16(d)) : d;
    }
}

/* Copies the rows of sequences [b, b+B), tokens [t, t+T). */
static void copy_rows(const pha__op_reference *to, const pha__op_reference *from, void *x, const void *y, size_t row,
                      int b, int t)
{
    for (int s = 0; s < to->B; s++) {
        memcpy((char *)x + (size_t)s * to->T * row, (const char *)y + ((size_t)(b + s) * from->T + t) * row,
               to->T * row);
    }
}

void pha__problem_slice(pha__problem *p, const pha__problem *of, int b, int B, int t, int T)
{
    *p = (pha__problem){.test = of->test, .c = of->c, .dtype = of->dtype, .run = of->run};
    set_size(p, B, T);
    if (T == of->ref.T) p->run.row0 += (int64_t)b * T;
    for (int i = 0; i < PHA__MAX_IN; i++) {
        size_t row = (size_t)p->c->in[i].width * sizeof(double);
        if (row == 0) continue;
        if (p->c->in[i].rows) {
            memcpy((double *)p->ref.in[i], of->ref.in[i], p->c->in[i].rows * row);
        } else {
            copy_rows(&p->ref, &of->ref, (double *)p->ref.in[i], of->ref.in[i], row, b, t);
        }
    }
    copy_rows(&p->ref, &of->ref, (double *)p->ref.d_out, of->ref.d_out, (size_t)p->ref.out_width * sizeof(double), b,
              t);
    copy_rows(&p->ref, &of->ref, (int32_t *)p->run.tokens, of->run.tokens, sizeof(int32_t), b, t);
    copy_rows(&p->ref, &of->ref, (int32_t *)p->run.targets, of->run.targets, sizeof(int32_t), b, t);
}

/* The rows sorted by token, then by row. */
void pha__problem_sort(pha__problem *p)
{
    int32_t *order = (int32_t *)p->run.order;
    for (int32_t k = 0; k < p->ref.B * p->ref.T; k++) {
        int32_t at = k;
        while (at > 0 && p->run.tokens[order[at - 1]] > p->run.tokens[k]) order[at] = order[at - 1], at--;
        order[at] = k;
    }
}

void pha__problem_solve(pha__problem *p)
{
    pha__problem_sort(p);
    p->test->forward(&p->ref);
    if (!p->test->op->no_grad) p->test->backward(&p->ref);
}

void pha__problem_close(pha__problem *p)
{
    for (int i = 0; i < PHA__MAX_IN; i++) {
        free((double *)p->ref.in[i]);
        free(p->ref.d_in[i]);
    }
    free(p->ref.out);
    free((double *)p->ref.d_out);
    free((int32_t *)p->run.tokens);
    free((int32_t *)p->run.targets);
    free((int32_t *)p->run.order);
}

/* ---- a norm, for references ---- */

static double inverse_rms(const double *x, int n, double eps)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += x[i] * x[i];
    return 1 / sqrt(sum / n + eps);
}

void pha__norm_of(double *x, const double *gain, int n, double eps)
{
    double r = inverse_rms(x, n, eps);
    for (int i = 0; i < n; i++) x[i] *= gain[i] * r;
}

void pha__norm_gradient(double *d, const double *x, const double *gain, double *dgain, int n, double eps)
{
    double r = inverse_rms(x, n, eps), sum = 0;
    for (int i = 0; i < n; i++) {
        sum += d[i] * gain[i] * x[i];
        if (dgain) dgain[i] += d[i] * r * x[i];
    }
    for (int i = 0; i < n; i++) d[i] = r * d[i] * gain[i] - r * r * r * x[i] * sum / n;
}

/* ---- the reference against central differences (numerics.md 4) ---- */

/* L = sum <out, d_out> with input i moved by step * direction; *size is the sum of the absolute terms. */
static double loss_at(pha__problem *p, int i, const double *direction, double step, double *size)
{
    double *x = (double *)p->ref.in[i];
    int64_t n = pha__input_rows(p, i) * p->ref.width[i];
    double *before = doubles(n);
    memcpy(before, x, (size_t)n * sizeof *x);
    for (int64_t k = 0; k < n; k++) x[k] += step * direction[k];
    p->test->forward(&p->ref);
    memcpy(x, before, (size_t)n * sizeof *x);
    free(before);
    double loss = 0;
    *size = 0;
    for (int64_t k = 0; k < (int64_t)p->ref.B * p->ref.T * p->ref.out_width; k++) {
        double term = p->ref.out[k] * p->ref.d_out[k];
        loss += term, *size += fabs(term);
    }
    return loss;
}

typedef struct difference {
    double worst, largest, noise;
} difference;

static void along(pha__problem *p, int i, const double *direction, double step, difference *d)
{
    double size;
    double up = loss_at(p, i, direction, step, &size), down = loss_at(p, i, direction, -step, &size);
    double numeric = (up - down) / (2 * step), analytic = 0;
    int64_t n = pha__input_rows(p, i) * p->ref.width[i];
    for (int64_t k = 0; k < n; k++) analytic += p->ref.d_in[i][k] * direction[k];
    d->worst = fmax(d->worst, fabs(analytic - numeric));
    if (!isfinite(analytic - numeric)) d->worst = INFINITY;
    d->largest = fmax(d->largest, fabs(numeric));
    d->noise = fmax(d->noise, size * 1e-15 / step);
}

static void check_input(pha__problem *p, int i, pha__random *r)
{
    int64_t n = pha__input_rows(p, i) * p->ref.width[i];
    double *direction = doubles(n);
    difference single = {0}, random = {0};
    for (int64_t k = 0; k < (n <= 500 ? n : 200); k++) {
        int64_t at = n <= 500 ? k : pha__random_below(r, (int)n);
        direction[at] = 1;
        along(p, i, direction, 1e-5 * fmax(1, fabs(p->ref.in[i][at])), &single);
        direction[at] = 0;
    }
    for (int k = 0; k < 20 && n > 500; k++) {
        for (int64_t j = 0; j < n; j++) direction[j] = pha__random_normal(r) / sqrt((double)n);
        along(p, i, direction, 1e-5, &random);
    }
    free(direction);
    pha__check(single.worst <= 1e-6 * single.largest + single.noise,
               "reference: gradient of in[%d] is off by %.3g, largest %.3g", i, single.worst, single.largest);
    pha__check(random.worst <= 1e-6 * random.largest + random.noise,
               "reference: gradient of in[%d] along a direction is off by %.3g, largest %.3g", i, random.worst,
               random.largest);
}

void pha__check_differences(pha__problem *p)
{
    pha__random r = random_of_name(p->c->name);
    pha__problem_solve(p);
    for (int i = 0; i < PHA__MAX_IN; i++) {
        if (pha__has_gradient(p, i)) check_input(p, i, &r);
    }
}
