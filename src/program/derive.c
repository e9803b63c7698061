/* derive.c -- from nodes to steps: forward, the repeated forward of recomputation, backward
 *
 * The backward pass walks the steps in reverse and adds one "backward of that step" for each whose result has a
 * gradient. The first writer of a gradient stores, later ones add, so gradients are never cleared.
 *
 * With recompute, the values of a layer are made a second time just before its backward pass (version 1 of a value), so
 * that only what enters a layer has to be kept; dropout masks are functions of position and come out the same.
 */
#include <string.h>

#include "program/program.h"
#include "program/watch.h"

static bool is_value(const pha__node *n) { return n && n->op; }
/* The node that owns the memory: a slice lives in its merged product. */
static Var owner(Var n) { return n->merged ? n->merged : n; }

/* B * T and the width are below 2^31 each, so this fits. */
static size_t value_bytes(const pha__program *p, const pha__node *n)
{
    return (size_t)p->options.B * (size_t)p->options.T * (size_t)n->width * pha__dtype_size(n->dtype);
}

static pha_status new_buffer(pha__program *p, const char *path, pha__buffer_kind kind, size_t size, int *out)
{
    return pha__new_buffer(p, path, kind, size, PHA__FOREVER, -1, out);
}

static pha__ref buffer_ref(const pha__node *n, const pha__node *memory, int buffer)
{
    return (pha__ref){PHA__REF_BUFFER, buffer, n == memory ? 0 : n->column, memory->width, 0, n->width, n->dtype};
}

/* Input i of a node, a parameter, or its gradient. */
static pha__ref param_ref(const pha__node *n, int i, pha__ref_kind kind)
{
    const pha__node *w = n->in[i];
    return (pha__ref){kind, w->index, 0, w->width, pha__rows_of(n, i), w->width,
                      kind == PHA__REF_GRAD ? PHA__F32 : w->dtype};
}

/* The newest version of a value that the step may see. */
static pha__ref value_ref(Var n, int version)
{
    Var m = owner(n);
    return buffer_ref(n, m, version && m->value[1] >= 0 ? m->value[1] : m->value[0]);
}

/* With recomputation the layers of the model are repeated, what stands before and behind them is not. */
static bool is_repeated(const pha__program *p, const pha__node *n)
{
    return p->options.recompute && n->layer >= 0 && n->layer < p->tail;
}

static pha__plan_step *new_step(pha__program *p, Var n, pha__pass pass)
{
    if (p->n_steps == p->steps_capacity) {
        int more = p->steps_capacity ? 2 * p->steps_capacity : 512;
        pha__plan_step *grown = pha__realloc(p->steps, (size_t)more, sizeof *grown);
        if (!grown) return NULL;
        p->steps = grown, p->steps_capacity = more;
    }
    pha__plan_step *s = &p->steps[p->n_steps++];
    memset(s, 0, sizeof *s);
    s->node = n, s->pass = pass, s->saved = s->sums = s->work = -1;
    return s;
}

static pha_status forward_step(pha__program *p, Var n, int version)
{
    pha__plan_step *s = new_step(p, n, PHA__FORWARD);
    if (!s) FAIL(NO_MEMORY, "no memory for a program");
    s->repeat = version == 1;
    for (int i = 0; i < n->n_in; i++) {
        if (!n->in[i]) continue;
        s->in[i] = is_value(n->in[i]) ? value_ref(n->in[i], version) : param_ref(n, i, PHA__REF_PARAM);
    }
    pha__shape shape;
    pha__shape_of(p, n, &shape);
    bool keeps = n->op->saved && n->wants_grad && (version || !is_repeated(p, n));
    int64_t saved = keeps ? n->op->saved(&shape) : 0;
    TRY(new_buffer(p, n->path, version ? PHA__BUF_REPEAT : PHA__BUF_VALUE, value_bytes(p, n), &n->value[version]));
    size_t saved_bytes = saved > INT64_MAX / 8 ? SIZE_MAX : (size_t)saved * 4;
    if (saved) TRY(new_buffer(p, n->path, PHA__BUF_SAVED, saved_bytes, &n->saved[version]));
    s = &p->steps[p->n_steps - 1];
    s->out = buffer_ref(n, n, n->value[version]);
    s->saved = n->saved[version];
    return PHA_OK;
}

