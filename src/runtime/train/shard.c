/* shard.c -- cutting the learned numbers into parts, and sums of squares that do not depend on the cuts */
#include "runtime/train/shard.h"

#include "program/store.h"

static int64_t pieces_of(int64_t elements) { return (elements + PHA__SUM_PIECE - 1) / PHA__SUM_PIECE; }

/* ---- cutting --------------------------------------------------------------------------------------------- */

/* Into parts of nearly one size, each from the first piece that begins at or behind the place wanted. */
static void cut_at_pieces(pha__shard *s, const pha__program *p, const int *order)
{
    int parts = s->comm->size, k = 1;
    int64_t piece = 0;
    for (int i = 0; i < p->n_params; i++) {
        const pha__node *v = p->params[order[i]];
        if (!pha__learned(v)) continue;
        s->first_piece[order[i]] = piece;
        for (int64_t at = 0; at < pha__param_size(p, order[i]); at += PHA__SUM_PIECE, piece++)
            for (; k < parts && v->offset + at >= p->trainable / parts * k; k++)
                s->cut[k] = v->offset + at, s->piece_cut[k] = piece;
    }
    for (; k <= parts; k++) s->cut[k] = p->trainable, s->piece_cut[k] = piece;
}

pha_status pha__shard_open(pha__shard *s, const pha__program *p, pha__comm *comm)
{
    *s = (pha__shard){0};
    if (!comm || comm->size == 1) return PHA_OK;
    s->comm = comm;
    size_t n = (size_t)comm->size + 1, params = (size_t)p->n_params + 1;
    int *order = pha__alloc(params, sizeof *order);
    s->cut = pha__alloc_zero(n, sizeof *s->cut);
    s->clipped = pha__alloc_zero(n, sizeof *s->clipped);
    s->piece_cut = pha__alloc_zero(n, sizeof *s->piece_cut);
    s->first_piece = pha__alloc_zero(params, sizeof *s->first_piece);
    s->pieces = pha__alloc_zero((size_t)pieces_of(p->trainable) + params, sizeof *s->pieces);
    bool there = order && s->cut && s->clipped && s->piece_cut && s->first_piece && s->pieces;
    if (there) pha__place_order(p, order), cut_at_pieces(s, p, order);
    pha__free(order);
    if (!there) return PHA_NO_MEMORY;
    int part = pha__comm_part(comm);
    s->begin = s->cut[part], s->end = s->cut[part + 1];
    return PHA_OK;
}

void pha__shard_close(pha__shard *s)
{
    pha__free(s->cut);
    pha__free(s->clipped);
    pha__free(s->piece_cut);
    pha__free(s->first_piece);
    pha__free(s->pieces);
    *s = (pha__shard){0};
}

/* ---- sums ------------------------------------------------------------------------------------------------ */

static int owner_of(const pha__shard *s, const pha__program *p, int64_t piece)
{
    int i = 0;
    while (!pha__learned(p->params[i]) || piece < s->first_piece[i] ||
           piece >= s->first_piece[i] + pieces_of(pha__param_size(p, i)))
        i++;
    return i;
}

void pha__shard_segments(const pha__shard *s, const pha__program *p, pha__sum_squares_attr *attr,
                         pha__segment *segments)
{
    int part = pha__comm_part(s->comm);
    for (int64_t at = s->piece_cut[part], last = s->piece_cut[part + 1]; at < last;) {
        int i = owner_of(s, p, at);
        int64_t skipped = (at - s->first_piece[i]) * PHA__SUM_PIECE, begin = p->params[i]->offset + skipped;
        int64_t left = pha__param_size(p, i) - skipped, size = left < s->end - begin ? left : s->end - begin;
        pha__add_segment(attr, segments, begin, size);
        at += pieces_of(size);
    }
}

double *pha__shard_pieces(const pha__shard *s) { return s->pieces + s->piece_cut[pha__comm_part(s->comm)]; }

/* In the order in which sum_squares adds them. */
pha_status pha__shard_sums(pha__shard *s, const pha__program *p, double *squares)
{
    TRY(pha__comm_gather_parts(s->comm, &(pha__division){.cut = s->piece_cut}, s->pieces, sizeof *s->pieces));
    for (int i = 0; i < p->n_params; i++) {
        if (!pha__learned(p->params[i])) continue;
        const double *piece = s->pieces + s->first_piece[i];
        double sum = 0;
        for (int64_t n = pieces_of(pha__param_size(p, i)); n > 0; n--) sum += *piece++;
        *squares++ = sum;
    }
    return PHA_OK;
}
