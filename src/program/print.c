/* print.c -- a program as text, and the bytes that its steps move */
#include <inttypes.h>
#include <string.h>

#include "base/print.h"
#include "base/str.h"
#include "program/program.h"

static double flops(const pha__program *p, const pha__plan_step *s)
{
    if (!s->node->op->flops) return 0;
    pha__shape shape;
    pha__shape_of(p, s->node, &shape);
    return s->node->op->flops(&shape, s->pass, 0);
}

/* Of a pass, without repeats. */
static double sum_flops(const pha__program *p, pha__pass pass)
{
    double sum = 0;
    for (int i = 0; i < p->n_steps; i++)
        if (p->steps[i].pass == pass && !p->steps[i].repeat) sum += flops(p, &p->steps[i]);
    return sum;
}

static void add_ref(const pha__program *p, const pha__ref *r, double *values, double *weights)
{
    double row = (double)r->width * (double)pha__dtype_size(r->dtype);
    if (r->kind == PHA__REF_BUFFER) *values += row * p->options.B * p->options.T;
    else if (r->kind != PHA__REF_NONE) *weights += row * r->rows;
}

void pha__step_traffic(const pha__program *p, const pha__plan_step *s, double *values, double *weights)
{
    *values = *weights = 0;
    add_ref(p, &s->out, values, weights);
    add_ref(p, &s->d_out, values, weights);
    if (s->saved >= 0) *values += (double)p->buffers[s->saved].size;
    for (int k = 0; k < PHA__MAX_IN; k++) {
        if (s->node->op->gathers) { /* only the rows of the tokens are touched */
            pha__ref row = s->pass == PHA__FORWARD ? s->in[k] : s->d_in[k];
            if (row.kind) row.kind = PHA__REF_BUFFER;
            add_ref(p, &row, values, weights);
            continue;
        }
        add_ref(p, &s->in[k], values, weights);
        add_ref(p, &s->d_in[k], values, weights);
        if (s->add & PHA__IN(k)) add_ref(p, &s->d_in[k], values, weights); /* read as well as written */
    }
}

static void print_inputs(const pha__node *n, char *out, size_t size)
{
    size_t at = 0;
    out[0] = 0;
    for (int i = 0; i < n->n_in && at < size; i++) {
        if (!n->in[i]) continue;
        at += (size_t)(n->in[i]->op ? pha__print(out + at, size - at, "%s%d", at ? " " : "", n->in[i]->width)
                                    : pha__print(out + at, size - at, "%s[%dx%d]", at ? " " : "", pha__rows_of(n, i),
                                                 n->in[i]->width));
    }
}

void pha__print_program(const pha__program *p, pha__str *out)
{
    double moved = 0;
    pha__str_printf(out, "%4s %-9s %-34s %-13s %-40s %7s %10s %9s  %s\n", "step", "pass", "path", "op", "inputs",
                    "width", "MFLOP", "MB", "source");
    for (int i = 0; i < p->n_steps; i++) {
        const pha__plan_step *s = &p->steps[i];
        char inputs[96];
        print_inputs(s->node, inputs, sizeof inputs);
        double values, weights;
        pha__step_traffic(p, s, &values, &weights);
        moved += values + weights;
        pha__str_printf(out, "%4d %-9s %-34s %-13s %-40s %7d %10.2f %9.2f  %s:%d\n", i,
                        s->repeat                 ? "repeat"
                        : s->pass == PHA__FORWARD ? "forward"
                                                  : "backward",
                        s->node->path, s->node->op->name, inputs, s->node->width, flops(p, s) / 1e6,
                        (values + weights) / 1e6, s->node->file, s->node->line);
    }
    pha__str_printf(out, "%d steps; forward %.3f GFLOP, backward %.3f GFLOP; %.2f MB read and written (B %d, T %d)\n",
                    p->n_steps, sum_flops(p, PHA__FORWARD) / 1e9, sum_flops(p, PHA__BACKWARD) / 1e9, moved / 1e6,
                    p->options.B, p->options.T);
}
