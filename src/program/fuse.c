/* fuse.c -- rules that make one step of several, and the order of weights in memory that makes the first possible
 *
 * Rule "projections": products of one value with several weights become one product over the stacked weights; the old
 * results become slices of its columns. A PHA layer has eight (q, k, v, gate, in, filter, aux gate, aux up), and the
 * gradient with respect to the shared input becomes one product too. The weights of a stack lie next to each other in
 * path order; names and shapes in checkpoints do not change. Biases stay where they are, as inputs side by side.
 *
 * Rules "mix", "residual", "scan": a value that one step alone reads is not written where the step that makes it can do
 * the other's work too. A sum and its norm: the sum is never stored, backward makes it again. A scan and the filter of
 * its state. The node of the second step stays, as the first op with one input more; the first node goes.
 *
 * A sum may lie in one layer and its norm in the next. The fused step belongs to the layer of the norm: so what enters
 * that layer are the terms of the sum, and none of them has to be made again by the layer before for this step's
 * backward (the last product of a feed-forward, say). With recomputation they are kept in place of the sum, so there a
 * pair crosses layers only if they are no larger: two bf16 terms for a sum in fp32.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "ops/mix/mix.h"
#include "ops/residual/residual.h"
#include "ops/rmsnorm/rmsnorm.h"
#include "program/program.h"
#include "program/watch.h"

enum { X, WEIGHT, BIAS, MOST_BIASED = PHA__MAX_IN - BIAS }; /* inputs of a product; biases of a stack */

static const char *const rule_names[] = {"projections", "mix", "residual", "scan"}; /* by bit */

pha_status pha__unfused_by_environment(unsigned *rules)
{
    enum { N = sizeof rule_names / sizeof *rule_names };
    const char *at = getenv("PHA_UNFUSED");
    while (at && *at) {
        size_t n = strcspn(at, ",");
        int k = 0;
        while (k < N && (strlen(rule_names[k]) != n || strncmp(rule_names[k], at, n) != 0)) k++;
        bool all = n == 3 && !strncmp(at, "all", n);
        if (k == N && !all)
            FAIL(USAGE, "PHA_UNFUSED=%s: rules are projections, mix, residual, scan, with commas between, or all", at);
        *rules |= all ? PHA__FUSE_ALL : 1u << k;
        at += n + (at[n] == ',');
    }
    return PHA_OK;
}

static void count_uses(pha__program *p)
{
    for (int i = 0; i < p->n_nodes; i++)
        for (int k = 0; k < p->nodes[i]->n_in; k++)
            if (p->nodes[i]->in[k]) p->nodes[i]->in[k]->uses++;
    for (int i = 0; i < p->n_outputs; i++) p->outputs[i].value->uses++;
    for (int i = 0; p->options.keep_watched && i < p->n_watches; i++) {
        const pha__watching *w = &p->watches[i];
        for (int k = 0; k < w->n_in; k++)
            if (w->in[k] && w->in[k]->op) w->in[k]->uses++;
    }
}

/* ---- projections ---------------------------------------------------------------------------------------- */

/* A weight that is used twice (a tied embedding) cannot be stacked; a frozen one has no place among learned ones. */
static bool may_merge(const pha__node *n)
{
    const pha__node *w = n->in[WEIGHT];
    return n->op == &pha__op_matmul && n->dtype == w->dtype && w->uses == 1 && !w->frozen;
}

static int by_weight(const void *a, const void *b)
{
    return (*(const Var *)a)->in[WEIGHT]->index - (*(const Var *)b)->in[WEIGHT]->index;
}

static bool biased(const pha__node *n) { return n->n_in > BIAS && n->in[BIAS]; }

