/* run_block.c -- filling the block; the rows sorted by token */
#include "program/run_block.h"

#include <string.h>

#include "base/mem.h"

static size_t run_size(void) { return (sizeof(pha__run) + 15) / 16 * 16; }

pha_status pha__run_block_open(pha__run_block *r, pha__device *device, int B, int T, bool sorts)
{
    size_t rows = (size_t)B * (size_t)T, n = 3 * (size_t)B;
    size_t size = run_size() + n * sizeof(char *) + 3 * rows * sizeof(int32_t);
    *r = (pha__run_block){.device = device, .there = pha__device_alloc(device, size)};
    r->made = device->backend->host_memory ? r->there : pha__alloc(size, 1);
    r->spare = sorts ? pha__alloc(rows, sizeof *r->spare) : NULL;
    return r->there && r->made && (r->spare || !sorts) ? PHA_OK : PHA_NO_MEMORY;
}

void pha__run_block_close(pha__run_block *r)
{
    if (r->made != r->there) pha__free(r->made);
    if (r->there) pha__device_free(r->device, r->there);
    pha__free(r->spare);
    *r = (pha__run_block){0};
}

/* order: the numbers of the rows sorted by token, rows of a token in order; by one byte of the token at a time. */
static void sort_rows(const int32_t *tokens, int32_t n, int32_t *order, int32_t *spare)
{
    uint32_t all = 0;
    for (int32_t i = 0; i < n; i++) {
        order[i] = i;
        all |= (uint32_t)tokens[i];
    }
    int32_t *from = order, *to = spare;
    for (int shift = 0; shift < 32 && all >> shift; shift += 8) {
        int32_t start[257] = {0};
        for (int32_t i = 0; i < n; i++) start[((uint32_t)tokens[i] >> shift & 255) + 1]++;
        for (int k = 0; k < 256; k++) start[k + 1] += start[k];
        for (int32_t i = 0; i < n; i++) to[start[(uint32_t)tokens[from[i]] >> shift & 255]++] = from[i];
        int32_t *other = from;
        from = to, to = other;
    }
    if (from != order) memcpy(order, from, (size_t)n * sizeof *order);
}

/* Where a part of the block is, in the memory of the device. */
static const void *there(const pha__run_block *r, const void *made)
{
    return r->there + ((const char *)made - r->made);
}

/* B addresses into the block; where they are there. */
static char *const *put_states(const pha__run_block *r, char **made, char *const *states, int B)
{
    if (!states) return NULL;
    memcpy(made, states, (size_t)B * sizeof *made);
    return there(r, made);
}

pha_status pha__run_block_fill(pha__run_block *r, int B, int T, const pha__run *run, const pha__states *states,
                               const pha__run **run_there, pha__states *states_there)
{
    static const pha__states none;
    size_t rows = (size_t)B * (size_t)T;
    char **at = (char **)(r->made + run_size());
    int32_t *tokens = (int32_t *)(at + 3 * B), *targets = tokens + rows, *order = targets + rows;
    pha__run here = *run;
    here.tokens = here.targets = here.order = NULL;
    if (!states) states = &none;
    states_there->now = put_states(r, at, states->now, B);
    states_there->before = put_states(r, at + B, states->before, B);
    states_there->again = put_states(r, at + 2 * B, states->again, B);
    if (run->tokens) memcpy(tokens, run->tokens, rows * sizeof *tokens), here.tokens = there(r, tokens);
    if (run->targets) memcpy(targets, run->targets, rows * sizeof *targets), here.targets = there(r, targets);
    if (run->tokens && r->spare) sort_rows(tokens, (int32_t)rows, order, r->spare), here.order = there(r, order);
    memcpy(r->made, &here, sizeof here);
    *run_there = (const pha__run *)r->there;
    if (r->made == r->there) return PHA_OK;
    return pha__upload(r->device, r->there, r->made, (size_t)((char *)(order + rows) - r->made));
}
