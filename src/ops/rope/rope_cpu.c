/* rope_cpu.c -- normalise a head, rotate it, scale it; backward undoes the three (algorithms.md 3)
 *
 * In between a head lies in the half-split order: its first members, then its second members of the pairs, so that
 * both conventions share the arithmetic.
 */
#include <math.h>

#include "backend/cpu/rows.h"
#include "ops/rope/rope.h"

static const float LN_100 = 4.60517019f;

/* A head to the half-split order, or back. */
static void split(float *dst, const float *src, int dh, bool interleaved)
{
    if (!interleaved) memcpy(dst, src, (size_t)dh * 4);
    else for (int j = 0; j < dh / 2; j++) dst[j] = src[2 * j], dst[dh / 2 + j] = src[2 * j + 1];
}
static void join(float *dst, const float *src, int dh, bool interleaved)
{
    if (!interleaved) memcpy(dst, src, (size_t)dh * 4);
    else for (int j = 0; j < dh / 2; j++) dst[2 * j] = src[j], dst[2 * j + 1] = src[dh / 2 + j];
}

/* x = factor * R x, or R^T with sign = -1; cs = [cos | sin] */
static void rotate(float *x, const float *cs, int half, float factor, float sign)
{
    vf f = vf_set1(factor), g = vf_set1(factor * sign);
    for (int j = 0, n = half; j < half; j += VF, n -= VF) {
        vf u = pha__load(x + j, n), w = pha__load(x + half + j, n);
        vf c = f * pha__load(cs + j, n), s = g * pha__load(cs + half + j, n);
        pha__store(x + j, u * c - w * s, n);
        pha__store(x + half + j, u * s + w * c, n);
    }
}

static float largest(const float *x, int n)
{
    vf top = vf_zero();
    for (int j = 0; j < n; j += VF) {
        vf v = pha__load(x + j, n - j);
        top = vf_max(top, vf_max(v, -v));
    }
    return vf_hmax(top);
}

/* 1/n of a head. The squares of a tiny or huge head would leave the range of floats, so those are summed in double. */
static float inverse_norm(const float *x, const pha__rope_attr *c)
{
    float top = largest(x, c->head_width);
    double sum = pha__dot(x, x, c->head_width);
    if (!(top > 1e-15f && top < 1e15f)) {
        sum = 0;
        for (int j = 0; j < c->head_width; j++) sum += (double)x[j] * x[j];
    }
    if (c->norm == PHA__NORM_RMS) sum /= c->head_width;
    return (float)(1 / sqrt(sum + (double)c->eps));
}

static float scale_of(const pha__args *a, int head)
{
    if (!a->in[2].data) return 1;
    float tau = ((const float *)a->in[2].data)[head];
    return expf(tau > LN_100 ? LN_100 : tau);
}

/* Of all heads, behind the room for four. */
static float *scales(const pha__args *a, float *buffer)
{
    const pha__rope_attr *c = a->attr;
    float *scale = buffer + 4 * c->head_width;
    for (int head = 0; head < c->n_head; head++) scale[head] = scale_of(a, head);
    return scale;
}

static const float *gain_of(const pha__args *a) { return a->in[3].data; }
static float *saved_unit(const pha__args *a, int64_t row, int head) /* rms only */
{
    const pha__rope_attr *c = a->attr;
    return a->saved + (int64_t)a->B * a->T * c->n_head + (row * c->n_head + head) * c->head_width;
}

static void head_forward(const pha__args *a, int64_t row, int head, const float *cs, float scale, float *buffer)
{
    const pha__rope_attr *c = a->attr;
    int dh = c->head_width;
    const float *x = pha__row_in(&a->in[0], row, (int64_t)head * dh, dh, buffer);
    float inverse = 1, *v = buffer + dh;
    split(v, x, dh, c->interleaved);
    if (c->norm != PHA__NORM_NONE) {
        inverse = inverse_norm(v, c);
        if (a->saved) a->saved[row * c->n_head + head] = inverse;
    }
    if (c->norm == PHA__NORM_RMS) {
        float *gain = buffer;
        split(gain, gain_of(a), dh, c->interleaved);
        for (int j = 0; j < dh; j++) v[j] *= inverse;
        if (a->saved) memcpy(saved_unit(a, row, head), v, (size_t)dh * 4);
        for (int j = 0; j < dh; j++) v[j] *= gain[j];
        inverse = 1;
    }
    rotate(v, cs, dh / 2, scale * inverse, 1);
    join(buffer, v, dh, c->interleaved);
    pha__row_grad(&a->out, row, (int64_t)head * dh, dh, buffer, false);
}

static void forward(const pha__args *a, int phase, int64_t begin, int64_t end, void *scratch)
{
    const pha__rope_attr *c = a->attr;
    float *buffer = scratch, *scale = scales(a, buffer);
    (void)phase;
    for (int64_t r = begin * PHA__ROW_BLOCK; r < pha__row_block_end(a, end - 1); r++)
        for (int head = 0; head < c->n_head; head++)
            head_forward(a, r, head, pha__at(&a->in[1], r, 0), scale[head], buffer);
}

