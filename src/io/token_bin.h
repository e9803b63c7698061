/* token_bin.h -- token files of other programs: nanoGPT's (ids of 16 bits and nothing else) and llm.c's (a header of
 * 256 numbers, then ids of 16 or 32 bits), little-endian
 *
 *   header: 20240520 (of GPT-2, ids of 16 bits, version 1) or 20240801 (of Llama 3, ids of 32 bits, version 7),
 *   version, number of ids; the rest is not looked at
 */
#ifndef PHA__TOKEN_BIN_H
#define PHA__TOKEN_BIN_H

#include <stddef.h>
#include <stdint.h>

#include "base/fs.h"

typedef struct pha__token_bin {
    pha__map map;
    uint64_t count, offset; /* of ids; bytes in front of them */
    int width;              /* bytes of an id: 2 or 4 */
    const char *what;       /* "nanoGPT", "llm.c" */
} pha__token_bin;

/* Maps the file and sees what it is. BAD_INPUT: a size that is not that of its ids. */
pha_status pha__token_bin_open(pha__token_bin *b, const char *path);
void pha__token_bin_close(pha__token_bin *b); /* a zeroed one is allowed */
/* Ids [begin, begin + n), within count, to out. BAD_INPUT, with the place: one is vocab_size or more. */
pha_status pha__token_bin_read(const pha__token_bin *b, uint64_t begin, size_t n, int32_t vocab_size, int32_t *out);

#endif
