/* probe.c -- looking into a model in training: what its pieces show (program/watch.h), and norms of gradients
 * (numerics.md 6)
 *
 * What depends on activations is read from a forward pass over the first tokens of the data, in a small program that
 * keeps what is shown.
 */
#include <math.h>

#include "base/json.h"
#include "program/watch.h"
#include "runtime/train/trainer.h"

static pha_status open_probe(pha_trainer *t)
{
    if (t->probe) return PHA_OK;
    pha__program_options options = {.B = 1, .T = t->o.context < 256 ? t->o.context : 256, .keep_watched = true};
    TRY(pha__record(&t->probe_program, &t->weights.config, &options, PHA__HEAD_NONE));
    return pha__exec_open(&t->probe, t->probe_program, t->store, t->device);
}

static pha_status run_probe(pha_trainer *t, int T)
{
    int32_t *ids = pha__alloc((size_t)T, sizeof *ids);
    if (!ids) return PHA_NO_MEMORY;
    pha_status status = pha__tokens_read(t->data, 0, (size_t)T, ids);
    pha__run run = {.tokens = ids};
    if (!status) status = pha__exec_run(t->probe, 1, T, &run, NULL, false);
    pha__free(ids);
    return status;
}

/* The numbers of a watch in the object of its layer: alone, in a list, or by name. */
static void add_numbers(json_t **layer, const pha__watching *w, const double *x)
{
    const char *name = w->row->name;
    if (w->row->form == PHA__WATCH_NUMBER) {
        pha__json_set(layer, name, pha__json_decimal(x[0]));
        return;
    }
    json_t *all = json_incref(json_object_get(*layer, name)); /* of an earlier watch of this name */
    if (!all) all = w->labels ? pha__json_object() : pha__json_list();
    for (int i = 0; i < w->n; i++)
        if (w->labels) pha__json_set(&all, w->labels[i], pha__json_decimal(x[i]));
        else pha__json_add(&all, pha__json_decimal(x[i]));
    pha__json_set(layer, name, all);
}

static pha_status add_watch(const pha_trainer *t, json_t **layer, const pha__watching *w)
{
    double *x = pha__alloc((size_t)w->n, sizeof *x);
    if (!x) return PHA_NO_MEMORY;
    pha_status status = pha__watch_read(w, t->probe, t->store, t->probe_program->options.T, x);
    if (!status) add_numbers(layer, w, x);
    pha__free(x);
    return status;
}

static json_t *gradient_norms(const pha_trainer *t)
{
    json_t *norms = pha__json_object();
    for (int i = 0; i < t->program->n_params; i++) {
        double norm = t->optimizer.norms[i];
        if (!pha__learned(t->program->params[i])) continue;
        pha__json_set(&norms, t->program->params[i]->path, pha__json_decimal(norm));
    }
    return norms;
}

/* What each layer shows. */
static pha_status layers_json(pha_trainer *t, json_t **out)
{
    const pha__program *p = t->probe_program;
    pha_status status = PHA_OK;
    *out = pha__json_list();
    for (int layer = 0; layer < t->config.n_layer && !status; layer++) {
        json_t *one = pha__json_object();
        for (int i = 0; i < p->n_watches && !status; i++)
            if (p->watches[i].layer == layer) status = add_watch(t, &one, &p->watches[i]);
        pha__json_add(out, one);
    }
    return status;
}

pha_status pha__probe(pha_trainer *t, json_t **out)
{
    TRY(open_probe(t));
    TRY(run_probe(t, t->probe_program->options.T));
    json_t *line = pha__json_object(), *layers;
    pha_status status = layers_json(t, &layers);
    pha__json_set(&line, "event", pha__json_text("detail"));
    pha__json_set(&line, "step", pha__json_number(t->step));
    pha__json_set(&line, "layers", layers);
    pha__json_set(&line, "gradient_norms", gradient_norms(t));
    if (status) json_decref(line);
    else *out = line;
    return status;
}
