/* weights.c -- working copies of a model's weights on a device, and the format of each */
#include "base/format.h"
#include "runtime/model.h"

/* The rows of an embedding or a head answer for single tokens, and few products sum up their errors: 4 bits are too
 * few for them. */
static bool is_vocabulary(const pha__config *c, const pha__node *v) { return v->rows == c->vocab_size; }

pha_status pha__weights_check(pha_weights weights)
{
    if ((int)weights < PHA_WEIGHTS_DEFAULT || weights > PHA_WEIGHTS_Q4) FAIL(USAGE, "there are no weights %d", weights);
    return PHA_OK;
}

/* Panels that hold the same numbers. */
static pha__dtype as_panels(pha__dtype from)
{
    return from == PHA__BF16                             ? PHA__BF16_PANEL
           : from == PHA__F16                            ? PHA__F16_PANEL
           : pha__format_of(from)->panel == PHA__PANEL   ? from
                                                         : PHA__F32_PANEL;
}

pha__dtype pha__weights_format(pha_weights weights, const pha__config *config, const pha__node *v, pha__dtype from)
{
    if (v->kind != PHA__MATRIX) return PHA__F32;
    switch (weights) {
    case PHA_WEIGHTS_FP32: return PHA__F32_PANEL;
    case PHA_WEIGHTS_BF16: return PHA__BF16_PANEL;
    case PHA_WEIGHTS_FP16: return PHA__F16_PANEL;
    case PHA_WEIGHTS_Q8: return PHA__Q8_PANEL;
    case PHA_WEIGHTS_Q4: return is_vocabulary(config, v) ? PHA__Q8_PANEL : PHA__Q4_PANEL;
    default: return as_panels(from);
    }
}

/* Activations in bf16 go with weights in bf16, unless other ones are asked for or the files have smaller ones. */
static pha__dtype working_format(const pha__weights *w, const pha__node *v, pha__dtype from, pha_weights weights)
{
    pha__dtype best = w->device->backend->matrices;
    if (best != PHA__F32_PANEL) return w->dtype == PHA__BF16 ? PHA__BF16 : best;
    pha__dtype format = pha__weights_format(weights, &w->config, v, from);
    return w->dtype == PHA__BF16 && weights == PHA_WEIGHTS_DEFAULT && format == PHA__F32_PANEL ? PHA__BF16_PANEL
                                                                                               : format;
}

static pha_status place(pha__weights *w, const pha__store *from, pha_weights weights)
{
    const pha__program *names = from->names;
    pha__dtype best = w->device->backend->matrices;
    if (best != PHA__F32_PANEL && weights > PHA_WEIGHTS_FP32)
        FAIL(NO_DEVICE, "%s: reads weights in fp32 only; other formats are for processors", w->device->backend->name);
    TRY(pha__store_open(&w->store, names, w->device));
    pha__dtype *formats = pha__alloc((size_t)names->n_params + 1, sizeof *formats);
    if (!formats) return PHA_NO_MEMORY;
    for (int i = 0; i < names->n_params; i++)
        formats[i] = working_format(w, names->params[i], pha__store_at(from, PHA__WEIGHT, i).format, weights);
    pha_status status = pha__store_add_each(w->store, PHA__WORKING, PHA__ALL_PARAMS, formats, best);
    pha__free(formats);
    return status ? status : pha__store_convert(w->store, PHA__WORKING, from, PHA__WEIGHT);
}

pha_status pha__weights_place(pha__weights *w, const pha__config *config, const pha__store *from, pha__device *device,
                              pha__dtype dtype, pha_weights weights)
{
    *w = (pha__weights){.config = *config, .dtype = dtype, .device = device};
    pha_status status = place(w, from, weights);
    if (status) pha__weights_close(w);
    return status;
}

bool pha__weights_exact(const pha__weights *w, const pha__store *from)
{
    for (int i = 0; i < from->names->n_params; i++) {
        pha__dtype now = pha__store_at(w->store, PHA__WORKING, i).format;
        if (pha__format_of(now)->bits < 32 && now != as_panels(pha__store_at(from, PHA__WEIGHT, i).format))
            return false;
    }
    return true;
}

size_t pha__weights_bytes(const pha__weights *w)
{
    size_t bytes = 0;
    for (int i = 0; i < w->store->names->n_params; i++) {
        const pha__node *v = w->store->names->params[i];
        bytes += (size_t)v->rows * pha__format_row(pha__store_at(w->store, PHA__WORKING, i).format, v->width);
    }
    return bytes;
}

void pha__weights_close(pha__weights *w)
{
    pha__store_close(w->store);
    w->store = NULL;
}
