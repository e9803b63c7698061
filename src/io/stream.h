/* stream.h -- the bytes of a file, decompressed on the way: plain, gzip, zstd, xz or bzip2
 *
 * What a file is, is decided by its first bytes. Concatenated members and frames are one stream. A stream that ends too
 * early or is corrupt is an error that names the file and the offset in it.
 */
#ifndef PHA__STREAM_H
#define PHA__STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct pha__stream pha__stream;

/* name: what messages call the file, and whose suffix it must keep; NULL: its path. */
pha_status pha__stream_open(pha__stream **out, const char *path, const char *name);
void pha__stream_close(pha__stream *s); /* NULL is allowed */

/* Reads up to `size` bytes; *got < size only at the end of the stream. */
pha_status pha__stream_read(pha__stream *s, void *data, size_t size, size_t *got);

/* Bytes of the file consumed so far (compressed bytes, for progress). */
uint64_t pha__stream_offset(const pha__stream *s);

/* Length of `name` without a suffix .gz, .zst, .xz or .bz2. */
size_t pha__stream_stem(const char *name);

#endif