/* Members of the group that node i opens, sorted by the path of their weight; their number. All have a bias or none. */
static int collect(const pha__program *p, int i, Var *members)
{
    int n = 0;
    Var first = p->nodes[i];
    for (int j = i; j < p->n_nodes && (n < MOST_BIASED || !biased(first)); j++) {
        Var v = p->nodes[j];
        if (v->in[X] != first->in[X] || !may_merge(v) || v->layer != first->layer) continue;
        if (biased(v) == biased(first)) members[n++] = v;
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
        if (biased(members[i])) m->in[BIAS + i] = members[i]->in[BIAS], m->n_in = BIAS + i + 1;
    }
    m->stack_rows = m->width, m->stack_in = WEIGHT;
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

/* Matrices, vectors, dynamics, then what is not learned, frozen or computed: so that each kind of learned ones is one
 * range, and gradients and moments have no room for the others. */
enum { MATRICES, VECTORS, DYNAMICS, FROZEN, CONSTANTS, CLASSES };

static int class_of(const pha__node *w)
{
    if (w->kind == PHA__CONSTANT) return CONSTANTS;
    if (w->frozen) return FROZEN;
    return w->kind == PHA__MATRIX ? MATRICES : w->kind == PHA__VECTOR ? VECTORS : DYNAMICS;
}

/* Stacks first, in path order of their first weight; then the rest by class. Each starts on a cache line. */
static void lay_out(pha__program *p, Var *const *stacks, const int *sizes, int n_stacks)
{
    const int64_t align = PHA__ALIGN / 2; /* elements: also the bf16 copy starts on a line */
    int64_t at = 0;
    p->parameters = 0;
    for (int g = 0; g < n_stacks; g++) {
        for (int i = 0; i < sizes[g]; i++) {
            Var w = stacks[g][i]->in[WEIGHT];
            w->group = g, w->offset = at;
            at += (int64_t)w->rows * w->width;
        }
        at = (at + align - 1) / align * align;
    }
    for (int class = MATRICES; class < CLASSES; class++) {
        for (int i = 0; i < p->n_params; i++) {
            Var w = p->params[i];
            if (w->group >= 0 || class_of(w) != class) continue;
            w->offset = at;
            at += ((int64_t)w->rows * w->width + align - 1) / align * align;
        }
        if (class == MATRICES) p->matrices = at;
        if (class == VECTORS) p->steady = at;
        if (class == DYNAMICS) p->trainable = at;
    }
    p->weights = at;
    for (int i = 0; i < p->n_params; i++)
        if (p->params[i]->kind != PHA__CONSTANT)
            p->parameters += (uint64_t)p->params[i]->rows * (uint64_t)p->params[i]->width;
}

static pha_status fuse_projections(pha__program *p)
{
    int n_nodes = p->n_nodes, n_stacks = 0;
    Var **stacks = pha__alloc_zero((size_t)n_nodes + 1, sizeof *stacks);
    int *sizes = pha__alloc_zero((size_t)n_nodes + 1, sizeof *sizes);
    Var *members = pha__alloc((size_t)n_nodes + 1, sizeof *members);
    bool *taken = pha__alloc_zero((size_t)p->n_params + 1, sizeof *taken);
    pha_status status = stacks && sizes && members && taken ? PHA_OK : PHA_NO_MEMORY;
    for (int i = 0; i < n_nodes && !status; i++) {
        Var v = p->nodes[i];
        if (!may_merge(v) || taken[v->in[WEIGHT]->index]) continue;
        int n = collect(p, i, members);
        if (n < 2) continue;
        Var *stack = pha__arena_alloc(&p->arena, (size_t)n, sizeof *stack);
        if (!stack)
            status = pha__fail(PHA_NO_MEMORY, "no memory for a program");
        else {
            memcpy(stack, members, (size_t)n * sizeof *stack);
            for (int k = 0; k < n; k++) taken[stack[k]->in[WEIGHT]->index] = true;
            stacks[n_stacks] = stack;
            sizes[n_stacks++] = n;
        }
    }
    if (!status) lay_out(p, stacks, sizes, n_stacks);
    bool wanted = !(p->options.unfused & PHA__FUSE_PROJECTIONS);
    for (int g = 0; g < n_stacks && !status && wanted; g++) status = merge(p, stacks[g], sizes[g]);
    pha__free(stacks);
    pha__free(sizes);
    pha__free(members);
    pha__free(taken);
    return status;
}

/* ---- pairs ---------------------------------------------------------------------------------------------- */

static const struct pair {
    pha__fuse_rule rule;
    const pha__op *first, *second; /* the other input of the second becomes input first->fused.in of the first */
    int result;                    /* the input of the second that is the first's result; it has two */
    size_t eps;                    /* where the first's attributes have the second's; 0: it has none */
    bool across;                   /* also from one layer to the next; a mix is shown with its layer */
} pairs[] = {
    {PHA__FUSE_MIX, &pha__op_mix, &pha__op_rmsnorm, 0, offsetof(pha__mix_attr, norm_eps), false},
    {PHA__FUSE_RESIDUAL, &pha__op_residual, &pha__op_rmsnorm, 0, offsetof(pha__residual_attr, norm_eps), true},
    {PHA__FUSE_SCAN, &pha__op_scan, &pha__op_silu_mul, 1, 0, false},
};

static size_t row_bytes(const pha__node *n) { return (size_t)n->width * pha__dtype_size(n->dtype); }

static bool may_cross(const pha__program *p, const struct pair *pair, const pha__node *first)
{
    size_t terms = 0;
    for (int i = 0; i < first->n_in; i++)
        if (first->in[i] && first->in[i]->op) terms += row_bytes(first->in[i]);
    return pair->across && (!p->options.recompute || terms <= row_bytes(first));
}

static bool may_join(const pha__program *p, const struct pair *pair, const pha__node *second)
{
    if (p->options.unfused & pair->rule || second->op != pair->second || second->n_in != 2) return false;
    const pha__node *first = second->in[pair->result];
    return first->op == pair->first && first->uses == 1 && second->in[1 - pair->result] &&
           (first->layer == second->layer || may_cross(p, pair, first));
}

/* layer0.mix and layer0.ffn_norm: layer0.mix+ffn_norm */
static const char *joined_path(pha__program *p, const char *first, const char *second)
{
    const char *dot = strrchr(first, '.');
    size_t shared = dot ? (size_t)(dot + 1 - first) : 0;
    return pha__arena_printf(&p->arena, "%s+%s", first, second + (strncmp(first, second, shared) ? 0 : shared));
}

static pha_status join(pha__program *p, const struct pair *pair, int at)
{
    Var second = p->nodes[at], first = second->in[pair->result], moved = second->in[1 - pair->result];
    pha__node fused = *first;
    fused.path = joined_path(p, first->path, second->path);
    fused.in[first->op->fused.in] = moved, fused.n_in = first->op->fused.in + 1;
    fused.layer = second->layer, fused.dtype = second->dtype, fused.uses = second->uses;
    if (pair->eps) {
        char *attr = pha__arena_alloc(&p->arena, 1, first->attr_size);
        if (!attr) FAIL(NO_MEMORY, "no memory for a program");
        memcpy(attr, first->attr, first->attr_size);
        memcpy(attr + pair->eps, &((const pha__rmsnorm_attr *)second->attr)->eps, sizeof(float));
        fused.attr = attr;
    }
    if (!fused.path) FAIL(NO_MEMORY, "no memory for a program");
    *second = fused;
    while (p->nodes[--at] != first) {}
    memmove(p->nodes + at, p->nodes + at + 1, (size_t)(--p->n_nodes - at) * sizeof *p->nodes);
    return PHA_OK;
}

static pha_status fuse_pairs(pha__program *p)
{
    for (int i = 0; i < p->n_nodes; i++)
        for (size_t k = 0; k < sizeof pairs / sizeof *pairs; k++) {
            if (!may_join(p, &pairs[k], p->nodes[i])) continue;
            TRY(join(p, &pairs[k], i--));
            break;
        }
    return PHA_OK;
}

pha_status pha__fuse(pha__program *p)
{
    count_uses(p);
    TRY(fuse_projections(p));
    return fuse_pairs(p);
}
