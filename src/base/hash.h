/* hash.h -- checksums (XXH3 of 64 bits, from xxHash), and keys of 128 bits for what is found by its content */
#ifndef PHA__HASH_H
#define PHA__HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct pha__hasher pha__hasher;

uint64_t pha__hash(const void *data, size_t size, uint64_t seed);

typedef struct pha__key {
    uint64_t low, high;
} pha__key;
static inline bool pha__key_equal(pha__key a, pha__key b) { return a.low == b.low && a.high == b.high; }
pha__key pha__hash_key(const void *data, size_t size);

pha__hasher *pha__hasher_open(void); /* NULL: out of memory */
void pha__hasher_add(pha__hasher *h, const void *data, size_t size);
uint64_t pha__hasher_value(const pha__hasher *h);
void pha__hasher_close(pha__hasher *h);

#endif
