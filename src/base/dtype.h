/* dtype.h -- how numbers are stored: the ids of the formats, and the two that are addressed element by element
 *
 * Values and gradients are f32 or bf16. A weight may be stored in any format of the table in format.h, whose row is
 * found by its id. */
#ifndef PHA__DTYPE_H
#define PHA__DTYPE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A small function that kernels of a GPU call too. */
#ifdef __CUDACC__
#define PHA__BOTH __host__ __device__
#else
#define PHA__BOTH
#endif

typedef enum pha__dtype {
    PHA__F32,
    PHA__BF16,
    PHA__F32_PANEL, /* a matrix in panels of PHA__PANEL rows, as the matrix product reads it */
    PHA__F16,       /* IEEE's half; read from files */
    PHA__F64,       /* read from files */
    PHA__BUILT_IN,  /* the first id that pha__format_add gives */
} pha__dtype;

/* Bytes of an element of a format that is addressed element by element. */
static inline size_t pha__dtype_size(pha__dtype t)
{
    return t == PHA__BF16 || t == PHA__F16 ? 2 : t == PHA__F64 ? 8 : 4;
}

/* bfloat16: the upper half of a float; rounding to nearest even, NaN stays NaN */
PHA__BOTH static inline float bf16_to_f32(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}
PHA__BOTH static inline uint16_t f32_to_bf16(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1)) >> 16);
}

#endif
