/* mem.h -- memory: the caller's allocator and arenas over it
 *
 * Everything that libpha allocates passes through pha__alloc, so that a test can count, limit and fail allocations.
 */
#ifndef PHA__MEM_H
#define PHA__MEM_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define PHA__ALIGN 64 /* bytes: one cache line, one AVX-512 register */

/* n * size bytes, 64-byte aligned, not cleared; NULL if that overflows or there is no memory (pha_errmsg is set). */
void *pha__alloc(size_t n, size_t size);
void *pha__alloc_zero(size_t n, size_t size);
/* As realloc, for memory of pha__alloc; on failure returns NULL and p stays valid. */
void *pha__realloc(void *p, size_t n, size_t size);
void pha__free(void *p); /* NULL is allowed */
char *pha__strdup(const char *s);
/* The same where there are very many of some bytes each: 16-byte aligned, with less around them. */
#define PHA__ALIGN_SMALL 16
void *pha__alloc_small(size_t size);
void pha__free_small(void *p); /* of pha__alloc_small only; NULL is allowed */

/* The allocator of the caller: `alloc` returns memory of any alignment or NULL. Both NULL: malloc and free. Only while
 * nothing is held. */
typedef void *pha__alloc_fn(void *context, size_t size);
typedef void pha__free_fn(void *context, void *p);
pha_status pha__set_allocator(pha__alloc_fn *alloc_fn, pha__free_fn *free_fn, void *context);

/* Number of bytes now held and the highest number ever held. */
size_t pha__mem_now(void);
size_t pha__mem_peak(void);
/* Number of allocations made so far; a training step must not change it. */
uint64_t pha__mem_count(void);

/* For tests: the n-th allocation from now fails (n = 1 is the next), n = 0 switches it off. */
void pha__mem_fail_at(uint64_t n);

/* An arena: many small allocations, freed together. A failed reserve sets `failed`, which is tested once at the end;
 * until then pha__arena_alloc returns NULL only after a failure. Zero-initialise. */
typedef struct pha__arena {
    struct pha__arena_block *head;
    size_t used, capacity; /* of the head block */
    int failed;
} pha__arena;

void *pha__arena_alloc(pha__arena *a, size_t n, size_t size); /* 16-byte aligned, zeroed */
char *pha__arena_strdup(pha__arena *a, const char *s);
char *pha__arena_printf(pha__arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
void pha__arena_free(pha__arena *a);

#endif
