/* optimizer.c -- AdamW and Muon over all parameters, through ops on the store's device */
#include "runtime/train/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const pha__role roles[] = {PHA__WEIGHT, PHA__GRADIENT, PHA__MOMENT_1, PHA__MOMENT_2};

enum { WIDTH = PHA__ALIGN / 2 };
#define MOMENTUM 0.95f /* of Muon (pha.md 10) */

static pha__dtype type_of(pha__role role) { return role == PHA__WORKING ? PHA__BF16 : PHA__F32; }

/* Where element `at` of a role's block lies. */
static void *place(const pha__store *s, pha__role role, int64_t at)
{
    return s->block[role] ? (char *)s->block[role] + (size_t)(at - s->first[role]) * pha__dtype_size(type_of(role)) : NULL;
}

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* The learned parameters of one kind that are updated here as a view of dense rows: units begin at multiples of 32
 * elements, parts anywhere. */
static pha__view range(const pha__optimizer *o, pha__role role, pha__param_kind kind)
{
    const pha__program *p = o->store->names;
    int64_t begin = larger(kind == PHA__MATRIX ? 0 : kind == PHA__VECTOR ? p->matrices : p->steady, o->begin);
    int64_t end = smaller(kind == PHA__MATRIX ? p->matrices : kind == PHA__VECTOR ? p->steady : p->trainable, o->end);
    int32_t width = o->cut ? 1 : WIDTH;
    if (end < begin) end = begin;
    return (pha__view){place(o->store, role, begin), width, (int32_t)((end - begin) / width), width, type_of(role)};
}

/* ---- parts of several ranks ------------------------------------------------------------------------------- */

static bool in_parts(const pha__optimizer *o) { return o->cut && !o->muon; }
static int64_t pieces_of(int64_t elements) { return (elements + PHA__SUM_PIECE - 1) / PHA__SUM_PIECE; }

static _Thread_local const pha__program *sorting; /* qsort has no context argument */

static int by_offset(const void *a, const void *b)
{
    int64_t x = sorting->params[*(const int *)a]->offset, y = sorting->params[*(const int *)b]->offset;
    return (x > y) - (x < y);
}

/* The learned parameters in the order of their places; returns their number. */
static int in_place_order(const pha__program *p, int *out)
{
    int n = 0;
    for (int i = 0; i < p->n_params; i++)
        if (pha__learned(p->params[i])) out[n++] = i;
    sorting = p;
    qsort(out, (size_t)n, sizeof *out, by_offset);
    return n;
}

/* Cuts the elements into parts of nearly one size, at the first piece that begins at or behind the place wanted. */
static void cut_at_pieces(pha__optimizer *o, const int *order, int n)
{
    const pha__program *p = o->store->names;
    int parts = o->comm->size, k = 1;
    int64_t piece = 0;
    for (int i = 0; i < n; i++) {
        int64_t begin = p->params[order[i]]->offset, size = pha__param_size(p, order[i]);
        o->first_piece[order[i]] = piece;
        for (int64_t at = 0; at < size; at += PHA__SUM_PIECE, piece++)
            for (; k < parts && begin + at >= p->trainable / parts * k; k++)
                o->cut[k] = begin + at, o->piece_cut[k] = piece;
    }
    for (; k <= parts; k++) o->cut[k] = p->trainable, o->piece_cut[k] = piece;
}

static pha_status cut_parts(pha__optimizer *o)
{
    const pha__program *p = o->store->names;
    size_t n = (size_t)o->comm->size + 1;
    int64_t pieces = pieces_of(p->trainable) + p->n_params;
    int *order = pha__alloc((size_t)p->n_params + 1, sizeof *order);
    o->cut = pha__alloc_zero(n, sizeof *o->cut), o->clipped = pha__alloc_zero(n, sizeof *o->clipped);
    o->piece_cut = pha__alloc_zero(n, sizeof *o->piece_cut);
    o->first_piece = pha__alloc_zero((size_t)p->n_params + 1, sizeof *o->first_piece);
    o->pieces = pha__alloc_zero((size_t)pieces, sizeof *o->pieces);
    bool there = order && o->cut && o->clipped && o->piece_cut && o->first_piece && o->pieces;
    if (there) cut_at_pieces(o, order, in_place_order(p, order));
    pha__free(order);
    if (!there) return PHA_NO_MEMORY;
    int part = pha__comm_part(o->comm);
    if (!o->muon) o->begin = o->cut[part], o->end = o->cut[part + 1];
    return PHA_OK;
}

/* Of each parameter the pieces that lie in this part, in the order of places, so that they are one range of all. */
static void add_own_segments(pha__optimizer *o)
{
    const pha__program *p = o->store->names;
    int part = pha__comm_part(o->comm);
    for (int64_t at = o->piece_cut[part]; at < o->piece_cut[part + 1];) {
        int i = 0;
        while (!pha__learned(p->params[i]) || at < o->first_piece[i] ||
               at >= o->first_piece[i] + pieces_of(pha__param_size(p, i)))
            i++;
        int64_t skipped = (at - o->first_piece[i]) * PHA__SUM_PIECE, begin = p->params[i]->offset + skipped;
        int64_t size = smaller(pha__param_size(p, i) - skipped, o->end - begin);
        pha__add_segment(&o->sums_attr, o->segments, begin, size);
        at += pieces_of(size);
    }
}

static pha__division parts_of(const pha__optimizer *o, const int64_t *cut)
{
    return (pha__division){o->store->device, cut};
}

pha_status pha__gradient_reduce(pha__optimizer *o)
{
    if (!o->comm) return PHA_OK;
    pha__division parts = parts_of(o, o->cut);
    TRY(pha__comm_reduce_scatter(o->comm, &parts, o->store->block[PHA__GRADIENT]));
    return in_parts(o) ? PHA_OK : pha__comm_gather_parts(o->comm, &parts, o->store->block[PHA__GRADIENT], sizeof(float));
}

