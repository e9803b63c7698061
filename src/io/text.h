/* text.h -- documents from files and folders, in a stream
 *
 * Plain text (a file is a document), WikiText (.tokens, .raw: a document begins at a heading " = Title = "), JSONL
 * (.jsonl, .ndjson: a line is a document, its text under one key), each as it is or compressed by gzip or zstd. Memory
 * does not grow with the size of files, documents or the number of documents (JSONL: with the longest line).
 *
 * A long document is handed on in pieces that can be encoded one by one: see pha__text_cut.
 */
#ifndef PHA__TEXT_H
#define PHA__TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct pha__text_options {
    const char *text_key; /* of JSONL; NULL: "text" */
    bool skip_bad;        /* bad lines of JSONL are counted and skipped (else they are errors) */
    size_t piece; /* wanted bytes per piece; 0: 1 MB. A piece without a place to cut may grow to 16 times that */
    size_t max_line;      /* of JSONL, in bytes; 0: 1 GB */
    const char *exclude;  /* a folder that is left out when it lies inside an input folder; NULL: none */
} pha__text_options;

/* A document or a part of one. An empty document is never handed on. */
typedef struct pha__piece {
    const char *data; /* valid until the next call; NULL: the end of all documents */
    size_t size;
    bool begins, ends; /* the first, the last piece of its document */
    bool wikitext;     /* documents of this kind follow each other without a separator */
    const char *path;  /* of its file */
} pha__piece;

typedef struct pha__text_stats {
    uint64_t bytes_done, bytes_total; /* of files on disk */
    uint64_t files, files_skipped;    /* read so far; binary or not regular, in folders */
    uint64_t bad_lines;
} pha__text_stats;

typedef struct pha__text pha__text;

/* Paths are files and folders. Folders are read recursively in bytewise order of names; hidden names, links to folders
 * and binary files in them are left out (the latter with a note). A binary file that is named itself is an error. */
pha_status pha__text_open(pha__text **out, const char *const *paths, size_t n_paths, const pha__text_options *options);
void pha__text_close(pha__text *t); /* NULL is allowed */
pha_status pha__text_next(pha__text *t, pha__piece *piece);
void pha__text_get_stats(const pha__text *t, pha__text_stats *out);

/* The largest p in (low, high] such that cutting before text[p] cannot change its encoding; 0: there is none.
 * text[high] must exist. */
size_t pha__text_cut(const char *text, size_t low, size_t high);

/* Counts words (runs of bytes that are not ASCII white space) and newlines. `before` is the byte before the text, or
 * '\n' at the beginning. */
void pha__text_count(const char *text, size_t size, char before, uint64_t *words, uint64_t *lines);

/* The files behind a list of paths. */
typedef struct pha__text_file {
    char *path;
    uint64_t size;
    bool named; /* by the caller, not found in a folder */
} pha__text_file;

typedef struct pha__text_list {
    pha__text_file *files;
    size_t n, capacity;
    uint64_t bytes, skipped;
} pha__text_list;

pha_status pha__text_list_add(pha__text_list *list, const char *path,
                              const char *exclude); /* zero-initialise the list */
void pha__text_list_free(pha__text_list *list);

#endif
