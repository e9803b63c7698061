/* runs.h -- a training run of the tiny preset, and the comparison of two (tests of this folder only) */
#ifndef PHA__RUNS_H
#define PHA__RUNS_H

#include <math.h>

#include "models/lab.h"
#include "ops/lm_loss/lm_loss.h"

enum { B = 4, T = 33, ROWS = B * T, V = 256 };

static int32_t tokens[ROWS], targets[ROWS];

static inline pha__run run_of(int scored)
{
    return (pha__run){.tokens = tokens, .targets = targets, .loss_scale = 1.0f / (float)scored, .dropout = true,
                      .seed = 42, .step = 7};
}

static inline void configure(pha__config *c, const char *variant)
{
    lab_config(c, lab_find(variant));
    c->dropout = c->attn_dropout = 0.1;
}

/* The tiny preset after one training run of B x T; `options` may lack B, T and gradients. */
static inline void open_run(lab *l, const char *variant, pha__program_options o, pha__device *device)
{
    pha__config c;
    configure(&c, variant);
    if (!o.B) o.B = B;
    if (!o.T) o.T = T;
    o.gradients = true;
    int scored = lab_tokens(tokens, targets, ROWS, V, 10, 1);
    lab_open(l, &c, &o, PHA__HEAD_LOSS, device);
    for (int64_t i = 0; i < l->program->trainable; i++) l->grads[i] = NAN; /* the first microbatch stores */
    pha__run run = run_of(scored);
    OK(pha__exec_run(l->exec, B, T, &run, NULL, false));
}

static inline size_t size_of(const pha__node *w) { return (size_t)w->rows * (size_t)w->width; }

static inline double norm_of(const float *x, size_t n)
{
    double sum = 0;
    for (size_t k = 0; k < n; k++) sum += (double)x[k] * x[k];
    return sqrt(sum);
}

/* The norm that differences of parameter i are measured by: its own, but of a gradient that is 0 but for rounding (the
 * bias of keys moves all logits of a query alike) a thousandth of the largest. */
static inline double scale_of(const lab *l, int i)
{
    double most = 0, own = norm_of(lab_grad(l, i), size_of(l->program->params[i]));
    for (int k = 0; k < l->program->n_params; k++)
        if (l->program->params[k]->kind != PHA__CONSTANT)
            most = fmax(most, norm_of(lab_grad(l, k), size_of(l->program->params[k])));
    return own < 1e-6 * most ? 1e-3 * most : own;
}

/* Gradients by path, since layouts may differ. limit 0: the same bits. */
static inline void same_gradients(const lab *a, const lab *b, double limit, const char *what)
{
    assert_int_equal(a->program->n_params, b->program->n_params);
    for (int i = 0; i < a->program->n_params; i++) {
        const pha__node *w = a->program->params[i];
        assert_string_equal(w->path, b->program->params[i]->path);
        if (w->kind == PHA__CONSTANT) continue;
        double e2 = lab_e2(lab_grad(a, i), lab_grad(b, i), (int64_t)size_of(w));
        if (limit > 0 && e2 > limit) e2 *= norm_of(lab_grad(b, i), size_of(w)) / scale_of(b, i);
        bool same = e2 == 0 && lab_same(lab_grad(a, i), lab_grad(b, i), size_of(w) * sizeof(float));
        bool ok = limit > 0 ? e2 <= limit : same;
        if (!ok) fail_msg("%s: gradients of %s differ: E2 %.2e", what, w->path, e2);
    }
}

static inline void same_losses(lab *a, lab *b, const char *what)
{
    size_t size = PHA__LOSS_WIDTH * ROWS * sizeof(float);
    if (!lab_same(lab_output(a, "loss", ROWS), lab_output(b, "loss", ROWS), size))
        fail_msg("%s: losses have other bits", what);
}

/* Variants for what is slow to do with all. */
static const char *const some[] = {"default", "window 7", "dynamic mixing", "wb_scale fixed", "qk rms", "post_raw",
                                   "attention", "state space", "sequential", "sequential, no norm", "gss, hybrid",
                                   "h3"};
enum { N_SOME = sizeof some / sizeof *some };

#endif
