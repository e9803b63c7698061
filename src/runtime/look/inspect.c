/* inspect.c -- pha_inspect: opening what is to be shown, and the views of the program and of its memory */
#include "runtime/look/inspect.h"

#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "runtime/look/cost.h"

#define CHUNK 256 /* tokens per run while a session reads a prompt */

/* ---- the subject -------------------------------------------------------------------------------------- */

static pha_status open_config(pha__subject *s, const char *path)
{
    pha__config_rules r = pha__rules();
    TRY(pha__config_load(&s->config, path, &r));
    if (s->config.vocab_size < 2)
        FAIL(BAD_INPUT, "%s: vocab_size is missing; sizes depend on it, so write one into the configuration", path);
    pha__program_options options = {.B = 1, .T = 1};
    return pha__record(&s->names, &s->config, &options, PHA__HEAD_NONE);
}

static pha_status open_folder(pha__subject *s, const char *path)
{
    char *weights = pha__path_join(path, "model.safetensors"), *config = pha__path_join(path, "config.json");
    pha_status status = weights && config ? PHA_OK : PHA_NO_MEMORY;
    if (!status && !pha__exists(weights) && pha__exists(config)) status = open_config(s, config);
    else if (!status && !(status = pha_model_open(&s->model, path))) {
        s->config = s->model->config;
        s->names = s->model->names;
    }
    pha__free(weights);
    pha__free(config);
    return status;
}

/* A run has a configuration of its own, but who asks for a run wants to see its model. */
static pha_status find_model(pha__subject *s, const char *path)
{
    char *run = pha__path_join(path, "run.json"), *weights = pha__path_join(path, "model.safetensors");
    pha_status status = run && weights ? PHA_OK : PHA_NO_MEMORY;
    bool is_run = !status && pha__exists(run) && !pha__exists(weights);
    pha__free(run);
    pha__free(weights);
    TRY(status);
    if (!is_run) return PHA_OK;
    if (!(s->inner = pha__path_join(path, "model"))) return PHA_NO_MEMORY;
    if (!pha__is_dir(s->inner))
        FAIL(BAD_INPUT,
             "%s: is a run without a model yet; inspect one of the snapshots in %s/best, or its configuration "
             "%s/config.json",
             path, path, path);
    s->path = s->inner;
    pha__log(PHA__LOG_NOTE, "%s: is a run; this is its model, %s", path, s->inner);
    return PHA_OK;
}

pha_status pha__subject_open(pha__subject *s, const char *path)
{
    *s = (pha__subject){.path = path};
    if (!path) FAIL(USAGE, "no model and no configuration was given");
    bool folder = pha__is_dir(path);
    pha_status status = folder ? find_model(s, path) : PHA_OK;
    if (!status) status = folder ? open_folder(s, s->path) : open_config(s, path);
    pha__config_rules r = pha__rules();
    if (!status && !(s->as_json = pha__config_to_json(&s->config, &r))) status = PHA_NO_MEMORY;
    if (status) pha__subject_close(s);
    return status;
}

void pha__subject_close(pha__subject *s)
{
    if (s->model) pha_model_close(s->model);
    else pha__program_close(s->names);
    json_decref(s->as_json);
    pha__free(s->inner);
    *s = (pha__subject){0};
}

/* ---- the program and its memory ----------------------------------------------------------------------- */

/* A session has two programs: one reads a prompt in runs of many tokens, one makes logits from single tokens. */
static pha_status record(pha__program **p, const pha__subject *s, const pha_inspect_options *o, bool step)
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
    };
    return pha__record(p, &s->config, &options,
                       !o->inference ? PHA__HEAD_LOSS
                       : step        ? PHA__HEAD_LOGITS
                                     : PHA__HEAD_NONE);
}

