/* inspect_summary.c -- what a model is made of: configuration, parameters by component, operations and bytes per token,
 * memory of training, size of the state against the context (algorithms.md 9 to 11) */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "nn/shown.h"
#include "runtime/look/cost.h"
#include "runtime/look/inspect.h"

enum { N_CONTEXTS = 5 };
static const int32_t usual[N_CONTEXTS] = {1024, 2048, 4096, 8192, 16384};

/* Parameters that count under one part: those of the house, in its order, then others, then what has none. */
#define MAX_PARTS 32
typedef struct component {
    const char *name;
    uint64_t parameters;
    bool outside; /* some are outside of the layers */
} component;

typedef struct summary {
    component parts[MAX_PARTS];
    int n_parts, layers;
    uint64_t total;
    int32_t contexts[N_CONTEXTS];      /* those that the model knows, n of them */
    int n_contexts;
    pha__cost forward[N_CONTEXTS], training[N_CONTEXTS];
    double values[2], pass_weights;    /* bytes per token, forward and training; bytes of weights read in one pass */
    pha__state_size state[N_CONTEXTS];
    size_t weights, gradients, moments;
    int64_t file_size;                 /* -1: only a configuration */
} summary;

/* ---- gathering ---------------------------------------------------------------------------------------- */

static component *part_named(summary *m, const char *name)
{
    for (int k = 0; k < m->n_parts; k++)
        if (!strcmp(m->parts[k].name, name)) return &m->parts[k];
    if (m->n_parts == MAX_PARTS) return &m->parts[MAX_PARTS - 1];
    m->parts[m->n_parts] = (component){.name = name};
    return &m->parts[m->n_parts++];
}

static void count_parameters(summary *m, const pha__program *names)
{
    for (int k = 0; k < PHA__PARTS; k++) part_named(m, pha__parts[k].name);
    for (int i = 0; i < names->n_params; i++)
        if (names->params[i]->part) part_named(m, names->params[i]->part->name);
    component *other = part_named(m, "other");
    for (int i = 0; i < names->n_params; i++) {
        const pha__node *v = names->params[i];
        if (v->kind == PHA__CONSTANT) continue;
        component *c = v->part ? part_named(m, v->part->name) : other;
        c->parameters += (uint64_t)v->rows * (uint64_t)v->width;
        c->outside |= v->layer < 0 || v->layer >= m->layers;
    }
    for (int k = 0; k < m->n_parts; k++) m->total += m->parts[k].parameters;
}

static pha_status count_traffic(summary *m, const pha__config *c, int context)
{
    for (int gradients = 0; gradients < 2; gradients++) {
        pha__program *p;
        pha__program_options options = {.B = 1, .T = context, .gradients = gradients};
        TRY(pha__record(&p, c, &options, PHA__HEAD_LOSS));
        for (int i = 0; i < p->n_steps; i++) {
            double values, weights;
            pha__step_traffic(p, &p->steps[i], &values, &weights);
            m->values[gradients] += values / context;
            if (!gradients) m->pass_weights += weights;
        }
        pha__program_close(p);
    }
    return PHA_OK;
}

/* Of a model that knows fewer tokens than all of them: as many as it knows. */
static void choose_contexts(summary *m, int64_t longest)
{
    while (m->n_contexts < N_CONTEXTS && usual[m->n_contexts] <= longest)
        m->contexts[m->n_contexts] = usual[m->n_contexts], m->n_contexts++;
    if (!m->n_contexts) m->contexts[m->n_contexts++] = (int32_t)longest;
}

static pha_status count_state(summary *m, const pha__config *c)
{
    for (int i = 0; i < m->n_contexts; i++) {
        pha__program *p;
        pha__program_options options = {.B = 1, .T = 1, .max_context = m->contexts[i]};
        TRY(pha__record(&p, c, &options, PHA__HEAD_LOGITS));
        m->state[i] = pha__state_size_of(p);
        pha__program_close(p);
    }
    return PHA_OK;
}

static pha_status gather(summary *m, const pha__subject *s, int context)
{
    *m = (summary){.file_size = -1, .layers = s->config.n_layer};
    choose_contexts(m, pha__longest_text(s->names));
    count_parameters(m, s->names);
    for (int i = 0; i < m->n_contexts; i++)
        TRY(pha__cost_per_token(&s->config, m->contexts[i], &m->forward[i], &m->training[i]));
    TRY(count_traffic(m, &s->config, context));
    TRY(count_state(m, &s->config));
    m->weights = (size_t)s->names->weights * sizeof(float);
    m->gradients = (size_t)s->names->trainable * sizeof(float);
    m->moments = 2 * m->gradients;
    if (s->model) m->file_size = (int64_t)pha__safetensors_bytes(s->model->file);
    return PHA_OK;
}

