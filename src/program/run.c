/* run.c -- executing a program: addresses are bound once, a run only sets B and T and what the run block holds
 *
 * PHA_TRACE=1 prints the range of every value and gradient and stops at the first that is not finite (trace.c).
 * PHA_POISON=1 fills the block with NaN when it is made, and every buffer after its last use, so that a read before the
 * first write and a wrong lifetime show. Debug builds do that by themselves; there PHA_POISON=0 switches it off.
 */
#include <string.h>

#include "base/env.h"
#include "base/format.h"
#include "program/program.h"
#include "program/recordings.h"
#include "program/run_block.h"
#include "program/store.h"

typedef struct run_step {
    pha__args args;
    const void *kernel;
    uint32_t add, add_if_more;
} run_step;

struct pha__exec {
    pha__program *program;
    pha__device *device;
    run_step *steps;
    double *times;
    char *block, *scratch;
    pha__run_block run;
    pha__recordings recordings;
    const int *visited; /* steps */
    int visits;
    pha__visit *visit;
    void *visitor;
    bool trace, poison, profile;
};

#ifdef PHA__DEBUG
#define POISON true
#else
#define POISON false
#endif

/* ---- binding --------------------------------------------------------------------------------------------- */

/* A merged product reads the weights of its slices as one matrix: they must be one unit of the store. */
static pha_status check_stack(const pha__program *p, const pha__store *store, const pha__node *m)
{
    pha__place first = pha__store_read(store, m->in[m->stack_in]->index);
    for (int i = 0; i < p->n_nodes; i++) {
        const pha__node *n = p->nodes[i];
        if (n->merged != m || n->column == 0) continue;
        const pha__node *w = store->names->params[n->in[m->stack_in]->index];
        const pha__node *w0 = store->names->params[m->in[m->stack_in]->index];
        pha__place at = pha__store_read(store, w->index);
        size_t before = pha__format_bytes(first.format, n->column, w->width);
        bool apart = at.data && (at.format != first.format || (char *)at.data != (char *)first.data + before);
        if (apart || w->group != w0->group || w->group < 0)
            FAIL(FAILED, "%s: its weights do not lie together", n->path);
    }
    return PHA_OK;
}

static pha_status bind_param(pha__view *v, const pha__store *store, const pha__ref *r)
{
    pha__place at = r->kind == PHA__REF_GRAD ? pha__store_at(store, PHA__GRADIENT, r->index)
                                             : pha__store_read(store, r->index);
    if (!at.data)
        FAIL(FAILED, "%s: the store has no %s of it", store->names->params[r->index]->path,
             r->kind == PHA__REF_GRAD ? "gradient" : "numbers");
    v->data = at.data, v->dtype = at.format;
    return PHA_OK;
}

static pha_status bind(const pha__exec *e, const pha__store *store, const pha__ref *r, pha__view *v)
{
    *v = (pha__view){NULL, r->ld, r->rows, r->width, r->dtype};
    if (r->kind == PHA__REF_PARAM || r->kind == PHA__REF_GRAD) return bind_param(v, store, r);
    if (r->kind == PHA__REF_BUFFER)
        v->data = e->block + e->program->buffers[r->index].offset + (size_t)r->column * pha__dtype_size(r->dtype);
    return PHA_OK;
}

static pha_status bind_views(const pha__exec *e, const pha__store *store, const pha__plan_step *s, pha__args *a)
{
    for (int k = 0; k < a->n_in; k++) {
        TRY(bind(e, store, &s->in[k], &a->in[k]));
        if (!s->in[k].kind && s->node->in[k]) /* not kept: the width is still of use */
            a->in[k].rows = s->node->in[k]->rows, a->in[k].width = s->node->in[k]->width;
        TRY(bind(e, store, &s->d_in[k], &a->d_in[k]));
    }
    TRY(bind(e, store, &s->out, &a->out));
    a->out.width = s->node->width, a->out.dtype = s->node->dtype; /* also where its value is not kept */
    return bind(e, store, &s->d_out, &a->d_out);
}

