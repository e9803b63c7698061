/* text_impl.h -- what the readers of the kinds of text share */
#ifndef PHA__TEXT_IMPL_H
#define PHA__TEXT_IMPL_H

#include "io/stream.h"
#include "io/text.h"

typedef enum pha__text_kind {
    PHA__TEXT_PLAIN,
    PHA__TEXT_WIKITEXT,
    PHA__TEXT_LINES,  /* JSON, an object per line */
    PHA__TEXT_VALUES, /* JSON, objects one behind the other, or in an array */
    PHA__TEXT_ARROW,
} pha__text_kind;

typedef struct pha__arrow { /* text_arrow.c; bytes: from the beginning of the batch's body */
    bool open, done;        /* the schema has been read; the last message has */
    bool wide;              /* offsets of 64 bits */
    size_t row_column, buffer; /* of the column of texts: number of its rows and of its first buffer in a batch */
    uint64_t batch, rows, row; /* batches begun; of this one: rows, and the next of them */
    size_t body, bits, offsets, bytes; /* its size; where its buffers lie. bits SIZE_MAX: all texts are there */
    uint64_t size;          /* of the texts */
} pha__arrow;

struct pha__text {
    pha__text_options options;
    const pha__text_list *list;
    pha__text_list own;          /* the list, if it was made for this reader */
    pha__text_stats stats;
    size_t hard;                 /* a piece is cut anywhere when it has grown to this */
    size_t file;                 /* index of the next file */
    const char *path;            /* of the open file, as messages call it */
    uint64_t size;               /* of the open file, on disk */
    pha__text_kind kind;
    pha__stream *stream;         /* NULL: no file is open */
    bool stream_end;
    char *buffer;                /* text from the stream; [begin, end) is not yet handed on */
    size_t capacity, begin, end;
    bool in_document;            /* a piece was handed on, but not the last one */
    bool noted;                  /* that a piece of this file was cut anywhere */
    uint64_t handed;             /* bytes of this file's text */
    uint64_t odd, odd_at, zeros; /* bytes that are not UTF-8, the place of the first, zero bytes; when checking */
    int odd_byte;
    /* WikiText */
    size_t scan;                 /* from begin: headings before this place have been looked at */
    bool line_blank;             /* the line at `scan` is white space up to there */
    bool has_text;               /* the document so far is more than white space */
    /* JSON */
    uint64_t line;               /* number of the line, or of the value */
    bool discard;                /* the rest of a line that is too long */
    bool array, separated;       /* of values: inside an array; behind a comma, or at the beginning */
    char *document;              /* what is left of the document being handed on, in the buffer; also of Arrow */
    size_t document_left;
    pha__arrow arrow;
};

/* Makes at least `want` bytes available, fewer only at the end of the stream. */
pha_status pha__text_fill(pha__text *t, size_t want);
/* A piece had no safe place: where to cut it all the same, before white space or else between two characters. Said
 * once per file. text[size] must exist. */
size_t pha__text_cut_anywhere(pha__text *t, const char *text, size_t size);
bool pha__text_is_blank(const char *s, size_t n);
size_t pha__text_mark(const char *s, size_t n); /* bytes of the byte order mark that a text begins with, or 0 */

/* The next piece of a file of JSON, of Arrow; piece->data stays NULL at its end. */
pha_status pha__text_next_json(pha__text *t, pha__piece *piece);
pha_status pha__text_next_arrow(pha__text *t, pha__piece *piece);
void pha__text_hand_on(pha__text *t, pha__piece *piece); /* of t->document, which is not empty */
bool pha__text_is_arrow(const char *s, size_t n);         /* by the first bytes */

/* Decides t->kind by name and content. *skip: not text, and not named by the caller: left out, with a note. */
pha_status pha__text_look(pha__text *t, const pha__text_file *file, bool *skip);
/* Counts what is not UTF-8 in a piece. */
void pha__text_check(pha__text *t, const char *s, size_t size);
/* Says what was counted in this file, if anything. */
void pha__text_say(const pha__text *t);

#endif
