/* cost.c -- what a model costs: operations, traffic, memory, from a recorded program */
#include "runtime/look/cost.h"

#include "base/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- operations --------------------------------------------------------------------------------------- */

/* A product that is a result of the program is the head, a product like any other but for that. */
static pha__work_class work_of(const pha__program *p, const pha__node *n)
{
    for (int i = 0; i < p->n_outputs && n->op->work_class == PHA__WORK_LINEAR; i++)
        if (p->outputs[i].value == n) return PHA__WORK_HEAD;
    return n->op->work_class;
}

static void add_step(pha__cost *sum, const pha__program *p, const pha__plan_step *s, int64_t context)
{
    const pha__op *op = s->node->op;
    if (!op->flops) return;
    pha__shape shape;
    pha__shape_of(p, s->node, &shape);
    double flops = op->flops(&shape, s->pass, context);
    double *of_class[] = {[PHA__WORK_ELEMENTWISE] = &sum->other, [PHA__WORK_LINEAR] = &sum->linear,
                          [PHA__WORK_HEAD] = &sum->head, [PHA__WORK_ATTENTION] = &sum->attention};
    *of_class[work_of(p, s->node)] += flops;
}

pha__cost pha__cost_of(const pha__program *p, pha__pass pass, int64_t context)
{
    pha__cost sum = {0};
    for (int i = 0; i < p->n_steps; i++)
        if (p->steps[i].pass == pass && !p->steps[i].repeat) add_step(&sum, p, &p->steps[i], context);
    return sum;
}

double pha__cost_total(const pha__cost *c) { return c->linear + c->head + c->attention; }

static void add_per_token(pha__cost *sum, const pha__cost *c, double tokens)
{
    sum->linear += c->linear / tokens;
    sum->head += c->head / tokens;
    sum->attention += c->attention / tokens;
    sum->other += c->other / tokens;
}

pha_status pha__cost_per_token(const pha__config *c, int32_t context, pha__cost *forward, pha__cost *training)
{
    *forward = *training = (pha__cost){0};
    for (int gradients = 0; gradients < 2; gradients++) {
        pha__program *p;
        pha__program_options options = {.B = 1, .T = context, .gradients = gradients};
        TRY(pha__record(&p, c, &options, PHA__HEAD_LOSS));
        for (int pass = 0; pass < 2; pass++) {
            pha__cost sum = pha__cost_of(p, pass ? PHA__BACKWARD : PHA__FORWARD, 0);
            add_per_token(gradients ? training : forward, &sum, context);
        }
        pha__program_close(p);
    }
    return PHA_OK;
}

/* ---- state -------------------------------------------------------------------------------------------- */

pha__state_size pha__state_size_of(const pha__program *p)
{
    pha__state_size sum = {.total = p->state};
    for (int i = 0; i < p->n_nodes; i++) {
        const pha__node *n = p->nodes[i];
        if (n->merged || !n->op->state || !p->options.max_context) continue;
        pha__shape shape;
        pha__shape_of(p, n, &shape);
        pha__state_layout layout = n->op->state(&shape, p->options.max_context);
        size_t bytes = pha__state_bytes(&layout);
        if (n->op->state_class == PHA__STATE_CACHE) sum.cache += bytes;
        if (n->op->state_class == PHA__STATE_RECURRENT) sum.recurrent += bytes;
    }
    sum.other = sum.total - sum.cache - sum.recurrent;
    return sum;
}

/* ---- memory ------------------------------------------------------------------------------------------- */

const char *const pha__memory_names[PHA__MEM_KINDS] = {
    "weights", "bf16 copy of the matrices", "gradients", "moments", "state", "threads' scratch", "activations",
    "gradients of activations", "kept statistics", "logits workspace", "other workspaces",
};
const char *const pha__memory_keys[PHA__MEM_KINDS] = {
    "weights", "half", "gradients", "moments", "state", "scratch", "activations", "activation_gradients",
    "statistics", "logits", "workspaces",
};

static pha__memory_kind kind_of(const pha__buffer *b)
{
    switch (b->kind) {
    case PHA__BUF_GRAD:    return PHA__MEM_ACT_GRADS;
    case PHA__BUF_SAVED:   return PHA__MEM_SAVED;
    case PHA__BUF_SUMS:
    case PHA__BUF_WORK:    return PHA__MEM_WORK;
    default:               return PHA__MEM_ACTIVATIONS;
    }
}

