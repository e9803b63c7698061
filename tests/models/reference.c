/* reference.c -- interprets a program with the double references of the ops */
#include "models/reference.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/harness.h"
#include "ops/lm_loss/lm_loss.h"

#define PHA__OP(name) extern const pha__op_test pha__test_##name;
#include "ops/ops.def"
#undef PHA__OP

static const pha__op_test *const tests[] = {
#define PHA__OP(name) &pha__test_##name,
#include "ops/ops.def"
#undef PHA__OP
};

typedef struct step {
    const pha__node *node;
    const pha__op_test *test;
    pha__op_reference ref;
    double *value, *grad;
} step;

struct pha__reference {
    const pha__program *program;
    int64_t rows;
    const pha__run *run;
    double **params, **grads;
    step *steps;
};

static const pha__op_test *find_test(const pha__op *op)
{
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        if (tests[i]->op == op) return tests[i];
    return NULL;
}

static step *step_of(const pha__reference *r, const pha__node *n)
{
    for (int i = 0; i < r->program->n_nodes; i++)
        if (r->steps[i].node == n) return &r->steps[i];
    return NULL;
}

static size_t param_size(const pha__node *w) { return (size_t)w->rows * (size_t)w->width; }
static size_t value_size(const pha__reference *r, const pha__node *n) { return (size_t)r->rows * (size_t)n->width; }

/* Points the references of a step at the arrays of its inputs. */
static void connect(pha__reference *r, step *s)
{
    const pha__node *n = s->node;
    for (int k = 0; k < n->n_in; k++) {
        const pha__node *x = n->in[k];
        if (!x) continue;
        step *from = x->op ? step_of(r, x) : NULL;
        s->ref.rows[k] = x->op ? 0 : x->rows, s->ref.width[k] = x->width;
        s->ref.in[k] = from ? from->value : r->params[x->index];
        if (from) s->ref.d_in[k] = x->op->no_grad ? NULL : from->grad;
        else s->ref.d_in[k] = x->kind == PHA__CONSTANT ? NULL : r->grads[x->index];
    }
}

pha__reference *pha__reference_open(const pha__program *p, int B, int T, const pha__run *run)
{
    pha__reference *r = calloc(1, sizeof *r);
    if (!r) return NULL;
    r->program = p, r->rows = (int64_t)B * T, r->run = run;
    r->params = calloc((size_t)p->n_params + 1, sizeof *r->params);
    r->grads = calloc((size_t)p->n_params + 1, sizeof *r->grads);
    r->steps = calloc((size_t)p->n_nodes + 1, sizeof *r->steps);
    bool ok = r->params && r->grads && r->steps;
    for (int i = 0; ok && i < p->n_params; i++) {
        r->params[i] = calloc(param_size(p->params[i]), sizeof(double));
        r->grads[i] = calloc(param_size(p->params[i]), sizeof(double));
        ok = r->params[i] && r->grads[i];
    }
    for (int i = 0; ok && i < p->n_nodes; i++) {
        step *s = &r->steps[i];
        const pha__node *n = s->node = p->nodes[i];
        assert(!n->merged && !n->stack_rows); /* unfused */
        s->test = find_test(n->op);
        s->value = calloc(value_size(r, n), sizeof(double));
        s->grad = calloc(value_size(r, n), sizeof(double));
        ok = s->test && s->value && s->grad;
        s->ref = (pha__op_reference){.B = B, .T = T, .attr = n->attr, .run = run};
        s->ref.out = s->value, s->ref.out_width = n->width, s->ref.d_out = s->grad;
    }
    if (!ok) {
        pha__reference_close(r);
        return NULL;
    }
    for (int i = 0; i < p->n_nodes; i++) connect(r, &r->steps[i]);
    return r;
}

void pha__reference_close(pha__reference *r)
{
    if (!r) return;
    for (int i = 0; r->params && i < r->program->n_params; i++) free(r->params[i]);
    for (int i = 0; r->grads && i < r->program->n_params; i++) free(r->grads[i]);
    for (int i = 0; r->steps && i < r->program->n_nodes; i++) {
        free(r->steps[i].value);
        free(r->steps[i].grad);
    }
    free(r->params);
    free(r->grads);
    free(r->steps);
    free(r);
}

double *pha__reference_param(pha__reference *r, int index) { return r->params[index]; }
const double *pha__reference_grad(const pha__reference *r, int index) { return r->grads[index]; }

void pha__reference_forward(pha__reference *r, int first)
{
    for (int i = first; i < r->program->n_nodes; i++) r->steps[i].test->forward(&r->steps[i].ref);
}

int pha__reference_first_use(const pha__reference *r, int index)
{
    for (int i = 0; i < r->program->n_nodes; i++)
        for (int k = 0; k < r->steps[i].node->n_in; k++)
            if (r->steps[i].node->in[k] == r->program->params[index]) return i;
    return r->program->n_nodes;
}

void pha__reference_backward(pha__reference *r)
{
    const pha__program *p = r->program;
    for (int i = 0; i < p->n_params; i++) memset(r->grads[i], 0, param_size(p->params[i]) * sizeof(double));
    for (int i = 0; i < p->n_nodes; i++) {
        step *s = &r->steps[i];
        memset(s->grad, 0, value_size(r, s->node) * sizeof(double));
        for (int64_t row = 0; s->node->op->is_loss && row < r->rows; row++)
            s->grad[row * s->node->width] = r->run->loss_scale;
    }
    for (int i = p->n_nodes - 1; i >= 0; i--)
        if (!p->nodes[i]->op->no_grad) r->steps[i].test->backward(&r->steps[i].ref);
}

const double *pha__reference_output(const pha__reference *r, const char *name)
{
    for (int i = 0; i < r->program->n_outputs; i++)
        if (!strcmp(r->program->outputs[i].name, name)) return step_of(r, r->program->outputs[i].value)->value;
    return NULL;
}

double pha__reference_loss(const pha__reference *r, double *size)
{
    const double *out = pha__reference_output(r, "loss");
    double sum = 0, all = 0;
    for (int64_t row = 0; row < r->rows; row++) {
        double nll = out[PHA__LOSS_WIDTH * row + PHA__NLL];
        sum += nll, all += fabs(nll);
    }
    *size = (double)r->run->loss_scale * all;
    return (double)r->run->loss_scale * sum;
}
