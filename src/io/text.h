/* text.h -- documents from files and folders, in a stream
 *
 * Plain text (a file is a document), WikiText (.tokens, .raw: a document begins at a heading " = Title = "), JSON
 * (.jsonl, .ndjson, .json: an object is a document, its text under one key; an object per line, or an array of them),
 * Arrow (as the datasets library saves it, in streams or files: a row is a document, its text in one column),
 * each as it is or compressed (stream.h). Memory does not grow with the size of files, documents or the number of
 * documents (JSON: with the longest object).
 *
 * A long document is handed on in pieces that can be encoded one by one: see pha__text_cut.
 */
#ifndef PHA__TEXT_H
#define PHA__TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "io/cuts.h"

typedef struct pha__text_options {
    const char *text_key; /* of JSON, json_text.h, or the column of Arrow; NULL: "text" */
    bool skip_bad;        /* bad lines of JSON are counted and skipped (else they are errors) */
    bool quiet;           /* no notes: an earlier reader has made them */
    bool check;           /* count what is not UTF-8, and say it at the end of a file */
    pha__cuts cuts;       /* the places between pieces; none: documents stay whole */
    size_t piece;         /* wanted bytes per piece; 0: 1 MB. One without a place to cut may grow to 64 times that */
    size_t max_line; /* of JSON, or a batch of Arrow, in bytes; 0: 1 GB */
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
    uint64_t files, files_skipped;    /* read so far; not text or not regular, in folders */
    uint64_t bad_lines;
    uint64_t replaced; /* lone surrogates in JSON, for which U+FFFD stands */
} pha__text_stats;

/* The files behind some paths. */
typedef struct pha__text_file {
    char *path;
    char *name; /* in messages, and by which the kind is guessed */
    uint64_t size, device, inode;
    bool named; /* by the caller, not found in a folder */
    bool drop;  /* see pha__text_list_drop */
} pha__text_file;

typedef struct pha__text_list {
    pha__text_file *files;
    size_t n, capacity;
    uint64_t bytes, skipped;
} pha__text_list;

/* Adds a file or what is in a folder. Folders are read recursively in bytewise order of names; hidden names and links
 * to folders are left out. exclude: a folder that is left out, too, when it lies inside; NULL: none.
 * Zero-initialise the list. */
pha_status pha__text_list_add(pha__text_list *list, const char *path, const char *exclude);
/* Adds a regular file that messages call by another name. */
pha_status pha__text_list_add_as(pha__text_list *list, const char *path, const char *name);
void pha__text_list_drop(pha__text_list *list); /* takes out the files that are marked `drop` */
void pha__text_list_free(pha__text_list *list);

typedef struct pha__text pha__text;

/* Reads files and folders, or a list (borrowed). Files in folders that are not text are left out, with a note; one that
 * is named by the caller is an error then. */
pha_status pha__text_open(pha__text **out, const char *const *paths, size_t n_paths, const pha__text_options *options);
pha_status pha__text_open_list(pha__text **out, const pha__text_list *list, const pha__text_options *options);
void pha__text_close(pha__text *t); /* NULL is allowed */
pha_status pha__text_next(pha__text *t, pha__piece *piece);
void pha__text_get_stats(const pha__text *t, pha__text_stats *out);

/* The largest p in (low, high] such that the place before text[p] is one of `cuts`, behind a letter or a digit where
 * that can be; 0: there is none. text[high] must exist. */
size_t pha__text_cut(const char *text, size_t low, size_t high, pha__cuts cuts);

/* White space of ASCII, in any locale. */
static inline bool pha__text_is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Counts words (runs of bytes that are not ASCII white space) and newlines. `before` is the byte before the text, or
 * '\n' at the beginning. */
void pha__text_count(const char *text, size_t size, char before, uint64_t *words, uint64_t *lines);

#endif
