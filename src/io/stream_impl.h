/* stream_impl.h -- what a kind of compression has to offer to stream.c */
#ifndef PHA__STREAM_IMPL_H
#define PHA__STREAM_IMPL_H

#include "io/stream.h"

enum { PHA__STREAM_INPUT = 256 * 1024 };

typedef struct pha__codec {
    const char *name, *suffix;                      /* "gzip", ".gz" */
    bool (*begins)(const unsigned char *p, size_t n); /* do these bytes begin such a file? */
    pha_status (*open)(pha__stream *s);
    pha_status (*read)(pha__stream *s, unsigned char *data, size_t size, size_t *got);
    void (*close)(pha__stream *s);
} pha__codec;

extern const pha__codec pha__codecs[]; /* ends with a row without a name */

struct pha__stream {
    char *name;            /* for messages */
    int fd;
    const pha__codec *codec; /* NULL: plain */
    void *decoder;         /* of the codec; NULL: not open */
    bool file_end;         /* the file is read to its end */
    bool inside;           /* a member or frame has begun and not ended */
    bool done;             /* nothing more will come */
    uint64_t file_offset;  /* bytes read from the file */
    size_t begin, end;     /* unread part of input */
    unsigned char input[PHA__STREAM_INPUT];
};

/* Fills the input buffer up if it is not full. */
pha_status pha__stream_refill(pha__stream *s);

#endif
