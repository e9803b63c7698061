/* dtype.h -- how a number is stored */
#ifndef PHA__DTYPE_H
#define PHA__DTYPE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum pha__dtype { PHA__F32, PHA__BF16 } pha__dtype;

static inline size_t pha__dtype_size(pha__dtype t) { return t == PHA__BF16 ? 2 : 4; }

/* bfloat16: the upper half of a float; rounding to nearest even, NaN stays NaN */
static inline float bf16_to_f32(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}
static inline uint16_t f32_to_bf16(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1)) >> 16);
}

#endif