static pha_status bind_step(pha__exec *e, const pha__store *store, int i)
{
    const pha__plan_step *s = &e->program->steps[i];
    const pha__buffer *buffers = e->program->buffers;
    run_step *r = &e->steps[i];
    pha__args *a = &r->args;
    a->n_in = s->node->n_in;
    TRY(bind_views(e, store, s, a));
    if (s->node->stack_rows) TRY(check_stack(e->program, store, s->node));
    a->attr = s->node->attr;
    a->saved = s->saved < 0 ? NULL : (float *)(e->block + buffers[s->saved].offset);
    a->sums = s->sums < 0 ? NULL : (float *)(e->block + buffers[s->sums].offset);
    a->work = s->work < 0 ? NULL : e->block + buffers[s->work].offset;
    a->state_offset = s->node->state_offset;
    a->max_context = e->program->options.max_context;
    r->add = s->add, r->add_if_more = s->add_if_more;
    r->kernel = e->device->backend->kernel(e->device, s->node->op->name);
    return PHA_OK;
}

/* The most that any step needs with the threads of this device. */
static pha_status open_scratch(pha__exec *e)
{
    size_t most = 0;
    for (int i = 0; i < e->program->n_steps; i++) {
        pha__args a = e->steps[i].args;
        pha__needs needs = {0};
        a.B = e->program->options.B, a.T = e->program->options.T;
        TRY(e->device->backend->needs(e->device, e->steps[i].kernel, &a, e->program->steps[i].pass, &needs));
        most = needs.scratch > most ? needs.scratch : most;
    }
    e->scratch = pha__device_alloc(e->device, most);
    return e->scratch ? PHA_OK : PHA_NO_MEMORY;
}

static pha_status open_parts(pha__exec *e, const pha__store *store)
{
    pha__program *p = e->program;
    e->steps = pha__alloc_zero((size_t)p->n_steps + 1, sizeof *e->steps);
    e->times = pha__alloc_zero((size_t)p->n_steps + 1, sizeof *e->times);
    e->block = pha__device_alloc(e->device, p->block);
    if (!e->steps || !e->times || !e->block)
        FAIL(NO_MEMORY,
             "no memory for a program of %.1f MB (batch %d, context %d); a smaller batch or recomputation needs less",
             (double)p->block / 1e6, p->options.B, p->options.T);
    for (int i = 0; i < p->n_steps; i++) TRY(bind_step(e, store, i));
    TRY(open_scratch(e));
    TRY(pha__run_block_open(&e->run, e->device, p->options.B, p->options.T, p->options.gradients));
    return e->poison ? pha__fill(e->device, e->block, 0xff, p->block) : PHA_OK; /* NaN in fp32 and in bf16 */
}

pha_status pha__exec_open(pha__exec **out, pha__program *p, const pha__store *store, pha__device *device)
{
    *out = NULL;
    if (p->n_params != store->names->n_params)
        FAIL(FAILED, "a program has %d parameters, the store %d", p->n_params, store->names->n_params);
    TRY(pha__plan(p, device));
    pha__exec *e = pha__alloc_zero(1, sizeof *e);
    if (!e) return PHA_NO_MEMORY;
    e->program = p, e->device = device;
    pha__recordings_open(&e->recordings, device);
    e->trace = pha__env_flag("PHA_TRACE", false), e->poison = pha__env_flag("PHA_POISON", POISON);
    pha_status status = open_parts(e, store);
    if (status) pha__exec_close(e);
    else *out = e;
    return status;
}

void pha__exec_close(pha__exec *e)
{
    if (!e) return;
    pha__recordings_close(&e->recordings);
    pha__run_block_close(&e->run);
    pha__device_free(e->device, e->block);
    pha__device_free(e->device, e->scratch);
    pha__free(e->steps);
    pha__free(e->times);
    pha__free(e);
}

/* ---- running --------------------------------------------------------------------------------------------- */

