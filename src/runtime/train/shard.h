/* shard.h -- the part of a model's learned numbers that one of several ranks updates (ZeRO-1: Rajbhandari et al.,
 * arXiv 1910.02054, section 5.1)
 *
 * Parts are cut between the pieces by which sum_squares adds up a gradient, so that the global norm, made of the pieces
 * of all ranks in one order, has the same bits on any number of them.
 */
#ifndef PHA__SHARD_H
#define PHA__SHARD_H

#include "dist/comm.h"
#include "ops/sum_squares/sum_squares.h"
#include "program/program.h"

typedef struct pha__shard {
    pha__comm *comm;      /* NULL: one rank, and nothing below is used */
    int64_t begin, end;   /* elements of the layout that are this rank's */
    int64_t *cut;         /* of all ranks (pha__division) */
    int64_t *clipped;     /* room for the same of some of the elements */
    int64_t *piece_cut;   /* of the pieces, in the order of their places */
    int64_t *first_piece; /* of each parameter */
    double *pieces;       /* their sums */
} pha__shard;

/* comm NULL or of one rank: an empty one. */
pha_status pha__shard_open(pha__shard *s, const pha__program *p, pha__comm *comm);
void pha__shard_close(pha__shard *s); /* a zeroed one is allowed */

/* What sum_squares sums of this part: of each parameter the pieces that lie in it, in the order of their places. There
 * is room for one of each parameter. */
void pha__shard_segments(const pha__shard *s, const pha__program *p, pha__sum_squares_attr *attr,
                         pha__segment *segments);
/* Where the sums of this part's pieces go. */
double *pha__shard_pieces(const pha__shard *s);
/* From them and those of the other ranks the sum of each learned parameter, in index order; by all ranks together. */
pha_status pha__shard_sums(pha__shard *s, const pha__program *p, double *squares);

#endif
