/* api.c -- what pha.h offers the process as a whole: the allocator, the receiver of notes, the instruction set */
#include "backend/backend.h"
#include "base/log.h"
#include "base/mem.h"
#include "pha.h"

static pha_allocator allocator;

static void *user_alloc(void *context, size_t size)
{
    (void)context;
    return allocator.alloc(allocator.context, size, sizeof(max_align_t)); /* base/mem.c aligns further by itself */
}

static void user_free(void *context, void *memory)
{
    (void)context;
    allocator.free(allocator.context, memory);
}

void pha_set_allocator(const pha_allocator *user)
{
    pha_allocator before = allocator;
    pha_status status;
    if (user && (!user->alloc || !user->free))
        status = pha__fail(PHA_USAGE, "an allocator needs both functions, alloc and free");
    else {
        if (user) allocator = *user;
        status = pha__set_allocator(user ? user_alloc : NULL, user ? user_free : NULL, NULL);
        if (status) allocator = before;
    }
    if (status) pha__log(PHA__LOG_WARN, "the allocator is not changed: %s", pha_errmsg());
}

static pha_log_fn *user_log;

static void pass_on(void *context, pha__log_level level, const char *text) { user_log(context, (int)level, text); }

void pha_set_log(pha_log_fn *fn, void *context)
{
    if (fn) user_log = fn;
    pha__log_to(fn ? pass_on : NULL, context);
}

void pha_free(void *memory) { pha__free(memory); }

const char *pha_isa(void) { return pha__host_isa(); }