/* Bytes that one generated token moves at batch 1: all weights, the cache, the recurrent state in and out. */
static double decode_bytes(const summary *m, int i)
{
    return (double)m->weights + (double)m->state[i].cache + 2.0 * (double)m->state[i].recurrent;
}

/* ---- text --------------------------------------------------------------------------------------------- */

static void text_tokenizer(pha__str *out, const pha__tokenizer *t)
{
    size_t size;
    const unsigned char *end = pha__tokenizer_bytes(t, pha__tokenizer_eot(t), &size);
    pha__str_printf(out, "  %-14s %d tokens, hash %016" PRIx64 ", ", "tokenizer", pha__tokenizer_size(t),
                    pha__tokenizer_hash(t));
    if (end) pha__str_printf(out, "documents end with %.*s (id %d, by %s)\n", (int)size, (const char *)end,
                             pha__tokenizer_eot(t), pha__tokenizer_end_from(t));
    else pha__str_puts(out, "no end token\n");
}

static void text_config(pha__str *out, const pha__subject *s, const summary *m)
{
    const pha__model_row *row = pha__model_find(s->config.arch);
    pha__str_printf(out, "%s: arch %s, %s parameters%s\n", s->path, s->config.arch, pha__digits(m->total).text,
                    s->model ? "" : " (a configuration, no weights)");
    if (row && row->equation) pha__str_printf(out, "  %s\n", row->equation);
    pha__str_puts(out, "\nConfiguration\n");
    const char *key;
    json_t *value;
    json_object_foreach(s->as_json, key, value) {
        pha__str_printf(out, "  %-14s ", key);
        pha__json_print(out, value, JSON_REAL_PRECISION(8));
        pha__str_puts(out, "\n");
    }
    if (!s->model) return;
    pha__str_printf(out, "  %-14s %.2f MB\n", "file", (double)m->file_size / 1e6);
    if (s->model->tokenizer)
        text_tokenizer(out, s->model->tokenizer);
    else pha__str_printf(out, "  %-14s none\n", "tokenizer");
}

static void text_parameters(pha__str *out, const summary *m)
{
    pha__str_printf(out, "\n%-12s %15s %8s %15s\n", "Parameters", "all", "share", "per layer");
    for (int k = 0; k < m->n_parts; k++) {
        const component *c = &m->parts[k];
        if (!c->parameters) continue;
        pha__str_printf(out, "  %-10s %15s %6.1f %%", c->name, pha__digits(c->parameters).text,
                        100.0 * (double)c->parameters / (double)m->total);
        if (c->outside) pha__str_puts(out, "\n");
        else pha__str_printf(out, " %15s\n", pha__digits(c->parameters / (uint64_t)m->layers).text);
    }
    pha__str_printf(out, "  %-10s %15s\n", "total", pha__digits(m->total).text);
}

static void text_operations(pha__str *out, const summary *m)
{
    pha__str_printf(
        out,
        "\nMFLOP per token (2 per multiply-add; useful work: causal pairs only, backward attention 2.5 times)\n"
        "  %7s %10s %10s %10s %10s %10s   %s\n",
        "context", "products", "head", "attention", "forward", "training", "elementwise besides (forward, training)");
    for (int i = 0; i < m->n_contexts; i++)
        pha__str_printf(out, "  %7d %10.1f %10.1f %10.1f %10.1f %10.1f   %.2f, %.2f\n", m->contexts[i],
                        m->forward[i].linear / 1e6, m->forward[i].head / 1e6, m->forward[i].attention / 1e6,
                        pha__cost_total(&m->forward[i]) / 1e6, pha__cost_total(&m->training[i]) / 1e6,
                        m->forward[i].other / 1e6, m->training[i].other / 1e6);
}

static void text_bytes(pha__str *out, const summary *m, int context)
{
    pha__str_printf(out,
                    "\nBytes per token (fp32, context %d): values read and written by all steps\n"
                    "  forward %.0f KB, training %.0f KB; weights read once per pass: %.1f MB\n",
                    context, m->values[0] / 1e3, m->values[1] / 1e3, m->pass_weights / 1e6);
    pha__str_printf(out,
                    "\nMemory (fp32): weights %.1f MB, gradients %.1f MB, moments %.1f MB: %.1f MB in training, before "
                    "activations (--memory)\n",
                    (double)m->weights / 1e6, (double)m->gradients / 1e6, (double)m->moments / 1e6,
                    (double)(m->weights + m->gradients + m->moments) / 1e6);
}

