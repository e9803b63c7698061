/* optimizer.c -- AdamW over all parameters, through the kernels of ops adamw and sum_squares */
#include "runtime/train/optimizer.h"

#include <math.h>
#include <string.h>

#include "backend/cpu/detect.h"
#include "ops/adamw/adamw.h"
#include "ops/sum_squares/sum_squares.h"

static pha__view view(void *data, const pha__node *v, pha__dtype type)
{
    return (pha__view){data, v->width, v->rows, v->width, type};
}

pha_status pha__optimizer_open(pha__optimizer *o, const pha__program *program, pha__pool *pool, bool half)
{
    memset(o, 0, sizeof *o);
    size_t n = (size_t)program->weights, trainable = (size_t)program->trainable, params = (size_t)program->n_params;
    o->program = program, o->pool = pool;
    o->weights = pha__alloc_zero(n, sizeof *o->weights);
    o->grads = pha__alloc_zero(trainable, sizeof *o->grads);
    o->m = pha__alloc_zero(trainable, sizeof *o->m);
    o->v = pha__alloc_zero(trainable, sizeof *o->v);
    o->half = half ? pha__alloc_zero(n, sizeof *o->half) : NULL;
    o->weight_at = pha__alloc_zero(params, sizeof *o->weight_at);
    o->grad_at = pha__alloc_zero(params, sizeof *o->grad_at);
    o->half_at = pha__alloc_zero(params, sizeof *o->half_at);
    o->norms = pha__alloc_zero(params, sizeof *o->norms);
    const pha__kernel *k = pha__cpu_kernel(&pha__op_sum_squares);
    size_t work = 0;
    for (int i = 0; i < program->n_params; i++) {
        pha__args a = {.B = 1, .T = 1, .n_in = 1, .in = {view(&work, program->params[i], PHA__F32)}};
        size_t w = k->work(&a, PHA__FORWARD);
        work = w > work ? w : work;
    }
    o->partial = pha__alloc(work + 1, 1);
    if (!o->weights || !o->grads || !o->m || !o->v || (half && !o->half) || !o->weight_at || !o->grad_at ||
        !o->half_at || !o->norms || !o->partial) {
        pha__optimizer_close(o);
        FAIL(NO_MEMORY, "no memory for the weights, gradients and moments of %llu parameters (%.1f GB)",
             (unsigned long long)program->parameters, (double)n * 16e-9);
    }
    pha__bind_block(program, o->weights, sizeof *o->weights, o->weight_at);
    pha__bind_block(program, o->grads, sizeof *o->grads, o->grad_at);
    if (half) pha__bind_block(program, o->half, sizeof *o->half, o->half_at);
    return PHA_OK;
}

void pha__optimizer_close(pha__optimizer *o)
{
    void *all[] = {o->weights,   o->grads,   o->m,       o->v,     o->half,
                   o->weight_at, o->grad_at, o->half_at, o->norms, o->partial};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) pha__free(all[i]);
    memset(o, 0, sizeof *o);
}

void pha__optimizer_refresh_half(pha__optimizer *o)
{
    for (int64_t i = 0; o->half && i < o->program->weights; i++) {
        uint32_t u;
        memcpy(&u, &o->weights[i], 4);
        bool nan = (u & 0x7fffffffu) > 0x7f800000u;
        o->half[i] = (uint16_t)(nan ? u >> 16 | 0x40 : (u + 0x7fffu + (u >> 16 & 1)) >> 16);
    }
}

typedef struct job {
    const pha__kernel *kernel;
    const pha__args *args;
    int phase;
} job;

static void run_tasks(void *context, int64_t begin, int64_t end, int worker)
{
    const job *j = context;
    (void)worker;
    j->kernel->forward(j->args, j->phase, begin, end, NULL);
}

static void run(const pha__optimizer *o, const pha__kernel *kernel, const pha__args *args)
{
    job j = {kernel, args, 0};
    for (;; j.phase++) {
        int64_t n = kernel->tasks(args, PHA__FORWARD, j.phase);
        if (!n) return;
        pha__pool_run(o->pool, n, run_tasks, &j);
    }
}

double pha__gradient_norm(pha__optimizer *o)
{
    const pha__kernel *kernel = pha__cpu_kernel(&pha__op_sum_squares);
    double sum = 0;
    for (int i = 0; i < o->program->n_params; i++) {
        const pha__node *v = o->program->params[i];
        o->norms[i] = 0;
        if (v->kind == PHA__CONSTANT) continue;
        double squares = 0;
        pha__args a = {.B = 1, .T = 1, .n_in = 1, .in = {view(o->grad_at[i], v, PHA__F32)}, .work = o->partial};
        a.saved = (float *)&squares;
        run(o, kernel, &a);
        o->norms[i] = sqrt(squares);
        sum += squares;
    }
    return sqrt(sum);
}

void pha__adam_step(pha__optimizer *o, const pha__adam *adam, double scale)
{
    const pha__kernel *kernel = pha__cpu_kernel(&pha__op_adamw);
    o->updates++;
    pha__adamw_attr attr = {.lr = (float)adam->lr,
                            .beta1 = (float)adam->beta1,
                            .beta2 = (float)adam->beta2,
                            .eps = (float)adam->eps,
                            .scale = (float)scale,
                            .c1 = (float)(1 - pow(adam->beta1, (double)o->updates)),
                            .c2 = (float)(1 - pow(adam->beta2, (double)o->updates))};
    for (int i = 0; i < o->program->n_params; i++) {
        const pha__node *v = o->program->params[i];
        if (v->kind == PHA__CONSTANT) continue;
        attr.decay = v->kind == PHA__MATRIX || adam->decay_all ? (float)adam->decay : 0;
        pha__args a = {.B = 1, .T = 1, .n_in = 4, .attr = &attr};
        a.in[0] = view(o->weight_at[i], v, PHA__F32);
        a.in[1] = view(o->grad_at[i], v, PHA__F32);
        a.in[2] = view(o->m + v->offset, v, PHA__F32);
        a.in[3] = view(o->v + v->offset, v, PHA__F32);
        a.out = view(o->half && v->kind == PHA__MATRIX ? o->half_at[i] : NULL, v, PHA__BF16);
        run(o, kernel, &a);
    }
}
