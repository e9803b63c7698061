/* json_memory.c -- jansson's allocator
 *
 *     pha__alloc_small's block, 16-byte aligned | next | before | mark | jansson's bytes
 *
 * No malloc gives an address that is 8 behind a multiple of 16, so a foreign address is recognised by itself; where one
 * is not, the mark in front of it, in the same 16 bytes, tells.
 */
#include "base/json_memory.h"

#include <setjmp.h>
#include <stdint.h>

#include "base/mem.h"

typedef struct block {
    struct block *next, *before; /* the blocks of one parse, in a ring; any other is alone */
    uintptr_t mark;
    char bytes[];
} block;

static json_malloc_t other_malloc;
static json_free_t other_free;

static _Thread_local struct {
    bool inside, failed;
    block *ring;     /* of the parse that is going on, or NULL */
    jmp_buf *escape; /* and where its first failure goes */
} here;

/* Of this copy of libpha, should a process have two. */
static uintptr_t mark_of(const block *b) { return (uintptr_t)b ^ (uintptr_t)&other_malloc ^ (uintptr_t)0x70686a736f6e; }

static void unlink_block(block *b)
{
    b->next->before = b->before;
    b->before->next = b->next;
}

static void *allocate(size_t size)
{
    if (!here.inside) return other_malloc(size);
    block *b = size > SIZE_MAX / 2 ? NULL : pha__alloc_small(sizeof *b + size);
    if (!b) {
        here.failed = true;
        if (here.escape) longjmp(*here.escape, 1);
        return NULL;
    }
    *b = (block){b, b, mark_of(b)};
    if (here.ring) {
        b->next = here.ring->next, b->before = here.ring;
        b->next->before = b->before->next = b;
    }
    return b->bytes;
}

static void release(void *p)
{
    if (!p) return;
    block *b = (block *)(void *)((char *)p - offsetof(block, bytes));
    if ((uintptr_t)b % PHA__ALIGN_SMALL || b->mark != mark_of(b)) {
        other_free(p);
        return;
    }
    unlink_block(b);
    b->mark = 0;
    pha__free_small(b);
}

/* When libpha is loaded, before there is any block: a program that sets functions of its own later gets all of
 * jansson's memory, ours too. */
__attribute__((constructor)) static void begin(void)
{
    json_get_alloc_funcs(&other_malloc, &other_free);
    json_set_alloc_funcs(allocate, release);
}

__attribute__((destructor)) static void end(void)
{
    json_malloc_t now;
    json_get_alloc_funcs(&now, NULL);
    if (now == allocate) json_set_alloc_funcs(other_malloc, other_free);
}

void pha__json_enter(void) { here.inside = true, here.failed = false; }

bool pha__json_leave(void)
{
    here.inside = false;
    return !here.failed;
}

static void empty(block *ring)
{
    while (ring->next != ring) release(ring->next->bytes);
}

json_t *pha__json_loadb(const char *text, size_t size, size_t flags, json_error_t *error, bool *no_memory)
{
    jmp_buf escape;
    block ring = {&ring, &ring, 0};
    json_t *volatile json = NULL;
    pha__json_enter();
    here.ring = &ring, here.escape = &escape;
    if (setjmp(escape) == 0) json = json_loadb(text, size, flags, error);
    here.ring = NULL, here.escape = NULL;
    *no_memory = !pha__json_leave() || (!json && json_error_code(error) == json_error_out_of_memory);
    if (*no_memory) json = NULL;
    if (!json) empty(&ring);
    unlink_block(&ring); /* what was parsed stays a ring of its own */
    return json;
}
