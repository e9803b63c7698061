/* optimizer.c -- AdamW and Muon over all parameters, through ops on the store's device */
#include "runtime/train/optimizer.h"

#include <math.h>
#include <string.h>

static const pha__role roles[] = {PHA__WEIGHT, PHA__GRADIENT, PHA__MOMENT_1, PHA__MOMENT_2};

enum { WIDTH = PHA__ALIGN / 2 };
#define MOMENTUM 0.95f /* of Muon (pha.md 10) */

static pha__dtype type_of(pha__role role) { return role == PHA__WORKING ? PHA__BF16 : PHA__F32; }

/* Where element `at` of a role's block lies. */
static void *place(const pha__store *s, pha__role role, int64_t at)
{
    char *block = s->block[role];
    return block ? block + (size_t)(at - s->first[role]) * pha__dtype_size(type_of(role)) : NULL;
}

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

static bool in_parts(const pha__optimizer *o) { return o->shard.comm && !o->muon; }

/* What is updated here, and whose moments are here. */
static int64_t begin_of(const pha__optimizer *o) { return in_parts(o) ? o->shard.begin : 0; }
static int64_t end_of(const pha__optimizer *o) { return in_parts(o) ? o->shard.end : o->store->names->trainable; }

/* Are the fp32 matrices here in part alone? Then those of all have places among the gradients, for files. */
static bool masters_in_parts(const pha__optimizer *o) { return o->store->block[PHA__MASTER] != NULL; }

/* The learned parameters of one kind that are updated here as a view of dense rows: units begin at multiples of 32
 * elements, parts anywhere. */
static pha__view range(const pha__optimizer *o, pha__role role, pha__param_kind kind)
{
    const pha__program *p = o->store->names;
    int64_t begin = kind == PHA__MATRIX ? 0 : kind == PHA__VECTOR ? p->matrices : p->steady;
    int64_t end = kind == PHA__MATRIX ? p->matrices : kind == PHA__VECTOR ? p->steady : p->trainable;
    begin = larger(begin, begin_of(o)), end = smaller(end, end_of(o));
    int32_t width = o->shard.comm ? 1 : WIDTH;
    if (end < begin) end = begin;
    if (role == PHA__WEIGHT && kind == PHA__MATRIX && masters_in_parts(o)) role = PHA__MASTER;
    return (pha__view){place(o->store, role, begin), width, (int32_t)((end - begin) / width), width, type_of(role)};
}

static bool alone(const pha__store *s, int i)
{
    const pha__node *v = s->names->params[i];
    return pha__learned(v) && v->kind == PHA__MATRIX;
}

static pha__division parts_of(const pha__optimizer *o, const int64_t *cut)
{
    return (pha__division){o->store->device, cut, &o->wire};
}

pha_status pha__optimizer_reduction(pha__optimizer *o, int most, pha__reduction **out)
{
    pha__division parts = parts_of(o, o->shard.cut);
    return pha__reduction_open(out, o->shard.comm, &parts, o->store->block[PHA__GRADIENT], most);
}

pha_status pha__gradient_gather(pha__optimizer *o)
{
    if (!o->shard.comm || in_parts(o)) return PHA_OK;
    pha__division parts = parts_of(o, o->shard.cut);
    return pha__comm_gather_parts(o->shard.comm, &parts, o->store->block[PHA__GRADIENT], sizeof(float));
}

/* ---- opening --------------------------------------------------------------------------------------------- */

/* Matrices of which this rank has a part in fp32; all else is whole. */
static pha_status add_masters(pha__optimizer *o)
{
    pha__store *s = o->store;
    int64_t matrices = s->names->matrices;
    TRY(pha__store_add(s, PHA__WEIGHT, PHA__ALL_VECTORS | PHA__ALL_CONSTANTS, PHA__F32));
    s->first[PHA__WEIGHT] = matrices;
    TRY(pha__store_add_part(s, PHA__MASTER, smaller(begin_of(o), matrices), smaller(end_of(o), matrices)));
    for (int i = 0; i < s->names->n_params; i++)
        if (alone(s, i)) TRY(pha__store_set(s, PHA__WEIGHT, i, pha__store_at(s, PHA__GRADIENT, i).data, PHA__F32));
    return PHA_OK;
}

static pha_status add_roles(pha__optimizer *o, bool half)
{
    pha__store *s = o->store;
    if (!half || !in_parts(o)) TRY(pha__store_add(s, PHA__WEIGHT, PHA__ALL_PARAMS, PHA__F32));
    for (int r = 1; r < 4; r++)
        TRY(r > 1 && in_parts(o) ? pha__store_add_part(s, roles[r], o->shard.begin, o->shard.end)
                                 : pha__store_add(s, roles[r], PHA__ALL_MATRICES | PHA__ALL_VECTORS, PHA__F32));
    if (half && in_parts(o)) TRY(add_masters(o));
    return half ? pha__store_add(s, PHA__WORKING, PHA__ALL_MATRICES | PHA__ALL_FROZEN, PHA__BF16) : PHA_OK;
}

