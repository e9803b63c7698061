/* print.c -- a program as text */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "program/program.h"

static double flops(const pha__program *p, const pha__plan_step *s, int64_t context)
{
    if (!s->node->op->flops) return 0;
    pha__shape shape;
    pha__shape_of(p, s->node, &shape);
    return s->node->op->flops(&shape, s->pass, context);
}

double pha__program_flops(const pha__program *p, pha__pass pass, int64_t context)
{
    double sum = 0;
    for (int i = 0; i < p->n_steps; i++)
        if (p->steps[i].pass == pass && !p->steps[i].repeat) sum += flops(p, &p->steps[i], context);
    return sum;
}

static double ref_bytes(const pha__program *p, const pha__ref *r)
{
    if (!r->kind) return 0;
    double rows = r->kind == PHA__REF_BUFFER ? (double)p->options.B * p->options.T : r->rows;
    return rows * r->width * (double)pha__dtype_size(r->dtype);
}

static double step_bytes(const pha__program *p, const pha__plan_step *s)
{
    double sum = ref_bytes(p, &s->out) + ref_bytes(p, &s->d_out);
    for (int k = 0; k < PHA__MAX_IN; k++) sum += ref_bytes(p, &s->in[k]) + ref_bytes(p, &s->d_in[k]);
    return sum;
}

static void print_inputs(const pha__node *n, char *out, size_t size)
{
    size_t at = 0;
    out[0] = 0;
    for (int i = 0; i < n->n_in && at < size; i++) {
        if (!n->in[i]) continue;
        int32_t rows = i == 1 && n->stack_rows ? n->stack_rows : n->in[i]->rows;
        at += (size_t)(n->in[i]->op ? snprintf(out + at, size - at, "%s%d", at ? " " : "", n->in[i]->width)
                                    : snprintf(out + at, size - at, "%s[%dx%d]", at ? " " : "", rows, n->in[i]->width));
    }
}

void pha__print_program(const pha__program *p, pha__str *out)
{
    pha__str_printf(out, "%4s %-9s %-34s %-13s %-40s %7s %10s %9s  %s\n", "step", "pass", "path", "op", "inputs",
                    "width", "MFLOP", "MB", "source");
    for (int i = 0; i < p->n_steps; i++) {
        const pha__plan_step *s = &p->steps[i];
        char inputs[96];
        print_inputs(s->node, inputs, sizeof inputs);
        pha__str_printf(out, "%4d %-9s %-34s %-13s %-40s %7d %10.2f %9.2f  %s:%d\n", i,
                        s->repeat                 ? "repeat"
                        : s->pass == PHA__FORWARD ? "forward"
                                                  : "backward",
                        s->node->path, s->node->op->name, inputs, s->node->width, flops(p, s, 0) / 1e6,
                        step_bytes(p, s) / 1e6, s->node->file, s->node->line);
    }
    pha__str_printf(out, "%d steps; forward %.3f GFLOP, backward %.3f GFLOP (B %d, T %d)\n", p->n_steps,
                    pha__program_flops(p, PHA__FORWARD, 0) / 1e9, pha__program_flops(p, PHA__BACKWARD, 0) / 1e9,
                    p->options.B, p->options.T);
}

/* Highest sum of live buffers of one kind over all steps. */
static size_t peak_of_kind(const pha__program *p, int kind)
{
    size_t peak = 0;
    for (int step = 0; step < p->n_steps; step++) {
        size_t sum = 0;
        for (int i = 0; i < p->n_buffers; i++) {
            const pha__buffer *b = &p->buffers[i];
            if ((int)b->kind == kind && b->first <= step && step <= b->last) sum += b->size;
        }
        peak = sum > peak ? sum : peak;
    }
    return peak;
}

void pha__print_memory(const pha__program *p, pha__str *out)
{
    static const char *names[PHA__BUF_KINDS] = {"activations",     "repeated activations", "gradients of activations",
                                                "kept statistics", "workspaces",           "threads' scratch"};
    for (int kind = 0; kind < PHA__BUF_KINDS; kind++)
        pha__str_printf(out, "  %-28s %12.2f MB at its highest\n", names[kind], (double)peak_of_kind(p, kind) / 1e6);
    pha__str_printf(out, "  %-28s %12.2f MB\n", "one block, planned", (double)p->block / 1e6);
    pha__str_printf(out, "  %-28s %12.2f MB\n", "without sharing (naive)", (double)p->naive / 1e6);
    pha__str_printf(out, "  %-28s %12.2f MB (%.1f %%)\n", "saved", (double)(p->naive - p->block) / 1e6,
                    p->naive ? 100.0 * (double)(p->naive - p->block) / (double)p->naive : 0.0);
}
