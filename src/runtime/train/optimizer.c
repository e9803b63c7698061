/* optimizer.c -- AdamW and Muon over all parameters, through ops on the store's device */
#include "runtime/train/optimizer.h"

#include <math.h>
#include <string.h>

static const pha__role roles[] = {PHA__WEIGHT, PHA__GRADIENT, PHA__MOMENT_1, PHA__MOMENT_2};

enum { WIDTH = PHA__ALIGN / 2 };
#define MOMENTUM 0.95f /* of Muon (pha.md 10) */

/* The learned parameters of one kind as a view of dense rows (units begin at multiples of 32 elements). */
static pha__view range(const pha__store *s, pha__role role, pha__param_kind kind)
{
    const pha__program *p = s->names;
    int64_t begin = kind == PHA__MATRIX ? 0 : kind == PHA__VECTOR ? p->matrices : p->steady;
    int64_t end = kind == PHA__MATRIX ? p->matrices : kind == PHA__VECTOR ? p->steady : p->trainable;
    pha__dtype type = role == PHA__WORKING ? PHA__BF16 : PHA__F32;
    void *data = s->block[role] ? (char *)s->block[role] + (size_t)begin * pha__dtype_size(type) : NULL;
    return (pha__view){data, WIDTH, (int32_t)((end - begin) / WIDTH), WIDTH, type};
}

/* ---- opening --------------------------------------------------------------------------------------------- */

static pha_status add_roles(pha__store *s, bool half)
{
    TRY(pha__store_add(s, PHA__WEIGHT, PHA__ALL_PARAMS, PHA__F32));
    for (int r = 1; r < 4; r++) TRY(pha__store_add(s, roles[r], PHA__ALL_MATRICES | PHA__ALL_VECTORS, PHA__F32));
    return half ? pha__store_add(s, PHA__WORKING, PHA__ALL_MATRICES | PHA__ALL_FROZEN, PHA__BF16) : PHA_OK;
}

/* What sum_squares sums, and where: saved holds the sums, work the pieces, both on the device. */
static pha_status open_sums(pha__optimizer *o)
{
    pha__device *d = o->store->device;
    const pha__program *p = o->store->names;
    for (int i = 0; i < p->n_params; i++)
        if (pha__learned(p->params[i]))
            pha__add_segment(&o->sums_attr, o->segments, p->params[i]->offset, pha__param_size(p, i));
    o->sums = (pha__args){.B = 1, .T = 1, .n_in = 1, .attr = &o->sums_attr};
    o->sums.in[0] = range(o->store, PHA__GRADIENT, PHA__MATRIX);
    o->sums.in[0].rows = (int32_t)(p->trainable / WIDTH); /* all others too */
    pha__needs needs;
    TRY(d->backend->needs(d, d->backend->kernel(d, "sum_squares"), &o->sums, PHA__FORWARD, &needs));
    o->sums.saved = pha__device_alloc(d, (size_t)o->sums_attr.n * sizeof(double));
    o->sums.work = pha__device_alloc(d, needs.work);
    o->sums_scratch = pha__device_alloc(d, needs.scratch);
    return o->sums.saved && o->sums.work && o->sums_scratch ? PHA_OK : PHA_NO_MEMORY;
}

static pha_status open_parts(pha__optimizer *o, bool half)
{
    size_t n = (size_t)o->store->names->n_params + 1;
    o->segments = pha__alloc(n, sizeof *o->segments);
    o->squares = pha__alloc_zero(n, sizeof *o->squares);
    o->norms = pha__alloc_zero(n, sizeof *o->norms);
    if (!o->segments || !o->squares || !o->norms) return PHA_NO_MEMORY;
    TRY(add_roles(o->store, half));
    TRY(open_sums(o));
    return pha__run_block_open(&o->run, o->store->device, 1, 1, false);
}

pha_status pha__optimizer_open(pha__optimizer *o, pha__store *store, bool half)
{
    *o = (pha__optimizer){.store = store};
    pha_status status = open_parts(o, half);
    if (!status) return PHA_OK;
    pha__optimizer_close(o);
    if (status != PHA_NO_MEMORY) return status;
    FAIL(NO_MEMORY, "no memory for the weights, gradients and moments of %llu parameters (%.1f GB)",
         (unsigned long long)store->names->parameters, (double)store->names->weights * 16e-9);
}

/* Parameter i in the role, as it lies; data NULL: it has no such place. */
static pha__view one(const pha__store *s, pha__role role, int i)
{
    const pha__node *v = s->names->params[i];
    return (pha__view){pha__store_at(s, role, i).data, v->width, v->rows, v->width,
                       role == PHA__WORKING ? PHA__BF16 : PHA__F32};
}

bool pha__is_table(const pha__program *p, const pha__node *v)
{
    for (int i = 0; i < p->n_nodes; i++)
        for (int k = 0; k < p->nodes[i]->n_in; k++)
            if (p->nodes[i]->in[k] == v && p->nodes[i]->op->gathers) return true;
    return false;
}

/* Has parameter i a step of its own, or does it lie in a range? */
static bool alone(const pha__store *s, int i)
{
    const pha__node *v = s->names->params[i];
    return pha__learned(v) && v->kind == PHA__MATRIX;
}

static pha__args muon_args(const pha__store *s, int i, const pha__muon_attr *attr)
{
    pha__args a = {.B = 1, .T = 1, .n_in = 3, .attr = attr};
    for (int r = 0; r < 3; r++) a.in[r] = one(s, roles[r], i);
    a.out = one(s, PHA__WORKING, i);
    return a;
}

