/* prepare.h -- from text to a data folder: vocabulary, splits, token shards
 *
 * Input is read in a stream, twice (sizes, then tokens) or three times (a vocabulary in between); memory does not grow
 * with it. Standard input and pipes are copied into the unfinished folder first. The result does not depend on the
 * number of threads.
 */
#ifndef PHA__PREPARE_H
#define PHA__PREPARE_H

#include "io/tokens.h"

enum { PHA__SPLIT_TRAIN, PHA__SPLIT_VALID, PHA__SPLIT_TEST };
extern const char *const pha__split_names[PHA__DATA_SPLITS]; /* train, valid, test */

typedef enum pha__join {
    PHA__JOIN_AUTO, /* the end token after every document, nothing between those of WikiText files */
    PHA__JOIN_EOT,
    PHA__JOIN_NONE,
} pha__join;

typedef struct pha__prepare_progress {
    const char *phase;    /* "receiving", "reading", "counting pairs", "merging", "encoding" */
    uint64_t done, total; /* bytes of files on disk; merges when merging */
    uint64_t text_bytes;  /* text seen in this phase */
    double seconds;       /* since the phase began */
} pha__prepare_progress;

typedef struct pha__prepare_options { /* begin with pha__prepare_defaults */
    const char *const *inputs;        /* files and folders, "-": standard input; required unless valid or test is */
    size_t n_inputs;
    const char *const *valid, *const *test; /* files and folders that are these splits as a whole */
    size_t n_valid, n_test;
    const char *out;       /* the data folder; required */
    const char *tokenizer; /* a path, "bytes", or "train" */
    const char *end_token; /* of a finished tokenizer; NULL: the one that it is known by */
    int32_t vocab_size;    /* for "train" */
    uint64_t train_bytes;  /* for "train": so much text, from all over the training split */
    uint64_t seed;
    double valid_fraction, test_fraction; /* of the documents of `inputs`; ignored where the split is given */
    pha__join join;
    const char *text_key;                                            /* of JSONL */
    bool skip_bad;                                                   /* bad lines of JSONL */
    int threads;                                                     /* 0: as many as there are processors */
    bool (*progress)(void *context, const pha__prepare_progress *p); /* NULL: none; true: PHA_STOPPED, no result */
    void *context;
} pha__prepare_options;

typedef struct pha__prepare_result {
    pha__data data; /* what data.json says */
    uint64_t files, files_skipped, bad_lines;
    uint64_t replaced;              /* lone surrogates in JSON, for which U+FFFD stands */
    uint64_t sampled;               /* bytes of text that a vocabulary was trained on */
    bool by_position;               /* too few documents for a split by documents: it is the tail of the text */
    bool estimated;                 /* the numbers of copies, for there are very many documents */
    double seconds, encode_seconds; /* wall clock: all; the encoding pass */
    int32_t end_id;                 /* -1: none */
    char end_token[64];
    const char *end_from; /* constant text: where it was found */
} pha__prepare_result;

/* train_bytes 64 MB, fractions 0.005 each, vocab_size 16384, tokenizer "train". */
void pha__prepare_defaults(pha__prepare_options *options);

/* A folder that stands where the result shall go is replaced if it is a data folder or empty, else refused (PHA_USAGE),
 * as is one that another process is writing. */
pha_status pha__prepare(const pha__prepare_options *options, pha__prepare_result *result);

#endif
