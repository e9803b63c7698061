/* dtype.h -- how a number is stored */
#ifndef PHA__DTYPE_H
#define PHA__DTYPE_H

#include <stddef.h>

typedef enum pha__dtype { PHA__F32, PHA__BF16 } pha__dtype;

static inline size_t pha__dtype_size(pha__dtype t) { return t == PHA__BF16 ? 2 : 4; }

#endif