pha_status pha__optimizer_muon(pha__optimizer *o)
{
    pha__device *d = o->store->device;
    pha__needs most = {0};
    for (int i = 0; i < o->store->names->n_params; i++) {
        pha__needs needs;
        if (!alone(o->store, i) || pha__is_table(o->store->names, o->store->names->params[i])) continue;
        pha__args a = muon_args(o->store, i, NULL);
        TRY(d->backend->needs(d, d->backend->kernel(d, "muon"), &a, PHA__FORWARD, &needs));
        most.work = needs.work > most.work ? needs.work : most.work;
        most.scratch = needs.scratch > most.scratch ? needs.scratch : most.scratch;
    }
    o->muon = true;
    if (!most.work) return PHA_OK;
    o->muon_work = pha__device_alloc(d, most.work);
    o->muon_scratch = pha__device_alloc(d, most.scratch);
    return o->muon_work && o->muon_scratch ? PHA_OK : PHA_NO_MEMORY;
}

void pha__optimizer_close(pha__optimizer *o)
{
    if (!o->store) return;
    pha__device_free(o->store->device, o->sums.saved);
    pha__device_free(o->store->device, o->sums.work);
    pha__device_free(o->store->device, o->sums_scratch);
    pha__device_free(o->store->device, o->muon_work);
    pha__device_free(o->store->device, o->muon_scratch);
    pha__run_block_close(&o->run);
    pha__free(o->segments);
    pha__free(o->squares);
    pha__free(o->norms);
    *o = (pha__optimizer){0};
}

pha_status pha__optimizer_refresh(pha__optimizer *o)
{
    if (!o->store->block[PHA__WORKING]) return PHA_OK;
    return pha__store_convert(o->store, PHA__WORKING, o->store, PHA__WEIGHT);
}

/* ---- a step ---------------------------------------------------------------------------------------------- */

static pha_status run(pha__device *d, const char *op, const pha__args *a, void *scratch)
{
    return d->backend->run(d, d->backend->kernel(d, op), a, PHA__FORWARD, scratch);
}

pha_status pha__gradient_norm(pha__optimizer *o, double *norm)
{
    pha__device *d = o->store->device;
    const pha__program *p = o->store->names;
    TRY(run(d, "sum_squares", &o->sums, o->sums_scratch));
    TRY(pha__download(d, o->squares, o->sums.saved, (size_t)o->sums_attr.n * sizeof *o->squares));
    double sum = 0;
    for (int i = 0, k = 0; i < p->n_params; i++) {
        double squares = pha__learned(p->params[i]) ? o->squares[k++] : 0;
        o->norms[i] = sqrt(squares);
        sum += squares;
    }
    *norm = sqrt(sum);
    return PHA_OK;
}

static pha__adamw_attr adamw_of(const pha__adam *adam, pha__param_kind kind)
{
    bool decays = kind == PHA__MATRIX || (kind == PHA__VECTOR && adam->decay_all);
    return (pha__adamw_attr){.beta1 = (float)adam->beta1,
                             .beta2 = (float)adam->beta2,
                             .eps = (float)adam->eps,
                             .decay = decays ? (float)adam->decay : 0,
                             .most = kind == PHA__DYNAMICS ? (float)PHA__MOST_DYNAMICS : INFINITY};
}

static pha_status update(pha__optimizer *o, const pha__adam *adam, pha__param_kind kind, const pha__run *there)
{
    pha__adamw_attr attr = adamw_of(adam, kind);
    pha__args a = {.B = 1, .T = 1, .n_in = 4, .attr = &attr, .run = there};
    for (int r = 0; r < 4; r++) a.in[r] = range(o->store, roles[r], kind);
    a.out = a.in[0];
    a.out.data = NULL;
    if (kind == PHA__MATRIX) a.out = range(o->store, PHA__WORKING, kind);
    return a.in[0].rows ? run(o->store->device, "adamw", &a, NULL) : PHA_OK;
}

/* Parameter i by AdamW, as a range of its own. */
static pha_status update_table(pha__optimizer *o, const pha__adam *adam, int i, const pha__run *there)
{
    pha__adamw_attr attr = adamw_of(adam, PHA__MATRIX);
    pha__args a = {.B = 1, .T = 1, .n_in = 4, .attr = &attr, .run = there};
    for (int r = 0; r < 4; r++) a.in[r] = one(o->store, roles[r], i);
    a.out = one(o->store, PHA__WORKING, i);
    return run(o->store->device, "adamw", &a, NULL);
}

/* The matrices one by one. */
static pha_status update_matrices(pha__optimizer *o, const pha__adam *adam, const pha__run *there)
{
    pha__muon_attr attr = {MOMENTUM, (float)adam->decay};
    for (int i = 0; i < o->store->names->n_params; i++) {
        if (!alone(o->store, i)) continue;
        bool table = pha__is_table(o->store->names, o->store->names->params[i]);
        pha__args a = muon_args(o->store, i, &attr);
        a.run = there, a.work = o->muon_work;
        TRY(table ? update_table(o, adam, i, there) : run(o->store->device, "muon", &a, o->muon_scratch));
    }
    return PHA_OK;
}

pha_status pha__adam_step(pha__optimizer *o, const pha__adam *adam, double scale)
{
    o->updates++;
    pha__run now = {.update = {.lr = (float)adam->lr,
                               .scale = (float)scale,
                               .c1 = (float)(1 - pow(adam->beta1, (double)o->updates)),
                               .c2 = (float)(1 - pow(adam->beta2, (double)o->updates))}};
    const pha__run *there;
    pha__states none;
    TRY(pha__run_block_fill(&o->run, 1, 1, &now, NULL, &there, &none));
    TRY(o->muon ? update_matrices(o, adam, there) : update(o, adam, PHA__MATRIX, there));
    TRY(update(o, adam, PHA__VECTOR, there));
    return update(o, adam, PHA__DYNAMICS, there);
}