/* dx of one head; adds to the partial sums of dtau and dgain (in half-split order). The buffer has room for 4 heads. */
static void head_backward(const pha__args *a, int64_t row, int head, float scale, float *dtau, float *dgain,
                          float *buffer)
{
    const pha__rope_attr *c = a->attr;
    int dh = c->head_width;
    const float *cs = pha__at(&a->in[1], row, 0);
    float *g = buffer + dh, *u = g + dh, *gain = u + dh, mean = 1;
    split(g, pha__row_in(&a->d_out, row, (int64_t)head * dh, dh, buffer), dh, c->interleaved);
    split(u, pha__row_in(&a->out, row, (int64_t)head * dh, dh, buffer), dh, c->interleaved);
    *dtau += pha__dot(g, u, dh);
    rotate(g, cs, dh / 2, scale, -1); /* gradient of v */
    if (c->norm == PHA__NORM_COSINE) rotate(u, cs, dh / 2, 1 / scale, -1);
    if (c->norm == PHA__NORM_RMS) {
        u = saved_unit(a, row, head), mean = 1 / (float)dh;
        split(gain, gain_of(a), dh, c->interleaved);
        for (int j = 0; j < dh; j++) dgain[j] += g[j] * u[j], g[j] *= gain[j];
    }
    if (!a->d_in[0].data) return;
    if (c->norm != PHA__NORM_NONE) { /* (g - u <g, u>) / n is exact also with eps in the root */
        float inverse = a->saved[row * c->n_head + head], p = pha__dot(g, u, dh) * mean;
        for (int j = 0; j < dh; j++) g[j] = inverse * (g[j] - p * u[j]);
    }
    join(buffer, g, dh, c->interleaved);
    pha__row_grad(&a->d_in[0], row, (int64_t)head * dh, dh, buffer, a->add & PHA__IN(0));
}

/* Partial sums: per stretch of rows n_head numbers of dtau, then dh of dgain. */
static int64_t partial_size(const pha__args *a)
{
    const pha__rope_attr *c = a->attr;
    return c->n_head + c->head_width;
}

static void stretch_backward(const pha__args *a, int64_t k, float *buffer)
{
    const pha__rope_attr *c = a->attr;
    float *partial = (float *)a->work + k * partial_size(a), *scale = scales(a, buffer);
    memset(partial, 0, (size_t)partial_size(a) * 4);
    for (int64_t r = pha__stretch_begin(a, k); r < pha__stretch_end(a, k); r++)
        for (int head = 0; head < c->n_head; head++)
            head_backward(a, r, head, scale[head], partial + head, partial + c->n_head, buffer);
}

/* Adds columns [first, first+n) of the partial sums, sequence by sequence. */
static void reduce(const pha__args *a, int first, int n, float *sum)
{
    const int64_t each = pha__stretches_each(a), size = partial_size(a);
    for (int i = 0; i < n; i++) {
        const float *partial = (const float *)a->work + first + i;
        for (int b = 0; b < a->B; b++) {
            double s = 0;
            for (int64_t k = 0; k < each; k++, partial += size) s += *partial;
            sum[i] += (float)s;
        }
    }
}

static void params_backward(const pha__args *a, float *buffer)
{
    const pha__rope_attr *c = a->attr;
    int dh = c->head_width;
    if (a->in[2].data && a->d_in[2].data) {
        float *old = buffer + 4 * dh;
        pha__sum_begin(old, &a->d_in[2], 0, 0, c->n_head, a->add & PHA__IN(2));
        memcpy(buffer, old, (size_t)c->n_head * 4);
        reduce(a, 0, c->n_head, buffer);
        for (int i = 0; i < c->n_head; i++)
            if (((const float *)a->in[2].data)[i] > LN_100) buffer[i] = old[i]; /* clamped */
        pha__row_grad(&a->d_in[2], 0, 0, c->n_head, buffer, false);
    }
    if (gain_of(a) && a->d_in[3].data) {
        float *sum = buffer + dh;
        pha__sum_begin(buffer, &a->d_in[3], 0, 0, dh, a->add & PHA__IN(3));
        split(sum, buffer, dh, c->interleaved);
        reduce(a, c->n_head, dh, sum);
        join(buffer, sum, dh, c->interleaved);
        pha__row_grad(&a->d_in[3], 0, 0, dh, buffer, false);
    }
}

static void backward(const pha__args *a, int phase, int64_t begin, int64_t end, void *scratch)
{
    for (int64_t i = begin; i < end; i++)
        if (phase == 0) stretch_backward(a, i, scratch);
        else params_backward(a, scratch);
}

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    if (phase == 0) return pass == PHA__BACKWARD ? pha__stretches(a) : pha__row_blocks(a);
    return phase == 1 && pass == PHA__BACKWARD && (a->d_in[2].data || a->d_in[3].data);
}

static size_t work(const pha__args *a, pha__pass pass)
{
    return pass == PHA__BACKWARD ? sizeof(float) * (size_t)(pha__stretches(a) * partial_size(a)) : 0;
}

static size_t scratch(const pha__args *a, pha__pass pass)
{
    const pha__rope_attr *c = a->attr;
    (void)pass;
    return sizeof(float) * (4 * (size_t)c->head_width + (size_t)c->n_head);
}

PHA__KERNEL(rope) = {.tasks = tasks, .forward = forward, .backward = backward, .work = work, .scratch = scratch};
