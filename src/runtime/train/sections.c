/* sections.c -- which gradients are done when, and sums over ranks that begin there */
#include "runtime/train/sections.h"

#include <stdlib.h>

#include "base/mem.h"

/* Below this a section is not worth messages of its own; elements. */
enum { LEAST = 1 << 14 };

static int by_ready(const void *a, const void *b)
{
    const pha__section *x = a, *y = b;
    if (x->ready != y->ready) return x->ready < y->ready ? -1 : 1;
    return x->begin < y->begin ? -1 : 1;
}

/* Neighbours in the layout, at least so many that there are not too many of them. */
static void cut(pha__sections *s, const pha__program *p, const int *order)
{
    int64_t least = p->trainable / (PHA__MOST_SECTIONS - 1);
    if (least < LEAST) least = LEAST;
    for (int i = 0; i < p->n_params; i++) {
        const pha__node *v = p->params[order[i]];
        if (!pha__learned(v)) continue;
        pha__section *last = s->n ? &s->of[s->n - 1] : NULL;
        int ready = pha__last_addition(p, order[i]);
        if (ready < 0) ready = p->n_steps - 1;
        if (!last || (v->offset - last->begin >= least && s->n < PHA__MOST_SECTIONS)) {
            if (last) last->end = v->offset;
            last = &s->of[s->n++];
            *last = (pha__section){v->offset, p->trainable, ready};
        }
        if (ready > last->ready) last->ready = ready;
    }
}

static void order_steps(pha__sections *s)
{
    qsort(s->of, (size_t)s->n, sizeof *s->of, by_ready);
    for (int i = 0; i < s->n; i++)
        if (!i || s->of[i].ready != s->of[i - 1].ready) s->steps[s->n_steps++] = s->of[i].ready;
}

pha_status pha__sections_open(pha__sections *s, const pha__program *p, pha__lanes *lanes, pha__optimizer *optimizer)
{
    *s = (pha__sections){.lanes = lanes};
    if (lanes->comm->size == 1) return PHA_OK;
    int *order = pha__alloc((size_t)p->n_params + 1, sizeof *order);
    if (!order) return PHA_NO_MEMORY;
    pha__place_order(p, order);
    cut(s, p, order);
    pha__free(order);
    order_steps(s);
    return pha__optimizer_reduction(optimizer, PHA__MOST_SECTIONS, &s->reduction);
}

void pha__sections_close(pha__sections *s)
{
    pha__reduction_close(s->reduction);
    *s = (pha__sections){0};
}

static pha_status add(pha__sections *s, const pha__section *done)
{
    TRY(pha__lanes_add(s->lanes, s->lanes->here - 1, done->begin, done->end));
    return pha__reduction_add(s->reduction, done->begin, done->end);
}

static pha_status visit(void *self, int k)
{
    pha__sections *s = self;
    for (; s->added < s->n && s->of[s->added].ready <= s->steps[k]; s->added++) TRY(add(s, &s->of[s->added]));
    return PHA_OK;
}

void pha__sections_watch(pha__sections *s, pha__exec *e, bool last)
{
    pha__exec_visit(e, s->steps, last ? s->n_steps : 0, visit, s);
}

/* A rank that failed adds what it has too: the others wait for its messages before they hear of it. */
pha_status pha__sections_end(pha__sections *s)
{
    if (!s->reduction) return pha__lanes_add(s->lanes, s->lanes->here - 1, 0, s->lanes->store->names->trainable);
    for (; s->added < s->n; s->added++)
        TRY(pha__reduction_add(s->reduction, s->of[s->added].begin, s->of[s->added].end));
    s->added = 0;
    return pha__reduction_wait(s->reduction);
}