/* What sum_squares sums, and where: saved holds the sums, work the pieces, both on the device. */
static pha_status open_sums(pha__optimizer *o)
{
    pha__device *d = o->store->device;
    const pha__program *p = o->store->names;
    if (in_parts(o)) pha__shard_segments(&o->shard, p, &o->sums_attr, o->segments);
    for (int i = 0; i < p->n_params && !in_parts(o); i++)
        if (pha__learned(p->params[i]))
            pha__add_segment(&o->sums_attr, o->segments, p->params[i]->offset, pha__param_size(p, i));
    o->sums = (pha__args){.B = 1, .T = 1, .n_in = 1, .attr = &o->sums_attr};
    o->sums.in[0] =
        (pha__view){o->store->block[PHA__GRADIENT], WIDTH, (int32_t)(p->trainable / WIDTH), WIDTH, PHA__F32};
    pha__needs needs;
    TRY(d->backend->needs(d, d->backend->kernel(d, "sum_squares"), &o->sums, PHA__FORWARD, &needs));
    o->sums.saved = pha__device_alloc(d, (size_t)o->sums_attr.n * sizeof(double));
    o->sums.work = pha__device_alloc(d, needs.work);
    o->sums_scratch = pha__device_alloc(d, needs.scratch);
    return o->sums.saved && o->sums.work && o->sums_scratch ? PHA_OK : PHA_NO_MEMORY;
}

static pha_status open_muon(pha__optimizer *o);

static pha_status open_parts(pha__optimizer *o, bool half)
{
    size_t n = (size_t)o->store->names->n_params + 1;
    o->segments = pha__alloc(n, sizeof *o->segments);
    o->squares = pha__alloc_zero(n, sizeof *o->squares);
    o->norms = pha__alloc_zero(n, sizeof *o->norms);
    if (!o->segments || !o->squares || !o->norms) return PHA_NO_MEMORY;
    TRY(add_roles(o, half));
    TRY(open_sums(o));
    if (o->muon) TRY(open_muon(o));
    return pha__run_block_open(&o->run, o->store->device, 1, 1, false);
}

pha_status pha__optimizer_open(pha__optimizer *o, pha__store *store, const pha__optimizer_options *options)
{
    *o = (pha__optimizer){.store = store, .muon = options->muon};
    pha_status status = pha__shard_open(&o->shard, store->names, options->comm);
    if (!status) status = open_parts(o, options->half);
    if (!status) return PHA_OK;
    pha__optimizer_close(o);
    if (status != PHA_NO_MEMORY) return status;
    FAIL(NO_MEMORY, "no memory for the weights, gradients and moments of %llu parameters (%.1f GB)",
         (unsigned long long)store->names->parameters, (double)store->names->weights * 16e-9);
}

static pha_status add(void *adder, void *to, const void *from, int64_t n)
{
    return pha__adder_add(adder, to, from, n);
}

