/* probe.c -- looking into a model in training: what its pieces show (program/watch.h), and norms of gradients
 * (numerics.md 6)
 *
 * What depends on activations is read from a forward pass over the first tokens of the data, in a small program that
 * keeps what is shown.
 */
#include <math.h>

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
static void add_numbers(json_t *layer, const pha__watching *w, const double *x)
{
    const char *name = w->row->name;
    json_t *all = json_object_get(layer, name);
    if (w->row->form == PHA__WATCH_NUMBER) {
        json_object_set_new(layer, name, json_real(x[0]));
        return;
    }
    if (!all) json_object_set_new(layer, name, all = w->labels ? json_object() : json_array());
    for (int i = 0; i < w->n; i++)
        if (w->labels) json_object_set_new(all, w->labels[i], json_real(x[i]));
        else json_array_append_new(all, json_real(x[i]));
}

static pha_status add_watch(const pha_trainer *t, json_t *layers, const pha__watching *w)
{
    double *x = pha__alloc((size_t)w->n, sizeof *x);
    if (!x) return PHA_NO_MEMORY;
    pha_status status = pha__watch_read(w, t->probe, t->store, t->probe_program->options.T, x);
    if (!status) add_numbers(json_array_get(layers, (size_t)w->layer), w, x);
    pha__free(x);
    return status;
}

static json_t *gradient_norms(const pha_trainer *t)
{
    json_t *norms = json_object();
    for (int i = 0; i < t->program->n_params; i++) {
        double norm = t->optimizer.norms[i];
        if (!pha__learned(t->program->params[i])) continue;
        json_object_set_new(norms, t->program->params[i]->path, isfinite(norm) ? json_real(norm) : json_null());
    }
    return norms;
}

pha_status pha__probe(pha_trainer *t, json_t **out)
{
    TRY(open_probe(t));
    TRY(run_probe(t, t->probe_program->options.T));
    json_t *line = json_object(), *layers = json_array();
    json_object_set_new(line, "event", json_string("detail"));
    json_object_set_new(line, "step", json_integer(t->step));
    json_object_set_new(line, "layers", layers);
    for (int layer = 0; layer < t->config.n_layer; layer++) json_array_append_new(layers, json_object());
    pha_status status = PHA_OK;
    for (int i = 0; i < t->probe_program->n_watches && !status; i++)
        status = add_watch(t, layers, &t->probe_program->watches[i]);
    json_object_set_new(line, "gradient_norms", gradient_norms(t));
    if (status) json_decref(line);
    else *out = line;
    return status;
}
