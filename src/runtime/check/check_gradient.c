/* check_gradient.c -- gradients of the narrow copy against differences of its loss
 *
 * The library carries no reference in double (tests/models does), so the differences are those of the fp32 forward
 * pass: of four points, with steps of a hundredth of a tensor's size or less, the losses summed in double. Each
 * learned tensor is tried along its own gradient, which finds a wrong length, and along a random direction, which
 * finds a wrong place. An error counts relative to what a direction of that length gives on average; what the rounding
 * of a loss can make of a difference is allowed on top.
 */
#include <math.h>
#include <string.h>

#include "ops/lm_loss/lm_loss.h"
#include "runtime/check/check.h"
#include "runtime/train/optimizer.h"

enum { B = 2, T = 33, ROWS = B * T };
static const double LIMIT = 0.01;
static const double ROUNDING = 5e-8; /* of a mean loss, relative to it */
static const double steps[] = {0.01, 0.0025, 0.0006}; /* smaller ones where the loss is far from a polynomial */

typedef struct setup {
    pha__config config;
    pha__device *device;
    pha__program *program, *forward;
    pha__store *store;
    pha__optimizer optimizer;
    pha__exec *exec, *forward_exec;
    int32_t ids[ROWS], targets[ROWS];
    pha__run run;
    float *loss;              /* (ROWS, 2) */
    float *at, *moved;        /* a tensor as it is, and elsewhere */
    double *gradient, *direction;
} setup;

static double normal(uint64_t *random)
{
    double u = 1 - pha__check_random(random), v = pha__check_random(random);
    return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

/* Vectors are moved off their initial values: gains of exactly 1 would hide errors. */
static pha_status shake(setup *s)
{
    for (int i = 0; i < s->program->n_params; i++) {
        const pha__node *w = s->program->params[i];
        uint64_t random = 77 + (uint64_t)i;
        if (w->kind == PHA__MATRIX || w->kind == PHA__CONSTANT) continue;
        TRY(pha__store_copy_out(s->store, PHA__WEIGHT, i, s->at));
        for (int64_t k = 0; k < pha__param_size(s->program, i); k++) s->at[k] += (float)(0.1 * normal(&random));
        TRY(pha__store_copy_in(s->store, PHA__WEIGHT, i, s->at));
    }
    return PHA_OK;
}

static pha_status open_memory(setup *s)
{
    size_t most = 1;
    for (int i = 0; i < s->program->n_params; i++) {
        size_t n = (size_t)pha__param_size(s->program, i);
        most = n > most ? n : most;
    }
    s->loss = pha__alloc(ROWS * PHA__LOSS_WIDTH, sizeof *s->loss);
    s->at = pha__alloc(most, sizeof *s->at);
    s->moved = pha__alloc(most, sizeof *s->moved);
    s->gradient = pha__alloc(most, sizeof *s->gradient);
    s->direction = pha__alloc(most, sizeof *s->direction);
    return s->loss && s->at && s->moved && s->gradient && s->direction ? PHA_OK : PHA_NO_MEMORY;
}

static pha_status open_setup(setup *s, const pha__check *c)
{
    pha__program_options o = {.B = B, .T = T, .gradients = true}, forward = {.B = B, .T = T};
    s->config = c->small->config;
    s->config.dropout = 0.1; /* the same masks in every run */
    pha__check_tokens(s->ids, ROWS, PHA__CHECK_VOCAB, 21);
    pha__check_tokens(s->targets, ROWS, PHA__CHECK_VOCAB, 22);
    s->run = (pha__run){.tokens = s->ids, .targets = s->targets, .loss_scale = 1.0f / ROWS, .dropout = true, .seed = 99,
                        .step = 3, .row0 = 7};
    TRY(pha__device_open(&s->device, NULL, c->o->threads));
    TRY(pha__record(&s->program, &s->config, &o, PHA__HEAD_LOSS));
    TRY(pha__record(&s->forward, &s->config, &forward, PHA__HEAD_LOSS));
    TRY(pha__store_open(&s->store, s->program, s->device));
    TRY(pha__optimizer_open(&s->optimizer, s->store, &(pha__optimizer_options){.half = false}));
    TRY(pha__init_weights(s->store, 1234));
    TRY(open_memory(s));
    TRY(shake(s));
    TRY(pha__exec_open(&s->exec, s->program, s->store, s->device));
    return pha__exec_open(&s->forward_exec, s->forward, s->store, s->device);
}

static void close_setup(setup *s)
{
    pha__exec_close(s->exec);
    pha__exec_close(s->forward_exec);
    pha__optimizer_close(&s->optimizer);
    pha__store_close(s->store);
    pha__program_close(s->program);
    pha__program_close(s->forward);
    pha__device_close(s->device);
    pha__free(s->loss);
    pha__free(s->at);
    pha__free(s->moved);
    pha__free(s->gradient);
    pha__free(s->direction);
}

/* What training minimises: all losses of the program with their weights, means over the tokens. */
static pha_status loss_of(setup *s, double *out)
{
    *out = 0;
    TRY(pha__exec_run(s->forward_exec, B, T, &s->run, NULL, false));
    for (int k = 0; k < s->forward->n_outputs; k++) {
        double sum = 0;
        if (!s->forward->outputs[k].loss) continue;
        TRY(pha__exec_output(s->forward_exec, s->forward->outputs[k].name, ROWS, s->loss));
        for (int i = 0; i < ROWS; i++) sum += s->loss[PHA__LOSS_WIDTH * i + PHA__NLL];
        *out += s->forward->outputs[k].weight * sum / ROWS;
    }
    return PHA_OK;
}

/* The loss with tensor i moved along the direction. */
static pha_status loss_at(setup *s, int i, double step, double *out)
{
    for (int64_t k = 0; k < pha__param_size(s->program, i); k++)
        s->moved[k] = (float)(s->at[k] + step * s->direction[k]);
    TRY(pha__store_copy_in(s->store, PHA__WEIGHT, i, s->moved));
    return loss_of(s, out);
}

static double rms(const double *x, int64_t n)
{
    double sum = 0;
    for (int64_t k = 0; k < n; k++) sum += x[k] * x[k];
    return sqrt(sum / (double)n);
}

/* The direction gets the size of the tensor, or what a matrix of its kind is seldom below. */
static void scale_direction(setup *s, int64_t n)
{
    double size = 0, own = rms(s->direction, n);
    for (int64_t k = 0; k < n; k++) size += (double)s->at[k] * s->at[k];
    size = fmax(sqrt(size / (double)n), 1e-2);
    for (int64_t k = 0; k < n; k++) s->direction[k] *= size / own;
}

/* The error of one direction with one step, as it is and as a part of what is allowed to it */
static pha_status try_step(setup *s, int i, double step, double *out, double *error)
{
    int64_t n = pha__param_size(s->program, i);
    double f[4], analytic = 0;
    for (int64_t k = 0; k < n; k++) analytic += s->gradient[k] * s->direction[k];
    for (int k = 0; k < 4; k++) TRY(loss_at(s, i, step * (k < 2 ? k - 2 : k - 1), &f[k]));
    double numeric = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * step);
    double usual = rms(s->gradient, n) * rms(s->direction, n) * sqrt((double)n); /* of a random direction */
    double allowed = LIMIT * fmax(usual, fabs(analytic)) + ROUNDING * fabs(f[1]) / step;
    *error = numeric - analytic;
    *out = fabs(*error) / allowed;
    if (!isfinite(*out)) *out = INFINITY;
    return PHA_OK;
}