/* Does anything learned stand behind this value? */
static bool wants_grad(const pha__node *n)
{
    if (n->op->no_grad) return false;
    for (int i = 0; i < n->n_in; i++) {
        const pha__node *x = n->in[i];
        if (!x || n->op->constant & PHA__IN(i)) continue;
        if (x->op ? owner((Var)x)->wants_grad : pha__learned(x)) return true;
    }
    return false;
}

static pha_status gradient_of_value(pha__program *p, pha__plan_step *s, int i, Var x)
{
    Var m = owner(x);
    int step = (int)(s - p->steps);
    if (m->grad < 0) TRY(new_buffer(p, m->path, PHA__BUF_GRAD, value_bytes(p, m), &m->grad));
    s = &p->steps[step];
    s->d_in[i] = buffer_ref(x, m, m->grad);
    if (x->live) s->add |= PHA__IN(i); /* live: an earlier step has written this gradient */
    x->live = true;
    return PHA_OK;
}

static void gradient_of_param(pha__plan_step *s, int i)
{
    Var w = s->node->in[i];
    s->d_in[i] = param_ref(s->node, i, PHA__REF_GRAD);
    if (w->live) s->add |= PHA__IN(i);
    else s->add_if_more |= PHA__IN(i);
    w->live = true;
}

/* What a step adds up by itself until a lane is complete. */
static pha_status sums_of_lane(pha__program *p, int step)
{
    const pha__plan_step *s = &p->steps[step];
    const pha__node *n = s->node;
    bool shared = false;
    int sums;
    for (int i = 0; i < n->n_in; i++) shared |= s->d_in[i].kind == PHA__REF_GRAD && s->add & PHA__IN(i);
    pha__shape shape;
    pha__shape_of(p, n, &shape);
    int64_t floats = n->op->sums ? n->op->sums(&shape, shared) : 0;
    if (shared && !floats) p->takes_turns = true;
    if (!floats || !p->options.by_sequence) return PHA_OK;
    TRY(new_buffer(p, n->path, PHA__BUF_SUMS, floats > INT64_MAX / 8 ? SIZE_MAX : (size_t)floats * 4, &sums));
    p->steps[step].sums = sums;
    p->steps[step].add_if_more = 0; /* they are written once */
    return PHA_OK;
}

static pha_status backward_step(pha__program *p, Var n)
{
    pha__plan_step *s = new_step(p, n, PHA__BACKWARD);
    if (!s) FAIL(NO_MEMORY, "no memory for a program");
    int version = n->value[1] >= 0 || n->saved[1] >= 0;
    uint32_t keep_in = pha__keep_in(n->op, pha__inputs_of(n));
    for (int i = 0; i < n->n_in; i++) {
        Var x = n->in[i];
        if (!x || !(keep_in & PHA__IN(i) || !is_value(x))) continue;
        s->in[i] = is_value(x) ? value_ref(x, 1) : param_ref(n, i, PHA__REF_PARAM);
    }
    if (n->op->is_loss) {
        TRY(new_buffer(p, n->path, PHA__BUF_VALUE, value_bytes(p, n), &n->value[0]));
        s->out = buffer_ref(n, n, n->value[0]);
    } else {
        if (pha__keep_out(n->op, pha__inputs_of(n))) s->out = value_ref(n, 1);
        s->d_out = buffer_ref(n, n, n->grad);
    }
    s->saved = n->saved[version] >= 0 ? n->saved[version] : n->saved[0];
    int step = p->n_steps - 1;
    for (int i = 0; i < n->n_in; i++) {
        Var x = n->in[i];
        s = &p->steps[step];
        if (!x || n->op->constant & PHA__IN(i)) continue;
        if (!is_value(x)) {
            if (pha__learned(x)) gradient_of_param(s, i);
        } else if (x->merged ? x->merged->wants_grad : x->wants_grad) {
            TRY(gradient_of_value(p, s, i, x));
        }
    }
    return sums_of_lane(p, step);
}

