/* hash.h -- checksums (XXH3 of 64 bits, from xxHash) */
#ifndef PHA__HASH_H
#define PHA__HASH_H

#include <stddef.h>
#include <stdint.h>

typedef struct pha__hasher pha__hasher;

uint64_t pha__hash(const void *data, size_t size, uint64_t seed);
pha__hasher *pha__hasher_open(void); /* NULL: out of memory */
void pha__hasher_add(pha__hasher *h, const void *data, size_t size);
uint64_t pha__hasher_value(const pha__hasher *h);
void pha__hasher_close(pha__hasher *h);

#endif
