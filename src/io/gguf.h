/* gguf.h -- GGUF, the files of llama.cpp, version 3: writing
 *
 *   "GGUF", version (32 bits), tensors and members (64 bits each)
 *   members: key, type, value;  tensors: name, rank, sizes (the fastest first), type, offset;  the data, in units of 32
 *   bytes. Texts are their length in 64 bits and their bytes; all is little-endian.
 */
#ifndef PHA__GGUF_H
#define PHA__GGUF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

typedef enum pha__gguf_type { PHA__GGUF_F32 = 0, PHA__GGUF_F16 = 1, PHA__GGUF_Q8_0 = 8 } pha__gguf_type;

/* Of (rows, width), or with rows 1 and `vector` of (width). */
typedef struct pha__gguf_tensor {
    char name[64];
    pha__gguf_type type;
    bool vector;
    int64_t rows, width; /* of Q8_0: width is a multiple of 32 */
    const void *from;    /* the caller's */
} pha__gguf_tensor;

/* A file in the making; zero-initialise. */
typedef struct pha__gguf {
    pha__str members; /* as bytes */
    uint64_t n_members;
    pha__gguf_tensor *tensors; /* (n_tensors), the caller's */
    uint64_t n_tensors;
} pha__gguf;

void pha__gguf_number(pha__gguf *g, const char *key, uint32_t value);
void pha__gguf_real(pha__gguf *g, const char *key, float value);
void pha__gguf_flag(pha__gguf *g, const char *key, bool value);
void pha__gguf_text(pha__gguf *g, const char *key, const char *value);
/* The beginning of a list of n values, which follow one by one. */
void pha__gguf_texts(pha__gguf *g, const char *key, uint64_t n);
void pha__gguf_add_text(pha__gguf *g, const char *text, size_t size);
void pha__gguf_numbers(pha__gguf *g, const char *key, uint64_t n); /* of 32 bits with a sign */
void pha__gguf_add_number(pha__gguf *g, int32_t value);

/* Writes the file; row: a row of a tensor as fp32. NUMERIC, with the tensor: a number that its type has no place
 * for. */
pha_status pha__gguf_write(const pha__gguf *g, const char *path,
                           pha_status (*row)(void *context, const pha__gguf_tensor *t, int64_t row, float *out),
                           void *context);
void pha__gguf_free(pha__gguf *g);

#endif
