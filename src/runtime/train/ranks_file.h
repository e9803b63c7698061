/* ranks_file.h -- a file of tensors that ranks write or read together, each the numbers that it has or needs
 *
 * That takes a file that all of them see: the leading rank makes or opens it, and each looks whether under the leading
 * one's name for it lies one that begins with the same bytes. Where that is not so for all, none of them does anything,
 * and the leading rank has to write or read alone. PHA_CHECKPOINT=leader: it always does.
 *
 * No rank is trusted with the bytes of another's disk: the leading one reads all of the file once more and compares the
 * checksum of each rank's pieces with that of the memory that they came from or have gone to.
 */
#ifndef PHA__RANKS_FILE_H
#define PHA__RANKS_FILE_H

#include "dist/comm.h"
#include "io/safetensors.h"

typedef struct pha__file_piece {
    uint64_t at, size; /* bytes of the file's data */
    int rank;          /* whose it is */
    char *data;        /* there, on the device; NULL at the others */
} pha__file_piece;

/* All pieces, on all ranks alike but for the addresses; in any order. Together they are all of the data. */
typedef struct pha__ranks_file {
    pha__comm *comm;
    pha__device *device; /* NULL: memory of the host */
    pha__file_piece *piece;
    size_t n, room;
} pha__ranks_file;

pha_status pha__ranks_file_add(pha__ranks_file *f, const pha__file_piece *piece);
void pha__ranks_file_free(pha__ranks_file *f);

/* May ranks do it at all? The same on all of them. USAGE: PHA_CHECKPOINT is none that we know. */
pha_status pha__ranks_file_wanted(pha__comm *c, bool *yes);

/* By all ranks together. path: of the leading one. tensors: in the order of pha__safetensors_order. *done: it is
 * written; else nothing is there. */
pha_status pha__ranks_file_write(pha__ranks_file *f, const char *path, const pha__tensor *tensors, size_t n,
                                 bool *done);

/* A file that the leading rank has opened, on every rank; NULL where not all see the same one. Each then adds its
 * pieces by what the file says (pha__safetensors_offset). */
pha_status pha__ranks_file_open(pha__comm *c, const char *path, pha__safetensors **file);
/* *done: every rank has its own pieces, whose bytes are those that the leading one sees. Else memory is as before. */
pha_status pha__ranks_file_read(pha__ranks_file *f, const pha__safetensors *file, bool *done);

#endif
