/* run.c -- executing a program: pointers are bound once, a run only sets B and T
 *
 * PHA_TRACE=1 prints the range of every value and gradient and stops at the first that is not finite (trace.c).
 * PHA_POISON=1 fills the block with NaN when it is made, and every buffer after its last use, so that a read before the
 * first write and a wrong lifetime show. Debug builds do that by themselves; there PHA_POISON=0 switches it off.
 */
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/detect.h"
#include "base/clock.h"
#include "program/program.h"

typedef struct run_step {
    pha__args args;
    const pha__kernel *kernel;
    uint32_t add, add_if_more;
} run_step;

struct pha__exec {
    pha__program *program;
    pha__pool *pool;
    run_step *steps;
    double *times;
    char *block, *scratch;
    size_t scratch_size; /* of one thread */
    bool trace, poison, profile;
};

#ifdef PHA__DEBUG
#define POISON true
#else
#define POISON false
#endif

static bool flag(const char *name, bool otherwise)
{
    const char *value = getenv(name);
    return value && *value ? strcmp(value, "0") != 0 : otherwise;
}

static void fill_nan(void *block, size_t size) { memset(block, 0xff, size); } /* in fp32 and in bf16 */

static pha__view bind(const pha__exec *e, const pha__binding *binding, const pha__ref *r)
{
    pha__view v = {NULL, r->ld, r->rows, r->width, r->dtype};
    if (r->kind == PHA__REF_BUFFER)
        v.data = e->block + e->program->buffers[r->index].offset + (size_t)r->column * pha__dtype_size(r->dtype);
    if (r->kind == PHA__REF_PARAM)
        v.data = r->dtype == PHA__BF16 ? binding->half[r->index] : binding->weights[r->index];
    if (r->kind == PHA__REF_GRAD) v.data = binding->grads[r->index];
    return v;
}

static void bind_step(pha__exec *e, const pha__binding *binding, int i)
{
    const pha__plan_step *s = &e->program->steps[i];
    const pha__buffer *buffers = e->program->buffers;
    run_step *r = &e->steps[i];
    pha__args *a = &r->args;
    a->n_in = s->node->n_in;
    for (int k = 0; k < a->n_in; k++) {
        a->in[k] = bind(e, binding, &s->in[k]);
        if (!s->in[k].kind && s->node->in[k]) /* not kept: the width is still of use */
            a->in[k].rows = s->node->in[k]->rows, a->in[k].width = s->node->in[k]->width;
        a->d_in[k] = bind(e, binding, &s->d_in[k]);
    }
    a->out = bind(e, binding, &s->out);
    a->out.width = s->node->width;
    a->d_out = bind(e, binding, &s->d_out);
    a->attr = s->node->attr;
    a->saved = s->saved < 0 ? NULL : (float *)(e->block + buffers[s->saved].offset);
    a->work = s->work < 0 ? NULL : e->block + buffers[s->work].offset;
    a->state_offset = s->node->state_offset;
    a->max_context = e->program->options.max_context;
    r->add = s->add, r->add_if_more = s->add_if_more;
    r->kernel = pha__cpu_kernel(s->node->op);
}

pha_status pha__exec_open(pha__exec **out, pha__program *p, const pha__binding *binding, pha__pool *pool)
{
    *out = NULL;
    TRY(pha__cpu_select());
    TRY(pha__plan(p, pha__pool_threads(pool)));
    pha__exec *e = pha__alloc_zero(1, sizeof *e);
    if (!e) return PHA_NO_MEMORY;
    e->program = p, e->pool = pool;
    e->trace = flag("PHA_TRACE", false), e->poison = flag("PHA_POISON", POISON);
    e->steps = pha__alloc_zero((size_t)p->n_steps + 1, sizeof *e->steps);
    e->times = pha__alloc_zero((size_t)p->n_steps + 1, sizeof *e->times);
    e->block = pha__alloc(p->block + 1, 1);
    if (!e->steps || !e->times || !e->block) {
        pha__exec_close(e);
        return pha__fail(PHA_NO_MEMORY,
                         "no memory for a program of %.1f MB (batch %d, context %d); a smaller batch or "
                         "recomputation needs less",
                         (double)p->block / 1e6, p->options.B, p->options.T);
    }
    if (e->poison) fill_nan(e->block, p->block);
    const pha__buffer *scratch = &p->buffers[p->n_buffers - 1]; /* plan.c puts it last */
    e->scratch = e->block + scratch->offset;
    e->scratch_size = scratch->size / (size_t)p->threads;
    for (int i = 0; i < p->n_steps; i++) bind_step(e, binding, i);
    *out = e;
    return PHA_OK;
}