/* Has some later step produced a gradient of this value? For a merged product: of any slice. */
static pha_status has_gradient(const pha__program *p, const pha__node *n, bool *yes)
{
    *yes = n->live;
    if (!n->stack_rows) return PHA_OK;
    int with = 0, without = 0;
    for (int i = 0; i < p->n_nodes; i++)
        if (p->nodes[i]->merged == n) p->nodes[i]->live ? with++ : without++;
    if (with && without) FAIL(FAILED, "%s: a slice of a merged product has no gradient; leave out the rule", n->path);
    *yes = with > 0;
    return PHA_OK;
}

/* Marks what the backward steps of a layer read of the layer's own values, and all that these are made from. */
static void mark_needed(const pha__program *p, int begin, int end, bool *needed)
{
    for (int i = end - 1; i >= begin; i--) {
        Var n = p->nodes[i];
        if (n->merged) continue;
        uint32_t inputs = pha__inputs_of(n), keep_in = n->wants_grad ? pha__keep_in(n->op, inputs) : 0;
        if (n->wants_grad && (pha__keep_out(n->op, inputs) || n->op->saved)) needed[i] = true;
        for (int k = 0; k < n->n_in; k++) {
            if (!is_value(n->in[k]) || !(needed[i] || keep_in & PHA__IN(k))) continue;
            for (int j = begin; j < i; j++)
                if (p->nodes[j] == owner(n->in[k])) needed[j] = true;
        }
    }
}

static pha_status repeat_layer(pha__program *p, int begin, int end)
{
    bool *needed = pha__alloc_zero((size_t)p->n_nodes, sizeof *needed);
    if (!needed) return PHA_NO_MEMORY;
    mark_needed(p, begin, end, needed);
    pha_status status = PHA_OK;
    for (int i = begin; i < end && !status; i++)
        if (needed[i]) status = forward_step(p, p->nodes[i], 1);
    pha__free(needed);
    return status;
}

static pha_status backward(pha__program *p)
{
    for (int i = p->n_nodes - 1; i >= 0; i--) {
        Var n = p->nodes[i];
        bool opens = i == p->n_nodes - 1 || p->nodes[i + 1]->layer != n->layer;
        if (opens && is_repeated(p, n)) {
            int begin = i;
            while (begin > 0 && p->nodes[begin - 1]->layer == n->layer) begin--;
            TRY(repeat_layer(p, begin, i + 1));
        }
        if (n->merged || !n->wants_grad) continue;
        bool yes = n->op->is_loss;
        if (!yes) TRY(has_gradient(p, n, &yes));
        if (yes) TRY(backward_step(p, n));
    }
    return PHA_OK;
}

static void use(pha__program *p, int buffer, int step)
{
    if (buffer < 0) return;
    pha__buffer *b = &p->buffers[buffer];
    b->first = step < b->first ? step : b->first;
    b->last = step > b->last ? step : b->last;
}

static void use_ref(pha__program *p, const pha__ref *r, int step)
{
    if (r->kind == PHA__REF_BUFFER) use(p, r->index, step);
}

