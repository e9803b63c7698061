/* plan.c -- one block for all buffers of a program
 *
 * Each buffer is live from its first to its last use. Buffers are placed by falling size at the lowest offset that no
 * buffer with an overlapping life occupies (first fit). A step's workspace is a buffer that lives for that step. The
 * scratch memory that a device needs while it runs a step is no buffer: all steps share one.
 */
#include <stdlib.h>

#include "backend/backend.h"
#include "program/program.h"

static size_t round_up(const pha__program *p, size_t n)
{
    size_t align = p->planned_for->align;
    return (n + align - 1) / align * align;
}

static pha__view sized_view(const pha__ref *r) { return (pha__view){NULL, r->ld, r->rows, r->width, r->dtype}; }

/* The arguments of a step at the largest sizes, without addresses: what workspaces are sized by. */
static void sized_args(const pha__program *p, const pha__plan_step *s, pha__args *a)
{
    const pha__node *n = s->node;
    *a = (pha__args){.B = p->options.B, .T = p->options.T, .n_in = n->n_in, .attr = n->attr};
    for (int i = 0; i < n->n_in; i++) {
        const pha__node *x = n->in[i];
        bool read = s->in[i].kind != PHA__REF_NONE;
        if (x) a->in[i] = read ? sized_view(&s->in[i]) : (pha__view){NULL, x->width, x->rows, x->width, x->dtype};
        if (s->d_in[i].kind) a->d_in[i] = sized_view(&s->d_in[i]);
    }
    a->out = (pha__view){NULL, n->width, 0, n->width, n->dtype};
    if (s->d_out.kind) a->d_out = sized_view(&s->d_out);
    a->max_context = p->options.max_context;
}

pha_status pha__new_buffer(pha__program *p, const char *path, pha__buffer_kind kind, size_t size, int first, int last,
                           int *out)
{
    if (size > SIZE_MAX / 4) FAIL(NO_MEMORY, "%s alone is larger than any memory", path);
    if (p->n_buffers == p->buffers_capacity) {
        int more = p->buffers_capacity ? 2 * p->buffers_capacity : 512;
        pha__buffer *grown = pha__realloc(p->buffers, (size_t)more, sizeof *grown);
        if (!grown) FAIL(NO_MEMORY, "no memory for a program");
        p->buffers = grown, p->buffers_capacity = more;
    }
    p->buffers[p->n_buffers] = (pha__buffer){path, kind, size, first, last, 0};
    *out = p->n_buffers++;
    return PHA_OK;
}

/* Asks the device for the workspaces of the steps and for its scratch memory. */
static pha_status workspaces(pha__program *p, pha__device *device)
{
    p->scratch = 0;
    for (int i = 0; i < p->n_steps; i++) {
        pha__plan_step *s = &p->steps[i];
        const void *kernel = device->backend->kernel(device, s->node->op->name);
        if (!kernel) FAIL(NO_DEVICE, "%s: this device has no kernel for %s", s->node->path, s->node->op->name);
        pha__args a;
        pha__needs needs = {0};
        sized_args(p, s, &a);
        TRY(device->backend->needs(device, kernel, &a, s->pass, &needs));
        p->scratch = needs.scratch > p->scratch ? needs.scratch : p->scratch;
        if (needs.work) TRY(pha__new_buffer(p, s->node->path, PHA__BUF_WORK, needs.work, i, i, &s->work));
    }
    if (p->scratch > SIZE_MAX / 4) FAIL(NO_MEMORY, "the scratch memory of a step alone is larger than any memory");
    return PHA_OK;
}

static _Thread_local const pha__buffer *sorted; /* qsort has no context argument */

static int by_size(const void *x, const void *y)
{
    int a = *(const int *)x, b = *(const int *)y;
    if (sorted[a].size != sorted[b].size) return sorted[a].size > sorted[b].size ? -1 : 1;
    return a - b;
}

/* Lowest offset at which buffer b collides with none of the n placed ones. placed is kept sorted by offset. */
static size_t lowest_gap(const pha__program *p, const pha__buffer *b, const int *placed, int n)
{
    size_t at = 0;
    for (int i = 0; i < n; i++) {
        const pha__buffer *o = &p->buffers[placed[i]];
        if (o->last < b->first || b->last < o->first) continue;
        if (at + round_up(p, b->size) <= o->offset) break;
        size_t end = o->offset + round_up(p, o->size);
        at = end > at ? end : at;
    }
    return at;
}

static pha_status place(pha__program *p, int *order, int *placed)
{
    int n = 0;
    p->block = p->naive = 0;
    for (int i = 0; i < p->n_buffers; i++) {
        pha__buffer *b = &p->buffers[order[i]];
        if (b->last < 0) continue; /* never used */
        b->offset = lowest_gap(p, b, placed, n);
        size_t end = b->offset + round_up(p, b->size);
        p->block = end > p->block ? end : p->block;
        if (__builtin_add_overflow(p->naive, round_up(p, b->size), &p->naive) || p->naive > SIZE_MAX / 2)
            FAIL(NO_MEMORY, "a program with batch %d and length %d is larger than any memory", p->options.B,
                 p->options.T);
        int at = n++;
        while (at > 0 && p->buffers[placed[at - 1]].offset > b->offset) placed[at] = placed[at - 1], at--;
        placed[at] = order[i];
    }
    return PHA_OK;
}

static pha_status plan(pha__program *p, pha__device *device)
{
    TRY(workspaces(p, device));
    size_t n = (size_t)p->n_buffers + 1;
    int *order = pha__alloc(n, sizeof *order), *placed = pha__alloc(n, sizeof *placed);
    pha_status status = order && placed ? PHA_OK : PHA_NO_MEMORY;
    if (!status) {
        for (int i = 0; i < p->n_buffers; i++) order[i] = i;
        sorted = p->buffers;
        qsort(order, (size_t)p->n_buffers, sizeof *order, by_size);
        status = place(p, order, placed);
    }
    pha__free(order);
    pha__free(placed);
    return status;
}

pha_status pha__plan(pha__program *p, pha__device *device)
{
    if (p->planned_for && p->planned_for != device->backend)
        FAIL(USAGE, "the program is planned for the device %s and can't run on %s", p->planned_for->name,
             device->backend->name);
    if (p->planned_for) return PHA_OK;
    int n_buffers = p->n_buffers;
    p->planned_for = device->backend;
    pha_status status = plan(p, device);
    if (status) p->planned_for = NULL, p->n_buffers = n_buffers; /* it has no plan: another attempt begins anew */
    return status;
}
