/* build.c -- recording: names, parameters, results of ops, and their shapes */
#include <stdarg.h>
#include <string.h>

#include "base/env.h"
#include "base/print.h"
#include "base/rng.h"
#include "program/program.h"
#include "program/watch.h"

/* What the environment asks for besides the options. A program that keeps every value has every value. */
static pha_status resolve(pha__program_options *o)
{
    o->keep_all |= pha__env_flag("PHA_KEEP_ALL", false);
    if (o->keep_all) o->unfused |= PHA__FUSE_ALL & ~PHA__FUSE_PROJECTIONS;
    return pha__unfused_by_environment(&o->unfused);
}

pha_status pha__program_open(pha__program **out, const pha__program_options *options)
{
    *out = NULL;
    if (options->B < 1 || options->T < 1) FAIL(USAGE, "a program needs a batch and a length of at least 1");
    if ((int64_t)options->B * options->T > INT32_MAX)
        FAIL(USAGE, "batch %d times length %d is too much for one run; the most is %d tokens", options->B, options->T,
             INT32_MAX);
    pha__program_options resolved = *options;
    TRY(resolve(&resolved));
    pha__program *p = pha__alloc_zero(1, sizeof *p);
    if (!p) return PHA_NO_MEMORY;
    p->options = resolved;
    p->poison = pha__arena_alloc(&p->arena, 1, sizeof *p->poison);
    if (!p->poison) {
        pha__program_close(p);
        return pha__fail(PHA_NO_MEMORY, "no memory for a program");
    }
    p->poison->path = "poison";
    p->poison->width = 1;
    *out = p;
    return PHA_OK;
}

void pha__program_close(pha__program *p)
{
    if (!p) return;
    pha__arena_free(&p->arena);
    pha__free(p->nodes);
    pha__free(p->params);
    pha__free(p->names);
    pha__free(p->watches);
    pha__free(p->steps);
    pha__free(p->buffers);
    pha__free(p);
}

/* Keeps the first failure. */
static void reject(pha__program *p, pha_status status, const char *text)
{
    if (p->status) return;
    p->status = status;
    pha__print(p->message, sizeof p->message, "%s", text);
}

void pha__reject(Params p, const char *format, ...)
{
    char text[512];
    va_list list;
    va_start(list, format);
    pha__vprint(text, sizeof text, format, list);
    va_end(list);
    reject(p.program, PHA_BAD_INPUT, text);
}

Params pha__root(pha__program *p) { return (Params){p, "", -1, NULL}; }

static const char *join(Params p, const char *name)
{
    const char *path = p.path[0] ? pha__arena_printf(&p.program->arena, "%s.%s", p.path, name)
                                 : pha__arena_strdup(&p.program->arena, name);
    if (!path) reject(p.program, PHA_NO_MEMORY, "no memory for a program");
    return path ? path : "";
}

Params pha__sub(Params p, const char *name) { return (Params){p.program, join(p, name), p.layer, p.part}; }

Params pha__at_layer(Params p, int layer)
{
    char name[24];
    pha__print(name, sizeof name, "layer%d", layer);
    return (Params){p.program, join(p, name), layer, p.part};
}

/* Appends to a growing array of nodes. */
static bool push(pha__program *p, Var **list, int *n, int *capacity, Var v)
{
    if (*n == *capacity) {
        int more = *capacity ? 2 * *capacity : 256;
        Var *grown = pha__realloc(*list, (size_t)more, sizeof **list);
        if (!grown) {
            reject(p, PHA_NO_MEMORY, "no memory for a program");
            return false;
        }
        *list = grown, *capacity = more;
    }
    (*list)[(*n)++] = v;
    return true;
}

static Var new_node(Params p, const char *path, const char *file, int line)
{
    Var v = pha__arena_alloc(&p.program->arena, 1, sizeof *v);
    if (!v) {
        reject(p.program, PHA_NO_MEMORY, "no memory for a program");
        return NULL;
    }
    const char *slash = strrchr(file, '/');
    *v = (pha__node){.path = path,
                     .layer = p.layer,
                     .part = p.part,
                     .file = slash ? slash + 1 : file,
                     .line = line,
                     .group = -1,
                     .stack_in = -1,
                     .value = {-1, -1},
                     .saved = {-1, -1},
                     .grad = -1};
    return v;
}

