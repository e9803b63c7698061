/* prepare_impl.h -- what the files of prepare share */
#ifndef PHA__PREPARE_IMPL_H
#define PHA__PREPARE_IMPL_H

#include "base/fs.h"
#include "base/threads.h"
#include "io/text.h"
#include "io/tokenizer/tokenizer.h"
#include "runtime/data/prepare.h"

/* Which split a piece of the inputs belongs to. By document: a seeded hash of the document's number. By position, when
 * there are too few documents for that: the head and the tail of the whole text, cut between documents where one ends
 * near by, else at the end of a line, of a sentence or of a word. */
typedef struct pha__splitter {
    uint64_t seed;
    double fraction[PHA__DATA_SPLITS];  /* of valid and test; train is the rest */
    bool by_position;
    uint64_t bound[PHA__DATA_SPLITS];   /* by position: where the split begins, in bytes of text */
    uint64_t slack;                     /* by position: how far from there it may be cut */
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
    const char *path;            /* of its file; stays with the list of files */
} pha__segment;
pha__segment pha__splitter_next(pha__splitter *s, pha__piece *piece);
/* The share of the inputs that a split is to have. */
double pha__splitter_share(const pha__splitter *s, int split);
/* Back to the beginning, with the same rule. */
void pha__splitter_rewind(pha__splitter *s);
/* From now on by position in a text of so many bytes. */
void pha__splitter_by_position(pha__splitter *s, uint64_t bytes);

/* The files of the inputs, of valid and of test: no file is in two of them, nor twice in one. What is no file (standard
 * input, a pipe) is first copied into the folder `partial`, for the text is read more than once. */
typedef struct pha__inputs {
    pha__text_list list[PHA__DATA_SPLITS];
    uint64_t taken_out; /* files of the inputs that are also those of valid or test */
} pha__inputs;
/* received is called now and then while something is copied. */
pha_status pha__inputs_open(pha__inputs *in, const pha__prepare_options *o, const char *partial,
                            pha_status (*received)(void *context, uint64_t bytes), void *context);
void pha__inputs_close(pha__inputs *in);
bool pha__inputs_is_spool(const char *name); /* a file that a copy is in */

/* The part of the training text that a vocabulary is trained on: `want` bytes out of `total`, in runs. */
typedef struct pha__sample {
    uint64_t seed, total, want, runs;
    uint64_t run, from, to; /* the next run and its place */
    uint64_t position;      /* of the text that comes next */
} pha__sample;
void pha__sample_begin(pha__sample *s, uint64_t seed, uint64_t total, uint64_t want);
/* The next part of this text that is in the sample; false: no more, and the next text follows. */
bool pha__sample_next(pha__sample *s, const char *text, size_t size, size_t *begin, size_t *end);

/* Documents whose text lies in more than one split. */
typedef struct pha__copies pha__copies;
pha_status pha__copies_open(pha__copies **out);
void pha__copies_close(pha__copies *c); /* NULL is allowed */
pha_status pha__copies_remember(pha__copies *c, const pha__segment *s); /* in the first pass */
pha_status pha__copies_look(pha__copies *c, const pha__segment *s);     /* in the last one */
pha_status pha__copies_end_pass(pha__copies *c, bool look);
void pha__copies_forget(pha__copies *c); /* begins the first pass again */
void pha__copies_limit(pha__copies *c, size_t entries); /* for tests: a power of two */
/* By split: its documents that also lie in another. False: these are estimates, for there are very many. */
bool pha__copies_count(const pha__copies *c, uint64_t documents[PHA__DATA_SPLITS]);

/* Encodes segments with all threads and writes them in order. */
typedef struct pha__batcher pha__batcher;
pha_status pha__batcher_open(pha__batcher **out, const pha__tokenizer *tokenizer, pha__pool *pool, pha__join join,
                             pha__tokens_writer **writers, pha__split_info *infos);
pha_status pha__batcher_add(pha__batcher *b, const pha__segment *segment);
pha_status pha__batcher_flush(pha__batcher *b);
/* Documents that ended with and without <|endoftext|>. */
void pha__batcher_joined(const pha__batcher *b, uint64_t *with, uint64_t *without);
void pha__batcher_close(pha__batcher *b);

/* The folder in which the result is made, beside `out`, and the lock that keeps other processes from it; what a killed
 * run left there is removed. Fails if `out` is something that must not be replaced, if something else stands where the
 * folder is to be made, or if another process is writing it; nothing of *place is to be removed then. */
typedef struct pha__prepare_place {
    char *partial; /* NULL: not made */
    pha__lock lock;
} pha__prepare_place;
pha_status pha__prepare_place_open(pha__prepare_place *place, const char *out);
/* The finished folder goes to `out`. */
pha_status pha__prepare_place_commit(pha__prepare_place *place, const char *out);
void pha__prepare_place_close(pha__prepare_place *place); /* removes what is left of the folder */

#endif