/* Kinds of all buffers. Logits stand apart: the result of a head, and what a head or a loss works in. */
static pha__memory_kind *kinds_of(const pha__program *p)
{
    pha__memory_kind *kinds = pha__alloc((size_t)p->n_buffers + 1, sizeof *kinds);
    for (int i = 0; kinds && i < p->n_buffers; i++) kinds[i] = kind_of(&p->buffers[i]);
    for (int i = 0; kinds && i < p->n_steps; i++) {
        const pha__plan_step *s = &p->steps[i];
        if (work_of(p, s->node) != PHA__WORK_HEAD) continue;
        if (s->work >= 0) kinds[s->work] = PHA__MEM_LOGITS;
        if (!s->node->op->is_loss && s->pass == PHA__FORWARD) kinds[s->out.index] = PHA__MEM_LOGITS;
    }
    return kinds;
}

/* The highest sum of live buffers of every kind: one walk over the steps. */
static void peaks(pha__memory *m, const pha__program *p, const pha__memory_kind *kinds)
{
    for (int step = 0; step < p->n_steps; step++) {
        size_t now[PHA__MEM_KINDS] = {0};
        for (int i = 0; i < p->n_buffers; i++) {
            const pha__buffer *b = &p->buffers[i];
            if (b->first <= step && step <= b->last) now[kinds[i]] += b->size;
        }
        for (int k = PHA__MEM_PLANNED; k < PHA__MEM_KINDS; k++) m->kind[k] = now[k] > m->kind[k] ? now[k] : m->kind[k];
    }
}

pha_status pha__memory_of(pha__memory *m, pha__program *p, pha__device *device)
{
    *m = (pha__memory){0};
    TRY(pha__plan(p, device));
    pha__memory_kind *kinds = kinds_of(p);
    if (!kinds) return PHA_NO_MEMORY;
    size_t learned = (size_t)p->trainable * sizeof(float);
    m->kind[PHA__MEM_WEIGHTS] = (size_t)p->weights * sizeof(float);
    if (p->options.dtype == PHA__BF16) m->kind[PHA__MEM_HALF] = (size_t)p->weights * 2;
    if (p->options.gradients) m->kind[PHA__MEM_GRADS] = learned, m->kind[PHA__MEM_MOMENTS] = 2 * learned;
    if (p->options.max_context) m->kind[PHA__MEM_STATE] = p->state * (size_t)p->options.B;
    peaks(m, p, kinds);
    pha__free(kinds);
    m->kind[PHA__MEM_SCRATCH] = p->scratch;
    m->block = p->block, m->naive = p->naive;
    m->total = m->block;
    for (int k = 0; k < PHA__MEM_PLANNED; k++) m->total += m->kind[k];
    return PHA_OK;
}

json_t *pha__memory_json(const pha__memory *m)
{
    json_t *o = pha__json_object();
    for (int k = 0; k < PHA__MEM_KINDS; k++)
        pha__json_set(&o, pha__memory_keys[k], pha__json_number((int64_t)m->kind[k]));
    pha__json_set(&o, "block", pha__json_number((int64_t)m->block));
    pha__json_set(&o, "naive", pha__json_number((int64_t)m->naive));
    pha__json_set(&o, "saved", pha__json_number((int64_t)(m->naive - m->block)));
    pha__json_set(&o, "total", pha__json_number((int64_t)m->total));
    return o;
}

/* A number of /proc or of a control group; false: not there, or "max". */
static bool number_in(const char *path, const char *key, uint64_t *out)
{
    FILE *f = fopen(path, "r");
    if (!f) return false;
    char line[256];
    bool found = false;
    while (!found && fgets(line, sizeof line, f))
        if (!strncmp(line, key, strlen(key))) found = sscanf(line + strlen(key), "%" SCNu64, out) == 1;
    fclose(f);
    return found;
}

size_t pha__memory_free(void)
{
    uint64_t kilobytes, limit, used;
    size_t free_bytes = SIZE_MAX;
    if (number_in("/proc/meminfo", "MemAvailable:", &kilobytes)) free_bytes = (size_t)kilobytes * 1024;
    if (number_in("/sys/fs/cgroup/memory.max", "", &limit) && number_in("/sys/fs/cgroup/memory.current", "", &used)) {
        uint64_t cache = 0; /* what the kernel would give up for us */
        number_in("/sys/fs/cgroup/memory.stat", "inactive_file ", &cache);
        used -= cache < used ? cache : used;
        size_t left = limit > used ? (size_t)(limit - used) : 0;
        free_bytes = left < free_bytes ? left : free_bytes;
    }
    return free_bytes;
}