void pha__exec_close(pha__exec *e)
{
    if (!e) return;
    pha__free(e->steps);
    pha__free(e->times);
    pha__free(e->block);
    pha__free(e);
}

typedef struct job {
    const pha__exec *exec;
    const pha__args *args;
    void (*kernel)(const pha__args *, int, int64_t, int64_t, void *);
    int phase;
} job;

static void run_tasks(void *context, int64_t begin, int64_t end, int worker)
{
    const job *j = context;
    j->kernel(j->args, j->phase, begin, end, j->exec->scratch + (size_t)worker * j->exec->scratch_size);
}

static void run_step_now(pha__exec *e, run_step *s, pha__pass pass)
{
    job j = {e, &s->args, pass == PHA__FORWARD ? s->kernel->forward : s->kernel->backward, 0};
    for (;; j.phase++) {
        int64_t n = s->kernel->tasks(&s->args, pass, j.phase);
        if (n == 0) break;
        pha__pool_run(e->pool, n, run_tasks, &j);
    }
}

static void poison_dead(pha__exec *e, int step)
{
    for (int i = 0; i < e->program->n_buffers; i++) {
        const pha__buffer *b = &e->program->buffers[i];
        if (b->last == step) fill_nan(e->block + b->offset, b->size);
    }
}

pha_status pha__exec_run(pha__exec *e, int B, int T, const pha__run *run, char *const *state, bool more)
{
    if (B > e->program->options.B || T > e->program->options.T)
        FAIL(USAGE, "a run of %d x %d exceeds the %d x %d of its plan", B, T, e->program->options.B,
             e->program->options.T);
    for (int i = 0; i < e->program->n_steps; i++) {
        run_step *s = &e->steps[i];
        double begin = e->profile ? pha__seconds() : 0;
        s->args.B = B, s->args.T = T;
        s->args.run = run, s->args.state = state;
        s->args.add = s->add | (more ? s->add_if_more : 0);
        run_step_now(e, s, e->program->steps[i].pass);
        if (e->profile) e->times[i] += pha__seconds() - begin;
        if (e->trace) TRY(pha__trace_step(e->program, &e->program->steps[i], &s->args));
        if (e->poison) poison_dead(e, i);
    }
    return PHA_OK;
}

const void *pha__exec_output(const pha__exec *e, const char *name)
{
    for (int i = 0; i < e->program->n_outputs; i++)
        if (!strcmp(e->program->outputs[i].name, name))
            return e->block + e->program->buffers[e->program->outputs[i].value->value[0]].offset;
    return NULL;
}

const void *pha__exec_value(const pha__exec *e, const char *path, bool gradient, pha__dtype *dtype, int32_t *width,
                            int64_t *ld)
{
    for (int i = 0; i < e->program->n_nodes; i++) {
        const pha__node *n = e->program->nodes[i], *m = n->merged ? n->merged : n;
        int buffer = gradient ? m->grad : m->value[0];
        if (strcmp(n->path, path) || buffer < 0) continue;
        *dtype = n->dtype, *width = n->width, *ld = m->width;
        return e->block + e->program->buffers[buffer].offset + (size_t)n->column * pha__dtype_size(n->dtype);
    }
    return NULL;
}

void pha__exec_profile(pha__exec *e, bool on)
{
    e->profile = on;
    memset(e->times, 0, (size_t)e->program->n_steps * sizeof *e->times);
}

const double *pha__exec_times(const pha__exec *e) { return e->times; }
