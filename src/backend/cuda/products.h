/* products.h -- matrix products by cuBLASLt, which is looked for when a card is opened
 *
 * An algorithm is chosen by products.def, a table by card, version of the library and shape, or else it is the first
 * that the library offers; either way it depends on nothing else, so that two runs have the same bits. Sums are in
 * fp32.
 */
#ifndef PHA__PRODUCTS_H
#define PHA__PRODUCTS_H

#include "backend/cuda/cuda.h"

/* D = A B, or D += A B, by rows: A (m, k), B (k, n), D (m, n). An operand that is `turned` lies as its transpose. */
typedef struct pha__operand {
    const void *data;
    int64_t ld; /* elements from row to row, as it lies */
    pha__dtype dtype;
    bool turned;
} pha__operand;

typedef struct pha__product {
    int64_t m, n, k;
    pha__operand a, b, d;
    bool add;
} pha__product;

typedef struct pha__products pha__products;

/* capability: 90 of 9.0; units: multiprocessors. Fails with why it isn't there: of at most `size` bytes. */
bool pha__products_open(pha__products **out, int capability, int units, char *why, size_t size);
void pha__products_close(pha__products *p); /* NULL is allowed */
size_t pha__products_version(const pha__products *p);

/* False: the library has nothing for this product, or there is no library; a plain kernel has to do it. A call that
 * fails counts as a launch that fails. */
bool pha__product_run(pha__cuda *c, const pha__product *p);

/* A view as an operand, of rows from `row` on. */
static inline pha__operand pha__operand_of(const pha__view *v, int64_t row, bool turned)
{
    size_t size = v->dtype == PHA__BF16 ? 2 : 4;
    return (pha__operand){(const char *)v->data + (size_t)(row * v->ld) * size, v->ld, v->dtype, turned};
}

#endif