/* Where a path stands, or belongs, in the table of names: open addressing, at most half full. */
static Var *slot_of(Var *names, int n, const char *path)
{
    for (uint64_t k = pha__hash_path(path);; k++) {
        Var *slot = &names[k & (uint64_t)(n - 1)];
        if (!*slot || !strcmp((*slot)->path, path)) return slot;
    }
}

Var pha__find_param(const pha__program *p, const char *path)
{
    return p->names ? *slot_of(p->names, p->n_names, path) : NULL;
}

static bool add_name(pha__program *p, Var v)
{
    if (2 * p->n_params > p->n_names) {
        int n = p->n_names ? 2 * p->n_names : 512;
        Var *names = pha__alloc_zero((size_t)n, sizeof *names);
        if (!names) {
            reject(p, PHA_NO_MEMORY, "no memory for a program");
            return false;
        }
        for (int i = 0; i < p->n_params; i++) *slot_of(names, n, p->params[i]->path) = p->params[i];
        pha__free(p->names);
        p->names = names, p->n_names = n;
    }
    *slot_of(p->names, p->n_names, v->path) = v;
    return true;
}

Var pha__find_value(const pha__program *p, const char *path)
{
    for (int i = 0; i < p->n_nodes; i++)
        if (!strcmp(p->nodes[i]->path, path)) return p->nodes[i];
    return NULL;
}

Var pha__param_at(Params p, const char *name, int32_t rows, int32_t width, pha__param_kind kind, pha__init init,
                  const char *file, int line)
{
    pha__program *g = p.program;
    if (g->status) return g->poison;
    const char *path = join(p, name);
    Var old = pha__find_param(g, path);
    if (old && old->rows == rows && old->width == width) return old;
    if (old || rows < 1 || width < 1) {
        pha__reject(p, "'%s' is asked for as %d x %d%s", path, rows, width,
                    old ? " but exists with another shape" : "");
        return g->poison;
    }
    Var v = new_node(p, path, file, line);
    if (!v) return g->poison;
    v->rows = rows, v->width = width, v->kind = kind, v->init = init;
    v->dtype = kind == PHA__MATRIX ? g->options.dtype : PHA__F32;
    return push(g, &g->params, &g->n_params, &g->params_capacity, v) && add_name(g, v) ? v : g->poison;
}

void pha__shape_of(const pha__program *p, const pha__node *n, pha__shape *s)
{
    *s = (pha__shape){.B = p->options.B, .T = p->options.T, .dtype = p->options.dtype, .n_in = n->n_in,
                      .attr = n->attr, .width = n->width};
    for (int i = 0; i < n->n_in; i++) {
        if (!n->in[i]) continue;
        s->in[i].present = true;
        s->in[i].param = n->in[i]->op == NULL;
        s->in[i].rows = pha__rows_of(n, i);
        s->in[i].width = n->in[i]->width;
    }
}

int32_t pha__rows_of(const pha__node *n, int i) { return i == n->stack_in ? n->stack_rows : n->in[i]->rows; }

uint32_t pha__inputs_of(const pha__node *n)
{
    uint32_t present = 0;
    for (int i = 0; i < n->n_in; i++) present |= n->in[i] ? PHA__IN(i) : 0;
    return present;
}

/* Checks what every op has in common, then asks the op. */
static pha_status infer(const pha__program *p, Var v)
{
    const pha__op *op = v->op;
    if (v->n_in < op->min_in || v->n_in > op->max_in)
        FAIL(BAD_INPUT, "%s takes %d to %d inputs, not %d", op->name, op->min_in, op->max_in, v->n_in);
    pha__shape s;
    pha__shape_of(p, v, &s);
    for (int i = 0; i < v->n_in; i++)
        if (s.in[i].present && s.in[i].param != !!(op->params & PHA__IN(i)))
            FAIL(BAD_INPUT, "input %d of %s must be a %s", i, op->name, s.in[i].param ? "value" : "parameter");
    TRY(op->shape(&s));
    if (s.width < 1) FAIL(BAD_INPUT, "%s gives a value of width %d", op->name, s.width);
    v->width = s.width;
    v->dtype = s.f32 ? PHA__F32 : pha__out_dtype(op, pha__inputs_of(v), p->options.dtype);
    return PHA_OK;
}

