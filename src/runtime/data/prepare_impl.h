/* prepare_impl.h -- what the files of prepare share */
#ifndef PHA__PREPARE_IMPL_H
#define PHA__PREPARE_IMPL_H

#include "base/fs.h"
#include "base/threads.h"
#include "io/text.h"
#include "io/tokenizer/tokenizer.h"
#include "runtime/data/prepare.h"

/* Which split a piece of the inputs belongs to. By document: a seeded hash of the document's number. By position, when
 * that would leave a split empty: the tail of the whole text. */
typedef struct pha__splitter {
    uint64_t seed;
    double fraction[PHA__DATA_SPLITS];  /* of valid and test; train is the rest */
    bool by_position;
    uint64_t bound[PHA__DATA_SPLITS];   /* by position: where the split begins, in bytes of text */
    uint64_t document, position;        /* numbers of the next document and byte */
    int now;
    bool switched;                      /* by position: the next segment is the first of its split */
} pha__splitter;

/* Cuts the first part that lies in one split off the piece (piece->data moves on, piece->size shrinks). */
typedef struct pha__segment {
    const char *data;
    size_t size;
    int split;
    bool begins, ends, wikitext; /* of a document, as far as it lies in this split */
} pha__segment;
pha__segment pha__splitter_next(pha__splitter *s, pha__piece *piece);
/* Back to the beginning, with the same rule. */
void pha__splitter_rewind(pha__splitter *s);
/* From now on by position in a text of so many bytes. */
void pha__splitter_by_position(pha__splitter *s, uint64_t bytes);

/* Encodes segments with all threads and writes them in order. */
typedef struct pha__batcher pha__batcher;
pha_status pha__batcher_open(pha__batcher **out, const pha__tokenizer *tokenizer, pha__pool *pool, pha__join join,
                             pha__tokens_writer **writers, pha__split_info *infos);
pha_status pha__batcher_add(pha__batcher *b, const pha__segment *segment);
pha_status pha__batcher_flush(pha__batcher *b);
/* Documents that ended with and without <|endoftext|>. */
void pha__batcher_joined(const pha__batcher *b, uint64_t *with, uint64_t *without);
void pha__batcher_close(pha__batcher *b);

/* The folder in which the result is made, beside `out`, and the lock that keeps other processes from it; a left-over of
 * an earlier run is removed. Fails if `out` is something that must not be replaced, or another process is writing it;
 * nothing of *place is to be removed then. */
typedef struct pha__prepare_place {
    char *partial; /* NULL: not made */
    pha__lock lock;
} pha__prepare_place;
pha_status pha__prepare_place_open(pha__prepare_place *place, const char *out);
void pha__prepare_place_close(pha__prepare_place *place); /* removes what is left of the folder */

#endif