/* With a smaller step where that gives another error, so that the larger one was to blame; what a small one can show is
 * less. */
static pha_status try_direction(setup *s, int i, double *out)
{
    double one, error, before = INFINITY;
    scale_direction(s, pha__param_size(s->program, i));
    *out = INFINITY;
    for (size_t k = 0; k < sizeof steps / sizeof *steps && *out > 0.2; k++) {
        TRY(try_step(s, i, steps[k], &one, &error));
        if (k > 0 && one > 0.2 && fabs(error - before) <= 0.1 * fabs(before)) break;
        *out = one, before = error;
    }
    return pha__store_copy_in(s->store, PHA__WEIGHT, i, s->at);
}

static pha_status try_tensor(setup *s, int i, double *worst)
{
    int64_t n = pha__param_size(s->program, i);
    uint64_t random = 5 + (uint64_t)i;
    double one;
    TRY(pha__store_copy_out(s->store, PHA__WEIGHT, i, s->at));
    TRY(pha__store_copy_out(s->store, PHA__GRADIENT, i, s->moved));
    for (int64_t k = 0; k < n; k++) s->gradient[k] = s->moved[k];
    *worst = 0;
    for (int random_one = 0; random_one < 2; random_one++) {
        if (!random_one && rms(s->gradient, n) == 0) continue; /* of a bias that moves nothing */
        for (int64_t k = 0; k < n; k++) s->direction[k] = random_one ? normal(&random) : s->gradient[k];
        TRY(try_direction(s, i, &one));
        *worst = fmax(*worst, one);
    }
    return PHA_OK;
}

static pha_status try_all(setup *s, pha__finding *f)
{
    int tensors = 0;
    const char *worst = "";
    f->limit = LIMIT;
    TRY(pha__exec_run(s->exec, B, T, &s->run, NULL, false));
    for (int i = 0; i < s->program->n_params; i++) {
        double one;
        if (!pha__learned(s->program->params[i])) continue;
        TRY(try_tensor(s, i, &one));
        if (LIMIT * one >= f->error) f->error = LIMIT * one, worst = s->program->params[i]->path;
        tensors++;
    }
    f->passed = f->error <= f->limit;
    pha__print(f->text, sizeof f->text, "%d tensors of the narrow copy against differences in fp32; furthest: %.80s",
               tensors, worst);
    return PHA_OK;
}

pha_status pha__try_gradient(pha__check *c, pha__finding *f)
{
    setup *s = pha__alloc_zero(1, sizeof *s);
    if (!s) return PHA_NO_MEMORY;
    pha_status status = open_setup(s, c);
    if (!status) status = try_all(s, f);
    close_setup(s);
    pha__free(s);
    return status;
}