static json_t *program_json(const pha__program *p)
{
    json_t *steps = json_array();
    for (int i = 0; i < p->n_steps; i++) {
        const pha__plan_step *s = &p->steps[i];
        const pha__op *op = s->node->op;
        pha__shape shape;
        pha__shape_of(p, s->node, &shape);
        double values, weights, flops = op->flops ? op->flops(&shape, s->pass, 0) : 0;
        pha__step_traffic(p, s, &values, &weights);
        json_t *inputs = json_array();
        for (int k = 0; k < s->node->n_in; k++)
            if (s->node->in[k]) json_array_append_new(inputs, json_string(s->node->in[k]->path));
        json_array_append_new(steps, json_pack("{s:s,s:s,s:s,s:o,s:i,s:f,s:f,s:s,s:i}", "pass",
                                               s->repeat                 ? "repeat"
                                               : s->pass == PHA__FORWARD ? "forward"
                                                                         : "backward",
                                               "path", s->node->path, "op", op->name, "inputs", inputs, "width",
                                               (int)s->node->width, "flops", flops, "bytes", values + weights, "file",
                                               s->node->file, "line", s->node->line));
    }
    return json_pack("{s:i,s:i,s:o}", "batch", p->options.B, "context", p->options.T, "steps", steps);
}

static void memory_text(pha__str *out, const pha__memory *m, const pha__program *p, const pha_inspect_options *o,
                        int threads)
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
}

/* The second program of a session has a block of its own; weights and state are the same. */
static void add_memory(pha__memory *m, const pha__memory *other)
{
    for (int k = PHA__MEM_PLANNED; k < PHA__MEM_KINDS; k++) m->kind[k] += other->kind[k];
    m->block += other->block, m->naive += other->naive, m->total += other->block;
}

/* step: NULL, or the second program of a session. */
static pha_status show_memory(pha__str *out, pha__program *p, pha__program *step, const pha_inspect_options *o)
{
    pha__device *device; /* only to ask what it would need */
    TRY(pha__device_open(&device, NULL, 0));
    int threads = pha__device_units(device);
    pha__memory m, more;
    pha_status status = pha__memory_of(&m, p, device);
    if (step && !status) {
        status = pha__memory_of(&more, step, device);
        if (!status) add_memory(&m, &more);
    }
    pha__device_close(device);
    TRY(status);
    if (!o->json) return memory_text(out, &m, p, o, threads), PHA_OK;
    json_t *j = pha__memory_json(&m);
    json_object_set_new(j, "context", json_integer(o->context));
    json_object_set_new(j, "batch", json_integer(o->batch));
    json_object_set_new(j, "threads", json_integer(threads));
    json_object_set_new(j, "program", json_string(o->inference ? "session" : "training"));
    return pha__add_json(out, j);
}

static pha_status show_steps(pha__str *out, const pha__program *p, const pha__program *step,
                             const pha_inspect_options *o)
{
    if (o->json) {
        json_t *j = program_json(p);
        if (step) json_object_set_new(j, "step_program", program_json(step));
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
    TRY(record(&p, s, o, false));
    pha_status status = o->inference ? record(&step, s, o, true) : PHA_OK;
    if (!status) status = o->what == PHA_INSPECT_MEMORY ? show_memory(out, p, step, o) : show_steps(out, p, step, o);
    pha__program_close(p);
    pha__program_close(step);
    return status;
}

/* ---- text --------------------------------------------------------------------------------------------- */

static int add_piece(const char *text, size_t size, void *out)
{
    pha__str_add(out, text, size);
    return ((pha__str *)out)->failed;
}

pha_status pha__add_json(pha__str *out, json_t *value)
{
    int bad = !value || json_dump_callback(value, add_piece, out, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
    json_decref(value);
    if (bad) FAIL(NO_MEMORY, "no memory for a report");
    pha__str_puts(out, "\n");
    return PHA_OK;
}

const char *pha__digits(uint64_t n)
{
    static _Thread_local char buffers[4][32];
    static _Thread_local unsigned turn;
    char *at = buffers[turn++ % 4] + 31;
    *at = 0;
    for (int i = 0; i == 0 || n; i++, n /= 10) {
        if (i && i % 3 == 0) *--at = ',';
        *--at = (char)('0' + n % 10);
    }
    return at;
}

pha_status pha_inspect(const pha_inspect_options *options, char **text)
{
    *text = NULL;
    pha_inspect_options o = *options;
    o.context = o.context ? o.context : 1024, o.batch = o.batch ? o.batch : 1;
    if (o.context < 1 || o.batch < 1) FAIL(USAGE, "context %d and batch %d must be positive", o.context, o.batch);
    if ((int64_t)o.context * o.batch > INT32_MAX)
        FAIL(USAGE, "context %d times batch %d is too much for one program", o.context, o.batch);
    pha__subject s;
    TRY(pha__subject_open(&s, o.model));
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
