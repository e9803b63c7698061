/* inspect.c -- pha_inspect: the views of the program and of its memory (others: inspect_mixing.c, inspect_summary.c) */
#include "runtime/look/inspect.h"

#include "base/json.h"
#include "runtime/look/cost.h"

#define CHUNK 256 /* tokens per run while a session reads a prompt */

/* ---- the program and its memory ----------------------------------------------------------------------- */

/* A session has two programs: one reads a prompt in runs of many tokens, one makes logits from single tokens. Training
 * has one, whose step may be of several runs (`micro`). */
static pha_status record(pha__program **p, const pha__subject *s, const pha_inspect_options *o, bool step, bool micro)
{
    int context = o->context;
    pha__program_options options = {
        .B = o->batch,
        .T = step ? 1 : o->inference && context > CHUNK ? CHUNK : context,
        .max_context = o->inference ? context : 0,
        .dtype = o->precision == PHA_BF16 ? PHA__BF16 : PHA__F32,
        .gradients = !o->inference,
        .recompute = o->recompute,
        .unfused = o->no_fuse ? PHA__FUSE_ALL : 0,
        .by_sequence = micro,
    };
    return pha__record(p, &s->config, &options,
                       !o->inference ? PHA__HEAD_LOSS
                       : step        ? PHA__HEAD_LOGITS
                                     : PHA__HEAD_NONE);
}

static json_t *step_json(const pha__program *p, const pha__plan_step *s)
{
    const pha__op *op = s->node->op;
    const char *pass = s->repeat ? "repeat" : s->pass == PHA__FORWARD ? "forward" : "backward";
    pha__shape shape;
    pha__shape_of(p, s->node, &shape);
    double values, weights, flops = op->flops ? op->flops(&shape, s->pass, 0) : 0;
    pha__step_traffic(p, s, &values, &weights);
    json_t *o = pha__json_object(), *inputs = pha__json_list();
    for (int k = 0; k < s->node->n_in; k++)
        if (s->node->in[k]) pha__json_add(&inputs, pha__json_text(s->node->in[k]->path));
    pha__json_set(&o, "pass", pha__json_text(pass));
    pha__json_set(&o, "path", pha__json_text(s->node->path));
    pha__json_set(&o, "op", pha__json_text(op->name));
    pha__json_set(&o, "inputs", inputs);
    pha__json_set(&o, "width", pha__json_number(s->node->width));
    pha__json_set(&o, "flops", pha__json_decimal(flops));
    pha__json_set(&o, "bytes", pha__json_decimal(values + weights));
    pha__json_set(&o, "file", pha__json_text(s->node->file));
    pha__json_set(&o, "line", pha__json_number(s->node->line));
    return o;
}

static json_t *program_json(const pha__program *p)
{
    json_t *o = pha__json_object(), *steps = pha__json_list();
    for (int i = 0; i < p->n_steps; i++) pha__json_add(&steps, step_json(p, &p->steps[i]));
    pha__json_set(&o, "batch", pha__json_number(p->options.B));
    pha__json_set(&o, "context", pha__json_number(p->options.T));
    pha__json_set(&o, "steps", steps);
    return o;
}

static void memory_text(pha__str *out, const pha__memory *m, const pha__program *p, const pha_inspect_options *o,
                        int threads, size_t micro)
{
    pha__str_printf(out, "Memory of %s, batch %d, context %d, %s%s%s, %d thread%s; planned, nothing is allocated\n",
                    o->inference ? "a session" : "a training step", o->batch, o->context,
                    o->precision == PHA_BF16 ? "bf16" : "fp32", o->recompute ? ", layers recomputed" : "",
                    o->no_fuse ? ", not fused" : "", threads, threads == 1 ? "" : "s");
    if (o->inference)
        pha__str_printf(out, "Two programs: a prompt is read in runs of %d tokens, text is made one token at a time.\n",
                        p->options.T);
    pha__str_puts(out, "\n");
    for (int k = 0; k < PHA__MEM_KINDS; k++) {
        if (k == PHA__MEM_PLANNED) pha__str_puts(out, "\n  In one block (each at its highest; the times differ):\n");
        if (m->kind[k] || k == PHA__MEM_WEIGHTS || k >= PHA__MEM_PLANNED)
            pha__str_printf(out, "  %-28s %12.2f MB\n", pha__memory_names[k], (double)m->kind[k] / 1e6);
    }
    double saved = (double)(m->naive - m->block);
    pha__str_printf(out, "\n  %-28s %12.2f MB\n", "block, planned", (double)m->block / 1e6);
    pha__str_printf(out, "  %-28s %12.2f MB\n", "every buffer apart (naive)", (double)m->naive / 1e6);
    pha__str_printf(out, "  %-28s %12.2f MB   %.1f %%\n", "saved by the plan", saved / 1e6,
                    m->naive ? 100 * saved / (double)m->naive : 0.0);
    pha__str_printf(out, "\n  %-28s %12.2f MB\n", "all together", (double)m->total / 1e6);
    if (micro) pha__str_printf(out, "  %-28s %12.2f MB more\n", "in several microbatches", (double)micro / 1e6);
}