static void text_state(pha__str *out, const summary *m)
{
    pha__str_printf(
        out, "\nState of one session, fp32 (a cache in bf16 would be half as large)\n  %7s %14s %14s %14s %14s  %s\n",
        "context", "cache", "recurrent", "other", "total bytes", "bytes moved per generated token");
    for (int i = 0; i < m->n_contexts; i++)
        pha__str_printf(out, "  %7d %14s %14s %14s %14s  %.1f MB\n", m->contexts[i],
                        pha__digits(m->state[i].cache).text,
                        pha__digits(m->state[i].recurrent).text, pha__digits(m->state[i].other).text,
                        pha__digits(m->state[i].total).text, decode_bytes(m, i) / 1e6);
}

/* ---- JSON --------------------------------------------------------------------------------------------- */

static json_t *cost_json(const pha__cost *c)
{
    json_t *o = pha__json_object();
    pha__json_set(&o, "products", pha__json_decimal(c->linear));
    pha__json_set(&o, "head", pha__json_decimal(c->head));
    pha__json_set(&o, "attention", pha__json_decimal(c->attention));
    pha__json_set(&o, "total", pha__json_decimal(pha__cost_total(c)));
    pha__json_set(&o, "elementwise", pha__json_decimal(c->other));
    return o;
}

static json_t *state_json(const pha__state_size *s)
{
    json_t *o = pha__json_object();
    pha__json_set(&o, "cache", pha__json_number((int64_t)s->cache));
    pha__json_set(&o, "recurrent", pha__json_number((int64_t)s->recurrent));
    pha__json_set(&o, "other", pha__json_number((int64_t)s->other));
    pha__json_set(&o, "total", pha__json_number((int64_t)s->total));
    return o;
}

static json_t *contexts_json(const summary *m)
{
    json_t *list = pha__json_list();
    for (int i = 0; i < m->n_contexts; i++) {
        json_t *o = pha__json_object();
        pha__json_set(&o, "context", pha__json_number(m->contexts[i]));
        pha__json_set(&o, "forward_flops_per_token", cost_json(&m->forward[i]));
        pha__json_set(&o, "training_flops_per_token", cost_json(&m->training[i]));
        pha__json_set(&o, "state_bytes", state_json(&m->state[i]));
        pha__json_set(&o, "decode_bytes_per_token", pha__json_decimal(decode_bytes(m, i)));
        pha__json_add(&list, o);
    }
    return list;
}

static json_t *parameters_json(const summary *m)
{
    json_t *o = pha__json_object();
    for (int k = 0; k < m->n_parts; k++)
        pha__json_set(&o, m->parts[k].name, pha__json_number((int64_t)m->parts[k].parameters));
    pha__json_set(&o, "total", pha__json_number((int64_t)m->total));
    return o;
}

static json_t *bytes_json(const summary *m, int context)
{
    json_t *o = pha__json_object();
    pha__json_set(&o, "context", pha__json_number(context));
    pha__json_set(&o, "forward_values", pha__json_decimal(m->values[0]));
    pha__json_set(&o, "training_values", pha__json_decimal(m->values[1]));
    pha__json_set(&o, "weights_per_pass", pha__json_decimal(m->pass_weights));
    return o;
}

static json_t *memory_json(const summary *m)
{
    json_t *o = pha__json_object();
    pha__json_set(&o, "weights", pha__json_number((int64_t)m->weights));
    pha__json_set(&o, "gradients", pha__json_number((int64_t)m->gradients));
    pha__json_set(&o, "moments", pha__json_number((int64_t)m->moments));
    return o;
}

static json_t *as_json(const pha__subject *s, const summary *m, int context)
{
    json_t *o = pha__json_object();
    pha__json_set(&o, "model", pha__json_text(s->path));
    pha__json_set(&o, "config", json_incref(s->as_json));
    pha__json_set(&o, "parameters", parameters_json(m));
    pha__json_set(&o, "contexts", contexts_json(m));
    pha__json_set(&o, "bytes_per_token", bytes_json(m, context));
    pha__json_set(&o, "memory_bytes", memory_json(m));
    if (!s->model) return o;
    pha__json_set(&o, "file_bytes", pha__json_number(m->file_size));
    if (s->model->tokenizer) {
        pha__json_set(&o, "tokenizer_hash", pha__json_hex(pha__tokenizer_hash(s->model->tokenizer)));
        pha__json_set(&o, "end_id", pha__json_number(pha__tokenizer_eot(s->model->tokenizer)));
    }
    return o;
}

pha_status pha__inspect_summary(pha__str *out, const pha__subject *s, const pha_inspect_options *o)
{
    summary m;
    TRY(gather(&m, s, o->context));
    if (o->json) return pha__add_json(out, as_json(s, &m, o->context));
    text_config(out, s, &m);
    text_parameters(out, &m);
    text_operations(out, &m);
    text_bytes(out, &m, o->context);
    text_state(out, &m);
    return PHA_OK;
}
