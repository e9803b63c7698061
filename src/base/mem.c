/* mem.c -- allocation through the caller's allocator, counted, and arenas over it
 *
 * Every block carries one aligned head in front of the caller's bytes:
 *
 *     raw ... | head (64 bytes: size, raw) | the caller's bytes (64-byte aligned)
 *
 * A small one has a head of 16 bytes and is aligned to 16.
 *
 * Under the address sanitizer whatever lies around the caller's bytes may not be touched, though it is ours.
 */
#include "base/mem.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/print.h"

#ifdef __has_feature
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define FORBID(p, size) __asan_poison_memory_region(p, size)
#define PERMIT(p, size) __asan_unpoison_memory_region(p, size)
#else
#define FORBID(p, size) ((void)(p), (void)(size))
#define PERMIT(p, size) ((void)(p), (void)(size))
#endif

typedef struct head {
    size_t size;
    void *raw;
} head;

enum { WIDE = PHA__ALIGN };
#ifdef __SANITIZE_ADDRESS__
enum { SMALL = WIDE }; /* room for what may not be touched */
#else
enum { SMALL = sizeof(head) };
#endif
#define EXTRA(align) (2 * (size_t)(align) - 1) /* room for the head and for alignment */
#define HUGE_MIN ((size_t)8 << 20)         /* blocks from here on ask for huge pages: fewer TLB misses in products */

static void *default_alloc(void *context, size_t size)
{
    (void)context;
    return malloc(size);
}

static void default_free(void *context, void *p)
{
    (void)context;
    free(p);
}

static struct {
    pha__alloc_fn *alloc;
    pha__free_fn *free;
    void *context;
} allocator = { default_alloc, default_free, NULL };

static atomic_size_t held, peak;
static atomic_uint_fast64_t count, fail_in;

pha_status pha__set_allocator(pha__alloc_fn *alloc_fn, pha__free_fn *free_fn, void *context)
{
    if (!alloc_fn != !free_fn) FAIL(USAGE, "an allocator needs both functions, alloc and free");
    if (atomic_load(&held) != 0) FAIL(USAGE, "the allocator can only be set while libpha holds no memory");
    allocator.alloc = alloc_fn ? alloc_fn : default_alloc;
    allocator.free = free_fn ? free_fn : default_free;
    allocator.context = alloc_fn ? context : NULL;
    return PHA_OK;
}

/* True if this allocation is the one that a test wants to fail. */
static int must_fail(void)
{
    uint_fast64_t n = atomic_load_explicit(&fail_in, memory_order_relaxed);
    while (n != 0) {
        if (atomic_compare_exchange_weak(&fail_in, &n, n - 1)) return n == 1;
    }
    return 0;
}

static void count_bytes(size_t size)
{
    size_t now = atomic_fetch_add(&held, size) + size, high = atomic_load(&peak);
    while (now > high && !atomic_compare_exchange_weak(&peak, &high, now)) {
    }
}

static void advise_huge(void *p, size_t size)
{
#ifdef MADV_HUGEPAGE
    size_t page = (size_t)2 << 20;
    uintptr_t begin = ((uintptr_t)p + page - 1) / page * page, end = ((uintptr_t)p + size) / page * page;
    if (end > begin) madvise((void *)begin, end - begin, MADV_HUGEPAGE);
#else
    (void)p, (void)size;
#endif
}

static void no_memory(size_t n, size_t size)
{
    pha__fail(PHA_NO_MEMORY, "no memory for %zu x %zu bytes", n, size);
}

static void *take(size_t n, size_t size, size_t align)
{
    size_t bytes, extra = EXTRA(align);
    if (__builtin_mul_overflow(n, size, &bytes) || bytes > (size_t)PTRDIFF_MAX - extra) return no_memory(n, size), NULL;
    atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    void *raw = must_fail() ? NULL : allocator.alloc(allocator.context, bytes + extra);
    if (!raw) return no_memory(n, size), NULL;
    char *p = (char *)(((uintptr_t)raw + extra) / align * align);
    *(head *)(void *)(p - align) = (head){ bytes, raw };
    FORBID(p - align + sizeof(head), align - sizeof(head));
    FORBID(p + bytes, (size_t)((char *)raw + bytes + extra - (p + bytes)));
    if (bytes >= HUGE_MIN && allocator.alloc == default_alloc) advise_huge(p, bytes);
    count_bytes(bytes);
    return p;
}

