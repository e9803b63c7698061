/* safetensors.h -- named tensors in one file: 8 bytes length, a JSON header, the data (docs/format.md)
 *
 * Reading maps the file; tensors point into the map. A file is accepted only if every tensor is F32, BF16, F16, F64 or
 * U8 and the tensors cover the data exactly: no overlap, no hole, nothing behind. The metadata of files that we wrote
 * has a checksum of the data; whoever is going to compute with it verifies that first.
 */
#ifndef PHA__SAFETENSORS_H
#define PHA__SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"
#include "base/fs.h"
#include "base/str.h"

#define PHA__MAX_RANK 8
#define PHA__TENSORS_SUM "data_xxh3" /* key of the metadata */

typedef struct pha__tensor {
    const char *name;
    pha__dtype dtype;             /* of U8, bytes of which only the name says what they are, PHA__Q8_PANEL */
    int rank;
    int64_t shape[PHA__MAX_RANK]; /* row-major */
    const void *data;             /* aligned to its dtype */
    size_t size;                  /* bytes; the writer computes it from dtype and shape */
} pha__tensor;

typedef struct pha__safetensors pha__safetensors;

pha_status pha__safetensors_open(pha__safetensors **out, const char *path);
/* A model in parts: the index names the file of each tensor ({"weight_map": {tensor: file}}), in the same folder. */
pha_status pha__safetensors_open_index(pha__safetensors **out, const char *path);
/* Tensors of several files as of one, which then owns them; on failure they stay the caller's. `path` for messages. */
pha_status pha__safetensors_join(pha__safetensors **out, pha__safetensors **parts, size_t n_parts, const char *path);
void pha__safetensors_close(pha__safetensors *st);
size_t pha__safetensors_count(const pha__safetensors *st);
const pha__tensor *pha__safetensors_at(const pha__safetensors *st, size_t i);              /* by name, i < count */
const pha__tensor *pha__safetensors_find(const pha__safetensors *st, const char *name);   /* NULL: none */
const char *pha__safetensors_metadata(const pha__safetensors *st, const char *key);       /* NULL: none */
/* Reads all data. BAD_INPUT: not what was written. A file from elsewhere, without a checksum, passes. */
pha_status pha__safetensors_verify(const pha__safetensors *st);
const char *pha__safetensors_path(const pha__safetensors *st);
uint64_t pha__safetensors_bytes(const pha__safetensors *st); /* of the file or files */
extern const char *const pha__safetensors_dtypes[PHA__BUILT_IN]; /* names in files; NULL: not for files */

/* Writes the tensors sorted by name (those of wider numbers first, so that all are aligned). `metadata`: key, value,
 * ..., NULL; may be NULL itself. The file appears whole or not at all. */
pha_status pha__safetensors_write(const char *path, const pha__tensor *tensors, size_t n, const char *const *metadata);

/* The same file in steps, where several processes write the data (base/part.c). `order` computes sizes and sorts the
 * tensors as the file has them, one behind another. `draft` makes it beside `path`, of its full length, with a head of
 * head->size bytes, in which `mark`, 16 digits, stands for the checksum (no data is looked at); `seal` puts the one of
 * the data there and commits. A draft that is not sealed is aborted (pha__writer_abort). */
pha_status pha__safetensors_order(pha__tensor *tensors, size_t n, const char *path);
pha_status pha__safetensors_draft(pha__writer **out, pha__str *head, const char *path, const pha__tensor *tensors,
                                  size_t n, const char *mark);
pha_status pha__safetensors_seal(pha__writer *w, const pha__str *head, const char *mark, uint64_t checksum);
/* For whoever reads a file (of one part) in pieces: its bytes before the data; the data, whose size is returned; where
 * in it a tensor's lies. */
void pha__safetensors_head(const pha__safetensors *st, pha__file_head *head);
uint64_t pha__safetensors_data(const pha__safetensors *st, const unsigned char **data);
uint64_t pha__safetensors_offset(const pha__safetensors *st, const pha__tensor *t);

/* The same as model.safetensors in a folder or, where that would have more than `most` bytes of data, as
 * model-00001-of-0000N.safetensors, each up to so many (or one tensor), with model.safetensors.index.json. */
#define PHA__MAX_PARTS 4096
pha_status pha__safetensors_write_parts(const char *folder, const pha__tensor *tensors, size_t n,
                                        const char *const *metadata, uint64_t most);
bool pha__safetensors_is_part(const char *name); /* of a part or an index */

#endif