Var pha__apply_at(Params p, const char *name, const pha__op *op, const Var *in, int n_in, const void *attr,
                  size_t attr_size, const char *file, int line)
{
    pha__program *g = p.program;
    if (g->status) return g->poison;
    Var v = new_node(p, join(p, name), file, line);
    void *copy = attr_size ? pha__arena_alloc(&g->arena, 1, attr_size) : NULL;
    if (!v || (attr_size && !copy)) return g->poison;
    if (attr_size) memcpy(copy, attr, attr_size);
    v->op = op, v->n_in = n_in, v->attr = copy, v->attr_size = attr_size;
    for (int i = 0; i < n_in && i < PHA__MAX_IN; i++) v->in[i] = in[i];
    pha_status status = infer(g, v);
    if (status) {
        char text[512];
        pha__print(text, sizeof text, "%s (%s:%d): %s", v->path, v->file, v->line, pha_errmsg());
        reject(g, status, text);
        return g->poison;
    }
    return push(g, &g->nodes, &g->n_nodes, &g->nodes_capacity, v) ? v : g->poison;
}

Var pha__shared_at(Params p, const char *name, const pha__op *op, const void *attr, size_t attr_size, const char *file,
                   int line)
{
    for (int i = 0; i < p.program->n_nodes; i++) {
        Var v = p.program->nodes[i];
        if (strcmp(v->path, name)) continue;
        if (v->op == op && v->attr_size == attr_size && (!attr_size || !memcmp(v->attr, attr, attr_size))) return v;
        pha__reject(p, "'%s' (%s:%d) is asked for again with another op or other attributes", name, v->file, v->line);
        return p.program->poison;
    }
    return pha__apply_at(pha__root(p.program), name, op, NULL, 0, attr, attr_size, file, line);
}

static void add_output(Params p, const char *name, Var value, bool loss, double weight)
{
    pha__program *g = p.program;
    if (g->status) return;
    if (g->n_outputs == PHA__MAX_OUTPUT) {
        pha__reject(p, "a program has at most %d outputs", PHA__MAX_OUTPUT);
        return;
    }
    g->outputs[g->n_outputs].name = pha__arena_strdup(&g->arena, name);
    g->outputs[g->n_outputs].loss = loss, g->outputs[g->n_outputs].weight = weight;
    g->outputs[g->n_outputs++].value = value;
}

void pha__output(Params p, const char *name, Var value) { add_output(p, name, value, false, 0); }
void pha__loss(Params p, const char *name, Var value, double weight) { add_output(p, name, value, true, weight); }

static pha_status check_outputs(const pha__program *p)
{
    for (int i = 0; i < p->n_outputs; i++) {
        const pha__node *v = p->outputs[i].value;
        if (!v->op || v->merged)
            FAIL(BAD_INPUT, "%s (%s:%d) can't be the output '%s': it is a %s", v->path, v->file, v->line,
                 p->outputs[i].name, v->op ? "slice of a merged product" : "parameter");
    }
    return PHA_OK;
}

static pha_status run_passes(pha__program *p)
{
    pha__order_watches(p);
    TRY(pha__canonical_order(p));
    TRY(pha__fuse(p));
    TRY(check_outputs(p));
    return pha__derive(p);
}

pha_status pha__program_finish(pha__program *p)
{
    if (!p->status && p->arena.failed) reject(p, PHA_NO_MEMORY, "no memory for a program");
    if (p->status) return pha__fail(p->status, "%s", p->message);
    if (p->finished) FAIL(USAGE, "the program is finished; its passes run once");
    p->finished = true;
    pha_status status = run_passes(p);
    if (status) reject(p, status, pha_errmsg());
    return status;
}