void *pha__alloc(size_t n, size_t size) { return take(n, size, WIDE); }
void *pha__alloc_small(size_t size) { return take(1, size, SMALL); }

void *pha__alloc_zero(size_t n, size_t size)
{
    void *p = pha__alloc(n, size);
    if (p) memset(p, 0, n * size);
    return p;
}

static head *head_of(void *p, size_t align) { return (head *)(void *)((char *)p - align); }

void *pha__realloc(void *p, size_t n, size_t size)
{
    void *q = pha__alloc(n, size);
    if (!q || !p) return q;
    size_t old = head_of(p, WIDE)->size;
    memcpy(q, p, old < n * size ? old : n * size);
    pha__free(p);
    return q;
}

static void give(void *p, size_t align)
{
    if (!p) return;
    head h = *head_of(p, align);
    atomic_fetch_sub(&held, h.size);
    PERMIT(h.raw, h.size + EXTRA(align));
    allocator.free(allocator.context, h.raw);
}

void pha__free(void *p) { give(p, WIDE); }
void pha__free_small(void *p) { give(p, SMALL); }

char *pha__strdup(const char *s)
{
    size_t size = strlen(s) + 1;
    char *p = pha__alloc(size, 1);
    if (p) memcpy(p, s, size);
    return p;
}

size_t pha__mem_now(void) { return atomic_load(&held); }
size_t pha__mem_peak(void) { return atomic_load(&peak); }
uint64_t pha__mem_count(void) { return atomic_load(&count); }
void pha__mem_fail_at(uint64_t n) { atomic_store(&fail_in, n); }

/* ---- arenas ---- */

struct pha__arena_block {
    struct pha__arena_block *next;
    size_t pad; /* the bytes behind the head are 16-byte aligned */
};

#define BLOCK_SIZE ((size_t)32 << 10)
#define BLOCK_HEAD sizeof(struct pha__arena_block)

static int arena_grow(pha__arena *a, size_t bytes)
{
    size_t capacity = bytes > BLOCK_SIZE / 4 ? bytes : BLOCK_SIZE;
    struct pha__arena_block *block = pha__alloc(1, BLOCK_HEAD + capacity);
    if (!block) return 0;
    block->next = a->head;
    a->head = block;
    a->used = 0;
    a->capacity = capacity;
    return 1;
}

void *pha__arena_alloc(pha__arena *a, size_t n, size_t size)
{
    size_t bytes;
    if (a->failed) return NULL;
    if (__builtin_mul_overflow(n, size, &bytes) || bytes > (size_t)PTRDIFF_MAX / 2) {
        no_memory(n, size);
        a->failed = 1;
        return NULL;
    }
    bytes = (bytes + 15) / 16 * 16;
    if ((!a->head || bytes > a->capacity - a->used) && !arena_grow(a, bytes)) {
        a->failed = 1;
        return NULL;
    }
    char *p = (char *)a->head + BLOCK_HEAD + a->used;
    a->used += bytes;
    return memset(p, 0, bytes);
}

char *pha__arena_strdup(pha__arena *a, const char *s)
{
    size_t size = strlen(s) + 1;
    char *p = pha__arena_alloc(a, size, 1);
    return p ? memcpy(p, s, size) : NULL;
}

char *pha__arena_printf(pha__arena *a, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = pha__vprint(NULL, 0, format, args);
    char *p = n < 0 ? NULL : pha__arena_alloc(a, (size_t)n + 1, 1);
    if (p) pha__vprint(p, (size_t)n + 1, format, again);
    if (n < 0) a->failed = 1;
    va_end(again);
    va_end(args);
    return p;
}

void pha__arena_free(pha__arena *a)
{
    for (struct pha__arena_block *block = a->head, *next; block; block = next) {
        next = block->next;
        pha__free(block);
    }
    *a = (pha__arena){ 0 };
}