static pha_status poison_dead(pha__exec *e, int step)
{
    for (int i = 0; i < e->program->n_buffers; i++) {
        const pha__buffer *b = &e->program->buffers[i];
        if (b->last == step) TRY(pha__fill(e->device, e->block + b->offset, 0xff, b->size));
    }
    return PHA_OK;
}

/* Adds what the marks 0 to n say of steps first to first + n - 1. */
static pha_status add_times(pha__exec *e, int first, int n)
{
    for (int k = 0; k < n; k++) {
        double seconds;
        TRY(e->device->backend->between(e->device, k, k + 1, &seconds));
        e->times[first + k] += seconds;
    }
    return PHA_OK;
}

static pha_status after_step(pha__exec *e, int i)
{
    if (e->profile) {
        int k = i % (PHA__MARKS - 1);
        TRY(e->device->backend->mark(e->device, k + 1));
        if (k + 1 == PHA__MARKS - 1 || i + 1 == e->program->n_steps) {
            TRY(add_times(e, i - k, k + 1));
            TRY(e->device->backend->mark(e->device, 0));
        }
    }
    if (e->trace) TRY(pha__trace_step(e->program, &e->program->steps[i], &e->steps[i].args, e->device));
    return e->poison ? poison_dead(e, i) : PHA_OK;
}

/* Steps first to end - 1. */
static pha_status run_steps(pha__exec *e, int first, int end)
{
    for (int i = first; i < end; i++) {
        run_step *s = &e->steps[i];
        TRY(e->device->backend->run(e->device, s->kernel, &s->args, e->program->steps[i].pass, e->scratch));
        if (e->profile || e->trace || e->poison) TRY(after_step(e, i));
    }
    return PHA_OK;
}

/* Runs what it records. A device that can't, after all, is not asked again. */
static pha_status record(pha__exec *e, void **made, int first, int end)
{
    const pha__backend *b = e->device->backend;
    e->recordings.off = true; /* until it has worked */
    if (b->begin(e->device)) return run_steps(e, first, end);
    pha_status status = run_steps(e, first, end), ended = b->end(e->device, made);
    if (status) return status;
    if (ended) return run_steps(e, first, end);
    e->recordings.off = false;
    return b->replay(e->device, *made);
}

/* made: where a piece is recorded, or NULL. */
static pha_status run_piece(pha__exec *e, void **made, bool again, int first, int end)
{
    if (made && *made) return e->device->backend->replay(e->device, *made);
    return made && again && !e->recordings.off ? record(e, made, first, end) : run_steps(e, first, end);
}

/* r: NULL, or the place of its recordings. */
static pha_status run_pieces(pha__exec *e, pha__recording *r, bool again)
{
    int first = 0;
    if (e->profile) TRY(e->device->backend->mark(e->device, 0));
    for (int k = 0; k <= e->visits; k++) {
        int end = k < e->visits ? e->visited[k] + 1 : e->program->n_steps;
        if (first < end) TRY(run_piece(e, r ? &r->made[k] : NULL, again, first, end));
        if (k < e->visits) TRY(e->visit(e->visitor, k));
        first = end;
    }
    return PHA_OK;
}

pha_status pha__exec_run(pha__exec *e, int B, int T, const pha__run *run, char *const *state, bool more)
{
    return pha__exec_run_from(e, B, T, run, state ? &(pha__states){.now = state} : NULL, more, true);
}

/* The states of a step, on the device. */
static char *const *states_of(const pha__plan_step *s, const pha__states *there)
{
    return s->pass == PHA__BACKWARD ? there->before : s->repeat ? there->again : there->now;
}