pha_status pha__optimizer_join(pha__optimizer *o)
{
    enum { MOST = PHA__WIRE_PIECE / sizeof(float) };
    pha__comm *c = o->shard.comm;
    if (!c) return PHA_OK;
    TRY(pha__comm_agree(c, pha__adder_open(&o->adder, o->store->device, MOST)));
    return pha__wire_open(&o->wire, c, o->store->device, add, &o->adder);
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

static pha__args muon_args(const pha__store *s, int i, const pha__muon_attr *attr)
{
    pha__args a = {.B = 1, .T = 1, .n_in = 3, .attr = attr};
    for (int r = 0; r < 3; r++) a.in[r] = one(s, roles[r], i);
    a.out = one(s, PHA__WORKING, i);
    return a;
}

static pha_status open_muon(pha__optimizer *o)
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
    pha__wire_close(&o->wire);
    pha__adder_close(&o->adder);
    pha__shard_close(&o->shard);
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

/* By the pieces of all ranks. */
static pha_status sum_pieces(pha__optimizer *o)
{
    size_t size = (size_t)o->sums_attr.pieces * sizeof(double);
    TRY(pha__download(o->store->device, pha__shard_pieces(&o->shard), o->sums.work, size));
    return pha__shard_sums(&o->shard, o->store->names, o->squares);
}

pha_status pha__gradient_norm(pha__optimizer *o, double *norm)
{
    pha__device *d = o->store->device;
    const pha__program *p = o->store->names;
    TRY(run(d, "sum_squares", &o->sums, o->sums_scratch));
    if (in_parts(o)) TRY(sum_pieces(o));
    else TRY(pha__download(d, o->squares, o->sums.saved, (size_t)o->sums_attr.n * sizeof *o->squares));
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
    for (int r = 0; r < 4; r++) a.in[r] = range(o, roles[r], kind);
    a.out = a.in[0];
    a.out.data = NULL;
    if (kind == PHA__MATRIX) a.out = range(o, PHA__WORKING, kind);
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

/* All parts of the elements [begin, end) of a role that has the whole of them. */
static pha_status gather(pha__optimizer *o, pha__role role, int64_t begin, int64_t end)
{
    int64_t *cut = o->shard.clipped;
    for (int k = 0; k <= o->shard.comm->size; k++)
        cut[k] = smaller(larger(o->shard.cut[k], begin), end) - o->store->first[role];
    pha__division parts = parts_of(o, cut);
    return pha__comm_gather_parts(o->shard.comm, &parts, o->store->block[role], pha__dtype_size(type_of(role)));
}

/* All ranks' new weights: the numbers that programs read, of matrices in bf16 the working copies. */
static pha_status gather_weights(pha__optimizer *o)
{
    const pha__program *p = o->store->names;
    if (!o->store->block[PHA__WORKING]) return gather(o, PHA__WEIGHT, 0, p->trainable);
    TRY(gather(o, PHA__WORKING, 0, p->matrices));
    return gather(o, PHA__WEIGHT, p->matrices, p->trainable);
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
    TRY(update(o, adam, PHA__DYNAMICS, there));
    return in_parts(o) ? gather_weights(o) : PHA_OK;
}

/* ---- whole roles, for files ------------------------------------------------------------------------------ */

pha__role pha__optimizer_whole(const pha__optimizer *o, pha__role role)
{
    return role == PHA__WEIGHT || !in_parts(o) ? role : PHA__GRADIENT;
}

/* The part of `to` that is this rank's from its own, or back: as much of it as both have. */
static pha_status copy_own(pha__optimizer *o, pha__role to, pha__role from)
{
    pha__device *d = o->store->device;
    bool masters = to == PHA__MASTER || from == PHA__MASTER;
    int64_t most = masters ? o->store->names->matrices : o->store->names->trainable;
    int64_t begin = smaller(o->shard.begin, most), end = smaller(o->shard.end, most);
    size_t size = (size_t)(end - begin) * sizeof(float);
    return d->backend->copy(d, place(o->store, to, begin), place(o->store, from, begin), size);
}

/* Vectors are whole on every rank at any time. */
static pha_status collect_weights(pha__optimizer *o)
{
    const pha__program *p = o->store->names;
    if (!o->store->block[PHA__WORKING]) return PHA_OK;
    TRY(copy_own(o, PHA__GRADIENT, PHA__MASTER));
    return gather(o, PHA__GRADIENT, 0, p->matrices);
}

pha_status pha__optimizer_collect(pha__optimizer *o, pha__role role, pha__role *whole)
{
    *whole = pha__optimizer_whole(o, role);
    if (!in_parts(o)) return PHA_OK;
    if (role == PHA__WEIGHT) return collect_weights(o);
    TRY(copy_own(o, *whole, role));
    return gather(o, *whole, 0, o->store->names->trainable);
}

static pha_status broadcast(pha__optimizer *o, pha__role role, int64_t begin, int64_t end)
{
    size_t size = (size_t)(end - begin) * sizeof(float);
    return pha__comm_broadcast(o->shard.comm, 0, o->store->device, place(o->store, role, begin), size);
}

static pha_status spread_weights(pha__optimizer *o)
{
    const pha__program *p = o->store->names;
    bool masters = masters_in_parts(o);
    if (masters) TRY(broadcast(o, PHA__GRADIENT, 0, p->matrices));
    if (o->shard.comm) TRY(broadcast(o, PHA__WEIGHT, masters ? p->matrices : 0, p->weights));
    if (masters) TRY(copy_own(o, PHA__MASTER, PHA__GRADIENT));
    return pha__optimizer_refresh(o);
}

pha_status pha__optimizer_spread(pha__optimizer *o, pha__role role)
{
    if (role == PHA__WEIGHT) return spread_weights(o);
    if (!o->shard.comm) return PHA_OK;
    pha__role whole = pha__optimizer_whole(o, role);
    TRY(broadcast(o, whole, 0, o->store->names->trainable));
    return whole != role ? copy_own(o, role, whole) : PHA_OK;
}

void *pha__optimizer_place(const pha__optimizer *o, pha__role role, int64_t at)
{
    if (role == PHA__WEIGHT && at < o->store->first[PHA__WEIGHT]) role = PHA__MASTER;
    return place(o->store, role, at);
}

static pha_status share_weights(pha__optimizer *o)
{
    const pha__program *p = o->store->names;
    bool masters = masters_in_parts(o);
    if (masters) TRY(collect_weights(o));
    TRY(gather(o, PHA__WEIGHT, masters ? p->matrices : 0, p->trainable));
    TRY(broadcast(o, PHA__WEIGHT, p->trainable, p->weights));
    return pha__optimizer_refresh(o);
}

pha_status pha__optimizer_share(pha__optimizer *o, pha__role role)
{
    if (role == PHA__WEIGHT) return o->shard.comm ? share_weights(o) : pha__optimizer_refresh(o);
    return !o->shard.comm || in_parts(o) ? PHA_OK : gather(o, role, 0, o->store->names->trainable);
}
