/* systems.c -- what the models of an experiment cost, and whether they may be compared */
#include "runtime/repro/repro.h"

static pha_status weigh(pha__system *s, const pha__experiment *e, pha__device *device)
{
    const pha_train_options *o = &s->train;
    pha__cost forward, training;
    pha__program *p;
    pha__memory memory;
    pha__program_options options = {.B = o->micro_batch ? o->micro_batch : 1,
                                    .T = o->context,
                                    .dtype = o->precision == PHA_BF16 ? PHA__BF16 : PHA__F32,
                                    .gradients = true,
                                    .recompute = o->recompute,
                                    .unfused = o->no_fuse ? PHA__FUSE_ALL : 0,
                                    .by_sequence = device->backend->by_sequence && o->micro_batch < o->batch};
    TRY(pha__cost_per_token(&s->config, o->context, &forward, &training));
    s->flops = pha__cost_total(&training);
    TRY(pha__record(&p, &s->config, &options, PHA__HEAD_LOSS));
    s->parameters = p->parameters;
    int64_t longest = pha__longest_text(p);
    pha_status status = pha__memory_of(&memory, p, device);
    pha__program_close(p);
    if (!status && o->context > longest)
        FAIL(BAD_INPUT, "%s: model %s reads texts of at most %lld tokens, the context is %d", e->path, s->name,
             (long long)longest, o->context);
    s->bytes = memory.total;
    return status;
}

/* Equal budgets are what a comparison rests on: the first model that is not of another budget is the measure. */
static pha_status check_pair(const pha__experiment *e, const pha__system *first, const pha__system *s)
{
    double ratio = (double)s->parameters / (double)first->parameters - 1;
    if (ratio <= e->within && ratio >= -e->within) return PHA_OK;
    FAIL(BAD_INPUT,
         "%s: model %s has %llu parameters, %s %llu: %+.1f %%, more than parameters_within = %g allows; change its "
         "widths, or name it in other_budget",
         e->path, s->name, (unsigned long long)s->parameters, first->name, (unsigned long long)first->parameters,
         100 * ratio, e->within);
}

static bool in_family(const pha__experiment *e, const pha__system *s)
{
    for (size_t i = 0; i < e->n_families; i++)
        for (size_t k = 0; k < e->families[i].n; k++)
            if (e->families[i].systems[k] == s) return true;
    return false;
}

static pha_status check_budgets(const pha__experiment *e)
{
    const pha__system *first = NULL;
    for (size_t i = 0; i < e->n_systems; i++) {
        const pha__system *s = &e->systems[i];
        if (s->other_budget || in_family(e, s)) continue;
        if (!first) first = s;
        TRY(check_pair(e, first, s));
    }
    for (size_t i = 1; i < e->n_families; i++) /* size by size */
        for (size_t k = 0; k < e->families[i].n; k++)
            TRY(check_pair(e, e->families[0].systems[k], e->families[i].systems[k]));
    return PHA_OK;
}

pha_status pha__systems_weigh(pha__experiment *e)
{
    pha__device *device;
    TRY(pha__device_open(&device, NULL, 1));
    pha_status status = PHA_OK;
    for (size_t i = 0; i < e->n_systems && !status; i++) status = weigh(&e->systems[i], e, device);
    pha__device_close(device);
    return status ? status : check_budgets(e);
}