/* ---- opening --------------------------------------------------------------------------------------------- */

static pha_status add_roles(pha__optimizer *o, bool half)
{
    pha__store *s = o->store;
    TRY(pha__store_add(s, PHA__WEIGHT, PHA__ALL_PARAMS, PHA__F32));
    for (int r = 1; r < 4; r++)
        TRY(r > 1 && in_parts(o) ? pha__store_add_part(s, roles[r], o->begin, o->end)
                                 : pha__store_add(s, roles[r], PHA__ALL_MATRICES | PHA__ALL_VECTORS, PHA__F32));
    return half ? pha__store_add(s, PHA__WORKING, PHA__ALL_MATRICES | PHA__ALL_FROZEN, PHA__BF16) : PHA_OK;
}

/* What sum_squares sums, and where: saved holds the sums, work the pieces, both on the device. */
static pha_status open_sums(pha__optimizer *o)
{
    pha__device *d = o->store->device;
    const pha__program *p = o->store->names;
    if (in_parts(o)) add_own_segments(o);
    for (int i = 0; i < p->n_params && !in_parts(o); i++)
        if (pha__learned(p->params[i]))
            pha__add_segment(&o->sums_attr, o->segments, p->params[i]->offset, pha__param_size(p, i));
    o->sums = (pha__args){.B = 1, .T = 1, .n_in = 1, .attr = &o->sums_attr};
    o->sums.in[0] = (pha__view){o->store->block[PHA__GRADIENT], WIDTH, (int32_t)(p->trainable / WIDTH), WIDTH, PHA__F32};
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
    if (o->comm) TRY(cut_parts(o));
    TRY(add_roles(o, half));
    TRY(open_sums(o));
    if (o->muon) TRY(open_muon(o));
    return pha__run_block_open(&o->run, o->store->device, 1, 1, false);
}

pha_status pha__optimizer_open(pha__optimizer *o, pha__store *store, const pha__optimizer_options *options)
{
    *o = (pha__optimizer){.store = store, .muon = options->muon, .end = store->names->trainable};
    if (options->comm && options->comm->size > 1) o->comm = options->comm;
    pha_status status = open_parts(o, options->half);
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
    pha__free(o->cut);
    pha__free(o->clipped);
    pha__free(o->piece_cut);
    pha__free(o->first_piece);
    pha__free(o->pieces);
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

/* The sums of parameters by those of their pieces, in the order in which sum_squares adds them. */
static pha_status sum_pieces(pha__optimizer *o)
{
    const pha__program *p = o->store->names;
    double *own = o->pieces + o->piece_cut[pha__comm_part(o->comm)];
    TRY(pha__download(o->store->device, own, o->sums.work, (size_t)o->sums_attr.pieces * sizeof *own));
    TRY(pha__comm_gather_parts(o->comm, &(pha__division){NULL, o->piece_cut}, o->pieces, sizeof *own));
    for (int i = 0, k = 0; i < p->n_params; i++) {
        if (!pha__learned(p->params[i])) continue;
        const double *piece = o->pieces + o->first_piece[i];
        double sum = 0;
        for (int64_t n = pieces_of(pha__param_size(p, i)); n > 0; n--) sum += *piece++;
        o->squares[k++] = sum;
    }
    return PHA_OK;
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

/* All ranks' new weights: the numbers that programs read, of matrices in bf16 the working copies. */
static pha_status gather_weights(pha__optimizer *o)
{
    const pha__program *p = o->store->names;
    pha__division parts = parts_of(o, o->cut);
    if (!o->store->block[PHA__WORKING])
        return pha__comm_gather_parts(o->comm, &parts, o->store->block[PHA__WEIGHT], sizeof(float));
    int64_t *cut = o->clipped;
    parts.cut = cut;
    for (int k = 0; k <= o->comm->size; k++) cut[k] = smaller(o->cut[k], p->matrices);
    TRY(pha__comm_gather_parts(o->comm, &parts, o->store->block[PHA__WORKING], sizeof(uint16_t)));
    for (int k = 0; k <= o->comm->size; k++) cut[k] = larger(o->cut[k], p->matrices);
    return pha__comm_gather_parts(o->comm, &parts, o->store->block[PHA__WEIGHT], sizeof(float));
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

static pha_status copy_own(pha__optimizer *o, pha__role to, pha__role from)
{
    pha__device *d = o->store->device;
    size_t size = (size_t)(o->end - o->begin) * sizeof(float);
    return d->backend->copy(d, place(o->store, to, o->begin), place(o->store, from, o->begin), size);
}

pha_status pha__optimizer_collect(pha__optimizer *o, pha__role role, pha__role *whole)
{
    *whole = pha__optimizer_whole(o, role);
    if (!in_parts(o) || (role == PHA__WEIGHT && !o->store->block[PHA__WORKING])) return PHA_OK;
    if (*whole != role) TRY(copy_own(o, *whole, role));
    pha__division parts = parts_of(o, o->cut);
    return pha__comm_gather_parts(o->comm, &parts, o->store->block[*whole], sizeof(float));
}

pha_status pha__optimizer_spread(pha__optimizer *o, pha__role role)
{
    if (!o->comm) return PHA_OK;
    pha__role whole = pha__optimizer_whole(o, role);
    const pha__program *p = o->store->names;
    int64_t n = role == PHA__WEIGHT ? p->weights : p->trainable;
    TRY(pha__comm_broadcast(o->comm, 0, o->store->device, o->store->block[whole], (size_t)n * sizeof(float)));
    return whole != role ? copy_own(o, role, whole) : PHA_OK;
}