/* The second program of a session has a block of its own; weights and state are the same. */
static void add_memory(pha__memory *m, const pha__memory *other)
{
    for (int k = PHA__MEM_PLANNED; k < PHA__MEM_KINDS; k++) m->kind[k] += other->kind[k];
    m->block += other->block, m->naive += other->naive, m->total += other->block;
}

/* What a training step that is made of several runs needs besides: sums that wait for the last of them. */
static pha_status in_microbatches(size_t *out, const pha__subject *s, const pha__memory *m, pha__device *device,
                                  const pha_inspect_options *o)
{
    pha__program *p;
    pha__memory more;
    *out = 0;
    if (o->inference || !device->backend->by_sequence) return PHA_OK;
    TRY(record(&p, s, o, false, true));
    pha_status status = pha__memory_of(&more, p, device);
    pha__program_close(p);
    if (!status) *out = more.total - m->total;
    return status;
}

/* step: NULL, or the second program of a session. */
static pha_status show_memory(pha__str *out, const pha__subject *s, pha__program *p, pha__program *step,
                              const pha_inspect_options *o)
{
    pha__device *device; /* only to ask what it would need */
    TRY(pha__device_open(&device, NULL, 0));
    int threads = pha__device_units(device);
    pha__memory m, more;
    size_t micro = 0;
    pha_status status = pha__memory_of(&m, p, device);
    if (!status) status = in_microbatches(&micro, s, &m, device, o);
    if (step && !status) {
        status = pha__memory_of(&more, step, device);
        if (!status) add_memory(&m, &more);
    }
    pha__device_close(device);
    TRY(status);
    if (!o->json) return memory_text(out, &m, p, o, threads, micro), PHA_OK;
    json_t *j = pha__memory_json(&m);
    if (!o->inference) pha__json_set(&j, "microbatches", pha__json_number((int64_t)micro));
    pha__json_set(&j, "context", pha__json_number(o->context));
    pha__json_set(&j, "batch", pha__json_number(o->batch));
    pha__json_set(&j, "threads", pha__json_number(threads));
    pha__json_set(&j, "program", pha__json_text(o->inference ? "session" : "training"));
    return pha__add_json(out, j);
}

static pha_status show_steps(pha__str *out, const pha__program *p, const pha__program *step,
                             const pha_inspect_options *o)
{
    if (o->json) {
        json_t *j = program_json(p);
        if (step) pha__json_set(&j, "step_program", program_json(step));
        return pha__add_json(out, j);
    }
    if (step) pha__str_printf(out, "Reading a prompt, %d tokens a run\n", p->options.T);
    pha__print_program(p, out);
    if (step) pha__str_puts(out, "\nOne token at a time\n");
    if (step) pha__print_program(step, out);
    return PHA_OK;
}

static pha_status show_program(pha__str *out, const pha__subject *s, const pha_inspect_options *o)
{
    pha__program *p, *step = NULL;
    TRY(record(&p, s, o, false, false));
    pha_status status = o->inference ? record(&step, s, o, true, false) : PHA_OK;
    if (!status)
        status = o->what == PHA_INSPECT_MEMORY ? show_memory(out, s, p, step, o) : show_steps(out, p, step, o);
    pha__program_close(p);
    pha__program_close(step);
    return status;
}

pha_status pha_inspect(const pha_inspect_options *options, char **text)
{
    NEED(text, "a place for the text");
    *text = NULL;
    NEED(options, "options");
    NEED(options->model, "a model");
    pha_inspect_options o = *options;
    o.context = o.context ? o.context : 1024, o.batch = o.batch ? o.batch : 1;
    if (o.context < 1 || o.batch < 1) FAIL(USAGE, "context %d and batch %d must be positive", o.context, o.batch);
    if ((int64_t)o.context * o.batch > INT32_MAX)
        FAIL(USAGE, "context %d times batch %d is too much for one program", o.context, o.batch);
    pha__subject s;
    TRY(pha__subject_open(&s, o.model));
    int64_t longest = pha__longest_text(s.names);
    o.context = o.context < longest ? o.context : (int)longest; /* all that the model knows */
    pha__str out = {0};
    pha_status status = o.what == PHA_INSPECT_MIXING    ? pha__inspect_mixing(&out, &s, &o)
                        : o.what == PHA_INSPECT_SUMMARY ? pha__inspect_summary(&out, &s, &o)
                                                        : show_program(&out, &s, &o);
    pha__subject_close(&s);
    if (!status && out.failed) status = pha__fail(PHA_NO_MEMORY, "no memory for a report");
    if (status) pha__str_free(&out);
    else *text = out.data;
    return status;
}