pha_status pha__exec_run_from(pha__exec *e, int B, int T, const pha__run *run, const pha__states *states, bool more,
                              bool last)
{
    const pha__run *run_there;
    pha__states there;
    if (B > e->program->options.B || T > e->program->options.T)
        FAIL(USAGE, "a run of %d x %d exceeds the %d x %d of its plan", B, T, e->program->options.B,
             e->program->options.T);
    TRY(pha__run_block_fill(&e->run, B, T, run, states, &run_there, &there));
    for (int i = 0; i < e->program->n_steps; i++) {
        run_step *s = &e->steps[i];
        s->args.B = B, s->args.T = T;
        s->args.run = run_there, s->args.state = states_of(&e->program->steps[i], &there);
        s->args.add = s->add | (more ? s->add_if_more : 0);
        s->args.more = more, s->args.last = last;
    }
    int kinds = states ? !!states->now + 2 * !!states->before + 4 * !!states->again : 0;
    bool again = false, looks = e->profile || e->trace || e->poison;
    pha__recording like = {.B = B, .T = T, .states = kinds, .pieces = e->visits, .more = more};
    pha__recording *r = looks ? NULL : pha__recordings_find(&e->recordings, &like, &again);
    return run_pieces(e, r, again);
}

void pha__exec_visit(pha__exec *e, const int *at, int n, pha__visit *visit, void *self)
{
    e->visited = at, e->visits = n, e->visit = visit, e->visitor = self;
}

/* Stacked weights are written as one matrix, under the number of one of them. */
int pha__last_addition(const pha__program *p, int i)
{
    int last = -1, group = p->params[i]->group;
    for (int s = 0; s < p->n_steps; s++)
        for (int k = 0; k < p->steps[s].node->n_in; k++) {
            const pha__ref *r = &p->steps[s].d_in[k];
            bool mine = r->kind == PHA__REF_GRAD &&
                        (r->index == i || (group >= 0 && p->params[r->index]->group == group));
            if (mine) last = s;
        }
    return last;
}

/* ---- looking --------------------------------------------------------------------------------------------- */

/* n rows of a buffer whose rows are ld elements apart, from column `column`. */
static pha_status read_rows(pha__exec *e, int buffer, const pha__node *n, int64_t ld, int64_t rows, float *to)
{
    size_t size = pha__dtype_size(n->dtype), bytes = (size_t)(rows * ld) * size;
    char *from = e->block + e->program->buffers[buffer].offset;
    if (n->dtype == PHA__F32 && ld == n->width) return pha__download(e->device, to, from, bytes);
    char *rows_here = pha__alloc(bytes + 1, 1);
    if (!rows_here) return PHA_NO_MEMORY;
    pha_status status = pha__download(e->device, rows_here, from, bytes);
    for (int64_t r = 0; r < rows && !status; r++)
        for (int64_t c = 0; c < n->width; c++) {
            const char *x = rows_here + (size_t)(r * ld + n->column + c) * size;
            to[r * n->width + c] = n->dtype == PHA__F32 ? *(const float *)x : bf16_to_f32(*(const uint16_t *)x);
        }
    pha__free(rows_here);
    return status;
}

pha_status pha__exec_output(pha__exec *e, const char *name, int64_t n, float *to)
{
    for (int i = 0; i < e->program->n_outputs; i++) {
        const pha__node *v = e->program->outputs[i].value;
        if (!strcmp(e->program->outputs[i].name, name)) return read_rows(e, v->value[0], v, v->width, n, to);
    }
    FAIL(FAILED, "the program has no output '%s'", name);
}

pha_status pha__exec_value(pha__exec *e, const char *path, bool gradient, int64_t n, float *to)
{
    const pha__node *v = pha__find_value(e->program, path), *m = v && v->merged ? v->merged : v;
    int buffer = !v ? -1 : gradient ? m->grad : m->value[0];
    if (buffer < 0) FAIL(FAILED, "the program keeps no %s of '%s'", gradient ? "gradient" : "value", path);
    return read_rows(e, buffer, v, m->width, n, to);
}

void pha__exec_profile(pha__exec *e, bool on)
{
    e->profile = on;
    if (on) memset(e->times, 0, (size_t)e->program->n_steps * sizeof *e->times);
}

const double *pha__exec_times(const pha__exec *e) { return e->times; }
