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
    PHA__BF16_PANEL, /* the same panels in 16 bits */
    PHA__F16_PANEL,
    PHA__Q8_PANEL,  /* panels in blocks of PHA__BLOCK numbers that share a scale: 8 bits a number */
    PHA__Q4_PANEL,  /* and 4 bits */
    PHA__BUILT_IN,  /* the first id that pha__format_add gives */
} pha__dtype;

/* Bytes of an element of a format that is addressed element by element; of quantised ones, which files have as bytes,
 * 1. */
static inline size_t pha__dtype_size(pha__dtype t)
{
    return t == PHA__BF16 || t == PHA__F16 ? 2 : t == PHA__F64 ? 8 : t >= PHA__Q8_PANEL && t <= PHA__Q4_PANEL ? 1 : 4;
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

/* IEEE's half: sign, 5 bits of exponent (bias 15), 10 of fraction. Every half is a float. */
static inline float f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 1023, bits;
    if (exponent == 0) {
        float small = (float)fraction * 0x1p-24f;
        return sign ? -small : small;
    }
    bits = sign | (exponent == 31 ? 255 : exponent + 112) << 23 | fraction << 13;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

#endif
