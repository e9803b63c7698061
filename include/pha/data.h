/* pha/data.h -- data: text in, token shards out; of pha.h */
#ifndef PHA_DATA_H
#define PHA_DATA_H

#include "pha/process.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pha_prepare_options {
    /* Files and folders: text, JSON lines or an array of JSON objects, Arrow, .tokens, .raw; each also as .gz, .zst,
     * .xz, .bz2. A pipe, or "-" for standard input, is copied beside `out` first, since text is read more than once. */
    const char *const *inputs;
    size_t n_inputs;                        /* may be 0 if valid or test is given */
    const char *const *valid, *const *test; /* explicit inputs of these splits instead of fractions */
    size_t n_valid, n_test;
    const char *out;                      /* the data folder to write */
    const char *tokenizer;                /* as pha_tokenizer_open; NULL: train one */
    const char *end_token;                /* of a finished tokenizer: the token that ends documents; NULL: its own */
    int32_t vocab_size;                   /* of a trained tokenizer; 0: 16384 */
    double valid_fraction, test_fraction; /* of the documents; 0: 0.005, negative: none; together at most 1 */
    uint64_t seed;                        /* of the split */
    const char *text_key;                 /* of JSON; "a.b": b in the object under a; NULL: "text" */
    bool skip_bad_lines;                  /* JSON: count and skip instead of failing */
    int join;             /* between documents: 0 default (the end token, nothing for WikiText), 1 always, 2 never */
    uint64_t train_bytes; /* text, from all over the training split, to train a tokenizer; 0: 64 MB */
    int threads;          /* 0: PHA_THREADS or all processors */
    pha_progress_fn *progress;
    void *user; /* passed to progress */
} pha_prepare_options;

typedef struct pha_split {
    uint64_t tokens, bytes, words, lines, documents; /* words include one per end of line */
    uint64_t copies;                                 /* documents whose text also lies in another split */
} pha_split;

typedef struct pha_prepare_result {
    pha_split train, valid, test;
    int32_t vocab_size;
    uint64_t tokenizer_hash, skipped_lines;
    uint64_t replaced_characters; /* halves of surrogate pairs in JSON, for which U+FFFD stands */
    double seconds;
    int32_t end_id;       /* of the token that ends documents, -1: none is known */
    char end_token[64];   /* its text, cut if it is longer */
    const char *end_from; /* constant text: where it was found, as "its name", "tokenizer_config.json" */
} pha_prepare_result;

/* Reads text of any size in a stream, trains a vocabulary or takes one, and writes the data folder: tokenizer.json (and
 * tokenizer_config.json, if only that says which token ends documents), shards of tokens per split, data.json. Which
 * split a document belongs to is a function of (seed, its number); where
 * there are too few documents the splits are the head and the tail of the text. A file lies in one split only: one that
 * is given for valid or test, under whatever name, is left out of the inputs, with a note.
 * USAGE: `out` holds something else, or another process is writing it. STOPPED: on a stop request; nothing is written
 * then. */
PHA_API pha_status pha_prepare(const pha_prepare_options *options, pha_prepare_result *result);

#ifdef __cplusplus
}
#endif
#endif