/* First and last step of every buffer; outputs stay to the end, and so may everything. */
static void lifetimes(pha__program *p)
{
    for (int i = 0; i < p->n_steps; i++) {
        const pha__plan_step *s = &p->steps[i];
        for (int k = 0; k < PHA__MAX_IN; k++) {
            use_ref(p, &s->in[k], i);
            use_ref(p, &s->d_in[k], i);
        }
        use_ref(p, &s->out, i);
        use_ref(p, &s->d_out, i);
        use(p, s->saved, i);
        use(p, s->sums, 0);
        use(p, s->sums, PHA__FOREVER);
    }
    for (int i = 0; i < p->n_outputs; i++) {
        Var m = owner(p->outputs[i].value);
        if (m->op) use(p, m->value[0], PHA__FOREVER);
    }
    for (int i = 0; p->options.keep_watched && i < p->n_watches; i++)
        for (int k = 0; k < p->watches[i].n_in; k++)
            if (is_value(p->watches[i].in[k])) use(p, owner(p->watches[i].in[k])->value[0], PHA__FOREVER);
    for (int i = 0; p->options.keep_all && i < p->n_buffers; i++) {
        use(p, i, 0);
        use(p, i, PHA__FOREVER);
    }
}

static int64_t longest(const pha__program *p, const pha__node *n)
{
    pha__shape shape;
    if (n->merged || !n->op->longest) return INT64_MAX;
    pha__shape_of(p, n, &shape);
    return n->op->longest(&shape);
}

int64_t pha__longest_text(const pha__program *p)
{
    int64_t least = INT64_MAX;
    for (int i = 0; i < p->n_nodes; i++) {
        int64_t tokens = longest(p, p->nodes[i]);
        least = tokens < least ? tokens : least;
    }
    return least;
}

/* Gradients of what began from a state. */
static pha_status check_carried(const pha__program *p)
{
    for (int i = 0; p->options.gradients && p->options.max_context && i < p->n_nodes; i++) {
        const pha__node *n = p->nodes[i];
        if (!n->merged && n->wants_grad && n->op->state && !n->op->carries)
            FAIL(BAD_INPUT, "%s (%s:%d): %s has no gradient where it begins from a carried state", n->path, n->file,
                 n->line, n->op->name);
    }
    return PHA_OK;
}

/* No session may get to where an op has nothing, or has one that remembers nothing of it. */
static pha_status check_context(const pha__program *p)
{
    for (int i = 0; i < p->n_nodes; i++) {
        const pha__node *n = p->nodes[i];
        if (n->op->windows && p->options.max_context)
            FAIL(BAD_INPUT, "%s (%s:%d): %s has no state for sessions", n->path, n->file, n->line, n->op->name);
        int64_t tokens = longest(p, n);
        if (tokens < p->options.max_context)
            FAIL(BAD_INPUT, "%s (%s:%d): a text of this model has at most %lld tokens, not %lld", n->path, n->file,
                 n->line, (long long)tokens, (long long)p->options.max_context);
    }
    return PHA_OK;
}

pha_status pha__derive(pha__program *p)
{
    p->tail = -1;
    for (int i = 0; i < p->n_nodes; i++) {
        Var n = p->nodes[i];
        p->tail = n->layer > p->tail ? n->layer : p->tail;
        n->live = false;
        if (!n->merged) n->wants_grad = p->options.gradients && wants_grad(n);
        if (n->merged) n->wants_grad = n->merged->wants_grad;
    }
    TRY(check_context(p));
    TRY(check_carried(p));
    size_t state = 0;
    for (int i = 0; i < p->n_nodes; i++) {
        Var n = p->nodes[i];
        if (n->merged) continue;
        if (n->op->state && p->options.max_context) {
            pha__shape shape;
            pha__shape_of(p, n, &shape);
            n->state_offset = state;
            pha__state_layout layout = n->op->state(&shape, p->options.max_context);
            size_t bytes = pha__state_bytes(&layout);
            if (bytes > SIZE_MAX / 4 || __builtin_add_overflow(state, (bytes + 63) / 64 * 64, &state))
                FAIL(NO_MEMORY, "%s: a state of %lld tokens is larger than any memory", n->path,
                     (long long)p->options.max_context);
        }
        if (!(n->op->is_loss && n->wants_grad)) TRY(forward_step(p, n, 0));
    }
    p->state = state;
    if (p->options.gradients) TRY(backward(p));
    lifetimes(p);
    return PHA_OK;
}
