/* fuse.c -- rules that merge steps, and the order of weights in memory that makes them possible
 *
 * Rule "projections": products of one value with several weights become one product over the stacked weights; the old
 * results become slices of its columns. A PHA layer has eight (q, k, v, gate, in, filter, aux gate, aux up), and the
 * gradient with respect to the shared input becomes one product too. The weights of a stack lie next to each other in
 * path order; names and shapes in checkpoints do not change.
 */
#include <stdlib.h>
#include <string.h>

#include "program/program.h"

static bool may_merge(const pha__node *n) { return n->op == &pha__op_matmul && n->dtype == n->in[1]->dtype; }

/* Uses of a parameter: one that is used twice (a tied embedding) cannot be stacked. */
static int uses(const pha__program *p, const pha__node *param)
{
    int count = 0;
    for (int i = 0; i < p->n_nodes; i++)
        for (int k = 0; k < p->nodes[i]->n_in; k++) count += p->nodes[i]->in[k] == param;
    return count;
}

static int by_weight(const void *a, const void *b)
{
    return (*(const Var *)a)->in[1]->index - (*(const Var *)b)->in[1]->index;
}

/* Members of the group that node i opens, sorted by the path of their weight; their number. */
static int collect(const pha__program *p, int i, Var *members)
{
    int n = 0;
    for (int j = i; j < p->n_nodes; j++) {
        Var v = p->nodes[j];
        if (v->in[0] == p->nodes[i]->in[0] && may_merge(v) && uses(p, v->in[1]) == 1 && v->layer == p->nodes[i]->layer)
            members[n++] = v;
    }
    qsort(members, (size_t)n, sizeof *members, by_weight);
    return n;
}

/* Puts the merged product in front of the first member; the members stay as slices of it. */
static pha_status merge(pha__program *p, Var *members, int n)
{
    Var m = pha__arena_alloc(&p->arena, 1, sizeof *m);
    if (!m) FAIL(NO_MEMORY, "no memory for a program");
    *m = *members[0];
    m->path = pha__arena_printf(&p->arena, "%s.+%d", members[0]->path, n - 1);
    m->width = 0;
    for (int i = 0; i < n; i++) {
        members[i]->merged = m;
        members[i]->column = m->width;
        m->width += members[i]->width;
    }
    m->stack_rows = m->width;
    int at = 0;
    while (p->nodes[at]->merged != m) at++;
    if (p->n_nodes == p->nodes_capacity) {
        Var *grown = pha__realloc(p->nodes, (size_t)p->nodes_capacity * 2, sizeof *grown);
        if (!grown) return PHA_NO_MEMORY;
        p->nodes = grown, p->nodes_capacity *= 2;
    }
    memmove(p->nodes + at + 1, p->nodes + at, (size_t)(p->n_nodes - at) * sizeof *p->nodes);
    p->nodes[at] = m;
    p->n_nodes++;
    return PHA_OK;
}

/* Matrices, with stacks first, in path order of their first weight; then vectors; constants at the end: so each kind is
 * one range. Each starts on a cache line. */
static void lay_out(pha__program *p, Var *const *stacks, const int *sizes, int n_stacks)
{
    const int64_t align = PHA__ALIGN / 2; /* elements: also the bf16 copy starts on a line */
    int64_t at = 0;
    p->parameters = 0;
    for (int g = 0; g < n_stacks; g++) {
        for (int i = 0; i < sizes[g]; i++) {
            Var w = stacks[g][i]->in[1];
            w->group = g, w->offset = at;
            at += (int64_t)w->rows * w->width;
        }
        at = (at + align - 1) / align * align;
    }
    for (int kind = PHA__MATRIX; kind <= PHA__CONSTANT; kind++) {
        for (int i = 0; i < p->n_params; i++) {
            Var w = p->params[i];
            if (w->group >= 0 || (int)w->kind != kind) continue;
            w->offset = at;
            at += ((int64_t)w->rows * w->width + align - 1) / align * align;
        }
        if (kind == PHA__MATRIX) p->matrices = at;
        if (kind == PHA__VECTOR) p->trainable = at;
    }
    p->weights = at;
    for (int i = 0; i < p->n_params; i++)
        if (p->params[i]->kind != PHA__CONSTANT)
            p->parameters += (uint64_t)p->params[i]->rows * (uint64_t)p->params[i]->width;
}

pha_status pha__fuse(pha__program *p)
{
    int n_nodes = p->n_nodes, n_stacks = 0;
    Var **stacks = pha__alloc_zero((size_t)n_nodes + 1, sizeof *stacks);
    int *sizes = pha__alloc_zero((size_t)n_nodes + 1, sizeof *sizes);
    Var *members = pha__alloc((size_t)n_nodes + 1, sizeof *members);
    bool *taken = pha__alloc_zero((size_t)p->n_params + 1, sizeof *taken);
    pha_status status = stacks && sizes && members && taken ? PHA_OK : PHA_NO_MEMORY;
    for (int i = 0; i < n_nodes && !status; i++) {
        Var v = p->nodes[i];
        if (!may_merge(v) || taken[v->in[1]->index]) continue;
        int n = collect(p, i, members);
        if (n < 2) continue;
        Var *stack = pha__arena_alloc(&p->arena, (size_t)n, sizeof *stack);
        if (!stack)
            status = pha__fail(PHA_NO_MEMORY, "no memory for a program");
        else {
            memcpy(stack, members, (size_t)n * sizeof *stack);
            for (int k = 0; k < n; k++) taken[stack[k]->in[1]->index] = true;
            stacks[n_stacks] = stack;
            sizes[n_stacks++] = n;
        }
    }
    if (!status) lay_out(p, stacks, sizes, n_stacks);
    for (int g = 0; g < n_stacks && !status && !p->options.no_fuse; g++) status = merge(p, stacks[g], sizes[g]);
    pha__free(stacks);
    pha__free(sizes);
    pha__free(members);
    pha__free(taken);
    return status;
}
